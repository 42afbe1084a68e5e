"""The ready-to-load plans: each loads, and its exported files, evidence and preview are its own."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from acqplan.plan.plan import Plan
from acqplan.workflow.prove import prove

FOLDER = Path(__file__).parents[2] / "patterns"
PLANS = sorted(FOLDER.glob("*/*.acqplan"))


def test_there_is_a_plan_of_each_modality() -> None:
    assert {Plan.load(path).recipe.modality for path in PLANS} == {"mri", "dmd"}


def test_they_keep_their_identities() -> None:
    identities = {path.stem: Plan.load(path).plan_id[:12] for path in PLANS}
    assert identities == {"brain-4x": "a4647ddd48b1", "cells-12.5pct": "c89c7a0d2333"}


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
    for expected in (f"--budget {recipe.budget.amount} ", f"--seed {recipe.seed} ", f"-o {path.name}\n"):
        assert expected in script
    assert all(f"--images {name}" in script for name in recipe.images.paths)
