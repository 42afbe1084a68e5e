"""The ready-to-load plans: each loads, its files, evidence and preview are its own, and the index tells of it."""

from __future__ import annotations

import json
import re
import sys
from importlib import util
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from builders.trainings import make_recipe
from PIL import Image

from acqplan.learning.training import design
from acqplan.plan.plan import Plan
from acqplan.workflow.prove import prove

FOLDER = Path(__file__).parents[2] / "patterns"
PLANS = sorted(FOLDER.glob("*/*.acqplan"))
BASES = sorted(FOLDER.glob("bases/*.acqbase"))


@pytest.fixture(scope="module")
def builder() -> ModuleType:
    spec = util.spec_from_file_location("build_patterns", FOLDER / "build.py")
    assert spec is not None
    assert spec.loader is not None
    module = util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


def test_there_is_a_plan_of_each_modality() -> None:
    assert {Plan.load(path).recipe.modality for path in PLANS} == {"mri", "dmd"}


def test_they_keep_their_identities() -> None:
    identities = {path.stem: Plan.load(path).plan_id[:12] for path in PLANS}
    assert identities.items() >= {"brain-4x": "a4647ddd48b1", "cells-12.5pct": "c89c7a0d2333"}.items()


def test_the_index_tells_what_is_there(builder: ModuleType) -> None:
    text = (FOLDER / "README.md").read_text(encoding="utf-8")
    assert builder.index(text) == text, "run python patterns/build.py index"
    for path in PLANS:
        assert f"[`{path.stem}/`]({path.stem}/)" in text
        assert f"`{Plan.load(path).plan_id[:12]}`" in text


def test_they_are_small(builder: ModuleType) -> None:
    for path in PLANS:
        assert builder.size_of(path.parent) - path.stat().st_size <= builder.MOST_BESIDE
    assert builder.size_of(FOLDER) <= builder.MOST_BYTES == 60e6


@pytest.mark.parametrize("path", [*PLANS, *BASES], ids=lambda path: path.stem)
def test_they_name_no_folder_of_their_maker(path: Path) -> None:
    plan = Plan.load(path)
    named = [*plan.recipe.images.paths, plan.recipe.training.base or ""]
    assert not [name for name in named if Path(name).is_absolute()]
    text = json.dumps(plan.evidence) + "".join(
        each.read_text(encoding="utf-8")
        for each in path.parent.rglob("*")
        if each.suffix in {".json", ".html", ".sh", ".csv"}
    )
    assert not re.search(r"/(work|tmp|home|root|Users)/", text)


@pytest.mark.parametrize("path", PLANS, ids=lambda path: path.stem)
def test_they_prove_themselves(path: Path) -> None:
    exports = [manifest.parent.name for manifest in sorted(path.parent.glob("*/manifest.json"))]
    assert len(exports) >= 2
    (proof,) = prove(path.parent)
    assert [check.subject for check in proof.checks] == ["identity", *exports, "test vector"]
    assert {check.result for check in proof.checks} == {"ok"}, proof.checks


@pytest.mark.parametrize("path", PLANS, ids=lambda path: path.stem)
def test_evidence_and_preview_belong_to_the_plan(path: Path) -> None:
    plan = Plan.load(path)
    written = json.loads((path.parent / "evidence.json").read_text())
    assert written["plan_id"] == plan.plan_id
    mean = plan.evidence["held_out"]["mean"]
    assert mean["plan"]["psnr_db"] > mean["zero_filled"]["psnr_db"] + 1
    with Image.open(path.parent / "preview.png") as preview:
        assert min(preview.size) >= 256
        assert len(np.unique(np.asarray(preview.convert("L")))) > 1


@pytest.mark.parametrize("path", PLANS, ids=lambda path: path.stem)
def test_the_command_beside_the_plan_is_the_one_that_made_it(path: Path) -> None:
    plan, script = Plan.load(path), (path.parent / "remake.sh").read_text()
    recipe = plan.recipe
    assert f"acqplan design {recipe.modality} " in script
    for expected in (f"--seed {recipe.seed} ", f"-o {path.name}\n"):
        assert expected in script
    assert re.search(f"--budget '?{re.escape(recipe.budget.amount)}'? ", script)
    assert all(f"--images {name}" in script for name in recipe.images.paths)


def test_a_plan_is_made_from_a_base_and_made_again(
    builder: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, scans: Path
) -> None:
    patterns = tmp_path / "patterns"
    patterns.mkdir()
    monkeypatch.setattr(builder, "FOLDER", patterns)
    (patterns / "README.md").write_text("".join(f"{begin}\n{end}\n" for begin, end in builder.MARKS.values()))
    design(make_recipe(scans, designer="any-pattern", encoding="lines", budget="8")).save(tmp_path / "lab.acqbase")

    def build(*words: Any) -> None:
        monkeypatch.setattr(sys, "argv", ["build.py", *map(str, words)])
        builder.main()

    given = ("mri", "--images", scans, "--base", tmp_path / "lab.acqbase", "--name", "lab", "--size", "16x16")
    build(*given, "--budget", "8", "--steps", 2, "--designer", "low-pass", "--", "--pattern", "lines")
    folder = patterns / "lab-8"
    plan, base = Plan.load(folder / "lab-8.acqplan"), Plan.load(patterns / "bases" / "lab.acqbase")
    assert (plan.recipe.images.paths, plan.recipe.training.base) == (["images"], "../bases/lab.acqbase")
    assert (base.recipe.images.paths, plan.recipe.training.base_id) == (["images"], base.plan_id)
    assert {"numpy", "table", "bart", "plan.html", "preview.png", "remake.sh"} <= {
        each.name for each in folder.iterdir()
    }
    assert "[`lab-8/`](lab-8/)" in (patterns / "README.md").read_text()
    assert "lab.acqbase" in (patterns / "README.md").read_text()
    before = (folder / "lab-8.acqplan").stat().st_mtime_ns
    build(*given, "--budget", "8", "--steps", 2, "--designer", "low-pass", "--", "--pattern", "lines")
    assert (folder / "lab-8.acqplan").stat().st_mtime_ns == before
    with pytest.raises(SystemExit, match="may have seen the held-out subjects"):
        build(*given, "--budget", "4", "--seed", 1)
