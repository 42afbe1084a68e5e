"""Every example in a help text or a message does what it promises."""

import re
import shlex

import numpy as np
import pytest
import typer
from builders.images import blobs

from acqplan.cli.app import app
from acqplan.core import registry
from acqplan.core.errors import BudgetError
from acqplan.plan.recipe_text import from_toml
from acqplan.sensing.budget import Light, budget_remedy, parse_budget

MODALITIES = registry.kinds("modalities")
BUDGETS = [(kind, *each) for kind, cls in MODALITIES.items() for each in cls.budget_examples.items()]
CALLS = [(kind, call) for kind, cls in MODALITIES.items() for call in cls.examples]
GROUP = typer.main.get_command(app)


def examples_of(command, words=()):
    """Every worked call in the help of a command and those below it."""
    for line in (command.epilog or "").splitlines():
        if line.strip().startswith("$ acqplan"):
            yield line.strip().removeprefix("$ ")
    for name, below in getattr(command, "commands", {}).items():
        yield from examples_of(below, (*words, name))


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    """Folders of images that are large enough, for each instrument."""
    folders = {"mri": tmp_path_factory.mktemp("slices"), "dmd": tmp_path_factory.mktemp("fields")}
    for i in range(4):
        np.save(folders["mri"] / f"subject{i}.npy", blobs(i, (128, 128)).astype(np.float32))
        np.save(folders["dmd"] / f"field{i}.npy", blobs(i, (256, 256)).astype(np.float32))
    return folders


@pytest.mark.parametrize(("modality", "amount", "flags"), BUDGETS)
def test_every_budget_that_the_help_offers_is_taken(run, images, modality, amount, flags):
    assert amount in " ".join(run("design", modality, "--help").out.replace("│", " ").split())
    words = ("design", modality, "--images", images[modality], "--size", "64x64", "--budget", amount)
    outcome = run(*words, *shlex.split(flags), "--designer", "uniform", "--dry-run")
    assert outcome.code == 0, outcome.err
    assert from_toml(outcome.out).budget.amount == amount


@pytest.mark.parametrize("modality", MODALITIES)
def test_no_budget_and_an_odd_one_are_answered_with_those_of_the_instrument(run, images, modality):
    words = ("design", modality, "--images", images[modality], "--size", "16x16", "--dry-run")
    assert MODALITIES[modality].budget_words() in run(*words).err
    err = run(*words, "--budget", "nonsense").err
    assert ("frames" in err, "photons" in err) == ((True, True) if modality == "dmd" else (False, False))
    assert "lines" not in err  # of points


@pytest.mark.parametrize(("unit_name", "is_lit"), [("line", False), ("point", False), ("coefficient", True)])
def test_every_budget_that_a_remedy_offers_is_taken(unit_name, is_lit):
    remedy = budget_remedy(unit_name, is_lit=is_lit)
    light = Light(1.0, electrons=1e3, power_w=1e-3) if is_lit else None
    how = {"n_units": 4096, "unit_name": unit_name, "frames_per_unit": 1 + is_lit, "light": light}
    with pytest.raises(BudgetError) as refused:
        parse_budget("nonsense", **how)
    assert refused.value.remedy == remedy
    found = re.findall(r"'([^']+)'", remedy) + re.findall(r"\((\d[^\s,')]*)", remedy)
    assert {"4x", "25%", "64", f"64 {unit_name}s"} < set(found)
    for amount in found:
        assert parse_budget(amount, frame_time_s=1e-4 if is_lit else 0.5, **how).n_readings > 0


@pytest.mark.parametrize(("modality", "call"), CALLS)
def test_every_call_of_design_in_the_help_runs(run, images, modality, call):
    words = shlex.split(call)[1:]
    words[words.index("--images") + 1] = str(images[modality])
    outcome = run(*words, *([] if "--dry-run" in words else ["--dry-run"]))
    assert outcome.code == 0, outcome.err


@pytest.mark.parametrize("call", sorted(set(examples_of(GROUP))))
def test_every_call_in_the_help_is_one_that_the_command_takes(call):
    words, command = shlex.split(call.split("|")[0].split(">")[0])[1:], GROUP
    while getattr(command, "commands", None):
        command = command.commands[words.pop(0)]
    command.make_context("example", words)
