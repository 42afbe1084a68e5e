"""An interrupted training goes on to the plan that it would have made; nothing else is taken for its checkpoint."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from builders.trainings import JOINT, STEPS, Interrupt, Stop, blobs, interrupt, make_recipe

from acqplan.core.errors import PlanFileError, RecipeError
from acqplan.learning import training
from acqplan.learning.training import Progress, design
from acqplan.plan.plan import Plan
from acqplan.reconstructors.losses import MeanSquaredError, Target


@pytest.fixture(scope="module")
def plan(scans: Path) -> Plan:
    return design(make_recipe(scans))


@pytest.mark.parametrize("step", [1, JOINT - 1, JOINT, JOINT + 1, STEPS - 1, STEPS])
def test_an_interrupted_training_goes_on_to_the_same_plan(scans: Path, plan: Plan, tmp_path: Path, step: int) -> None:
    path = tmp_path / "run.checkpoint"
    interrupt(make_recipe(scans), path, step)
    told: list[Progress] = []
    resumed = design(make_recipe(scans), checkpoint=path, resume=True, progress=told.append)
    assert resumed.plan_id == plan.plan_id
    assert [progress.step for progress in told] == list(range(step + 1, STEPS + 1))
    # Trained to the end: what is left is to save the plan, which a later resumption may still do.
    assert design(make_recipe(scans), checkpoint=path, resume=True).plan_id == plan.plan_id


@pytest.mark.parametrize(
    ("options", "settings"),
    [
        ({"modality": "dmd"}, {}),
        ({"designer": "loupe", "reconstructor": "unet"}, {}),
        ({"designer": "csfm"}, {}),
        ({"designer": "variable-density"}, {}),
        ({"reconstructor": "zero-filled"}, {}),
        ({"reconstructor": "wavelet"}, {}),
        ({}, {"joint_share": 1.0}),
        ({}, {"joint_share": 0.0}),
    ],
    ids=str,
)
def test_every_kind_of_training_resumes(
    scans: Path, tmp_path: Path, options: dict[str, Any], settings: dict[str, Any]
) -> None:
    recipe = make_recipe(scans, **options, **settings)
    whole = design(recipe)
    for step in (2, 6):
        interrupt(recipe, tmp_path / "run.checkpoint", step)
        assert design(recipe, checkpoint=tmp_path / "run.checkpoint", resume=True).plan_id == whole.plan_id


def test_an_interrupted_resumption_resumes(scans: Path, plan: Plan, tmp_path: Path) -> None:
    path = tmp_path / "run.checkpoint"
    interrupt(make_recipe(scans), path, 2, KeyboardInterrupt)
    with pytest.raises(Stop):
        design(make_recipe(scans), checkpoint=path, resume=True, progress=Interrupt(6))
    assert design(make_recipe(scans), checkpoint=path, resume=True).plan_id == plan.plan_id


def test_a_killed_training_goes_on_from_the_last_checkpoint(
    scans: Path, plan: Plan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(training, "CHECKPOINT_EVERY_S", -1.0)  # after every step
    path, kept = tmp_path / "run.checkpoint", tmp_path / "kept"
    kept.mkdir()

    def keep(progress: Progress) -> None:
        if path.exists():
            shutil.copy(path, kept / str(progress.step))

    design(make_recipe(scans), progress=keep, checkpoint=path)
    assert len(list(kept.iterdir())) == STEPS - 1
    for step in (3, 7):
        assert design(make_recipe(scans), checkpoint=kept / str(step), resume=True).plan_id == plan.plan_id


def test_a_timed_training_resumes_with_the_steps_it_had_planned(scans: Path, tmp_path: Path) -> None:
    path = tmp_path / "run.checkpoint"
    recipe = make_recipe(scans, minutes=0.01, steps=None)
    interrupt(recipe, path, 2)
    resumed = design(recipe, checkpoint=path, resume=True)
    assert design(resumed.recipe).plan_id == resumed.plan_id


def test_a_half_taken_step_is_not_saved(scans: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What fails inside a step (memory, say) leaves generators and optimisers between two steps."""
    path, calls = tmp_path / "run.checkpoint", 0

    def loss(self: MeanSquaredError, image: torch.Tensor, target: Target) -> torch.Tensor:
        nonlocal calls
        calls += 1
        if calls == 3:
            raise Stop
        return image.abs().square().mean((-2, -1))

    monkeypatch.setattr(MeanSquaredError, "__call__", loss)
    with pytest.raises(Stop):
        design(make_recipe(scans), checkpoint=path)
    assert not path.exists()


def test_a_checkpoint_of_another_training_is_refused(scans: Path, tmp_path: Path) -> None:
    path = tmp_path / "run.checkpoint"
    recipe = make_recipe(scans)
    interrupt(recipe, path, 3)
    before = path.read_bytes()
    other_images = shutil.copytree(scans, tmp_path / "scans")
    np.save(other_images / "subject0.npy", blobs(99))
    moved = replace(recipe, images=replace(recipe.images, paths=[str(other_images)]))
    for other in (replace(recipe, seed=1), make_recipe(scans, batch_size=3), moved):
        with pytest.raises(PlanFileError, match="another recipe or to other images"):
            design(other, checkpoint=path, resume=True)
        assert path.read_bytes() == before


def test_resuming_needs_a_checkpoint(scans: Path, tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="no checkpoint to resume from"):
        design(make_recipe(scans), resume=True)
    with pytest.raises(PlanFileError, match="There is no checkpoint"):
        design(make_recipe(scans), checkpoint=tmp_path / "none", resume=True)
