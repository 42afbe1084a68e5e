"""``design --from``: a plan's network on images of one's own."""

from __future__ import annotations

import json
import tomllib

import pytest

from acqplan.plan.plan import Plan

STEPS = ("--steps", "2", "--threads", "1")


@pytest.mark.parametrize(("modality", "name", "images"), [("mri", "points", "more"), ("dmd", "cells", "cells")])
def test_a_plan_is_adapted(run, plans, own_scans, cells, tmp_path, modality, name, images):
    source, output = plans / f"{name}.acqplan", tmp_path / "mine.acqplan"
    folder = own_scans if images == "more" else cells
    result = run("design", modality, "--from", source, "--images", folder, *STEPS, "--seed", 3, "-o", output)
    assert result.code == 0, result.err
    before, after = Plan.load(source), Plan.load(output)
    assert after.pattern.digest == before.pattern.digest
    assert after.recipe.seed == 3
    assert f"before it was adapted (plan {before.plan_id[:12]})" in result.out
    shown = " ".join(run("show", output).out.split())
    assert f"from plan {before.plan_id[:12]} by " in shown
    assert json.loads(run("show", output, "--json").out)["evidence"]["adapted"]["plan_id"] == before.plan_id
    page = tmp_path / "plan.html"
    assert run("show", output, "--html", page).code == 0
    assert "before it was adapted" in page.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--budget", "8x"), "--from is given together with --budget."),
        (("--size", "8x8", "--designer", "loupe"), "together with --size, --designer."),
        (("--pattern-from", "a.acqplan"), "together with --pattern-from."),
        (("--base", "a.acqplan"), "together with --base."),
        (("--reconstructor", "unet"), "together with --reconstructor."),
        (("--recipe", "a.toml"), "together with --recipe."),
        (("--coils", 2), "together with --coils."),
        (("--pattern", "lines"), "together with --pattern."),
    ],
)
def test_flags_that_ask_for_something_else_are_refused(refused, points, scans, tmp_path, words, message):
    output = ("-o", tmp_path / "no.acqplan")
    assert message in refused("design", "mri", "--from", points, "--images", scans, *words, *output).err


def test_it_needs_images_and_a_plan_of_its_kind(refused, points, cells, tmp_path):
    output = ("-o", tmp_path / "no.acqplan")
    assert "no images to adapt" in refused("design", "mri", "--from", points, *output).err
    assert "is a plan for mri" in refused("design", "dmd", "--from", points, "--images", cells, *output).err


def test_the_noise_may_be_the_lab_s_own(run, plans, cells, points, scans):
    given = ("--from", plans / "cells.acqplan", "--images", cells, "--photons", 50, "--dry-run")
    recipe = tomllib.loads(run("design", "dmd", *given).out)
    assert recipe["noise"]["photons"] == 50
    assert recipe["training"]["keep_best"] is True
    assert recipe["training"]["minutes"] == 3.0
    given = ("--from", points, "--images", scans, "--minutes", 7, "--noise", 0.02, "--dry-run")
    recipe = tomllib.loads(run("design", "mri", *given).out)
    assert (recipe["training"]["minutes"], recipe["noise"]["std"]) == (7.0, 0.02)
