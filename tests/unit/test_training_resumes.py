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

from acqplan.core.errors import OutputError, PlanFileError, RecipeError
from acqplan.learning import checkpoint, pace, training
from acqplan.learning.progress import Progress
from acqplan.learning.training import design
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
        ({"designer": "swaps", "encoding": "lines", "budget": "8"}, {}),
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


# --- minutes, full disks, and what is kept -------------------------------------------------------------


class SteadyClock:
    """Each step that is taken, and nothing else, takes a tenth of a second."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def perf_counter(self) -> float:
        return self.seconds


@pytest.fixture
def steady(monkeypatch: pytest.MonkeyPatch) -> SteadyClock:
    clock, take_step = SteadyClock(), training.take_step

    def timed_step(*args: Any, **how: Any) -> float:
        clock.seconds += 0.1
        return take_step(*args, **how)

    monkeypatch.setattr(pace, "time", clock)
    monkeypatch.setattr(training, "take_step", timed_step)
    return clock


def test_minutes_hold_however_the_speed_changes_and_a_resumption_knows_what_is_left(
    scans: Path, tmp_path: Path, steady: SteadyClock
) -> None:
    recipe = make_recipe(scans, minutes=0.1, steps=None)  # 60 steps

    def slower(progress: Progress) -> None:
        steady.seconds += 0.2 * (progress.step > 10)

    assert design(recipe, progress=slower).recipe.training.steps in range(20, 32)
    assert steady.seconds == pytest.approx(6, abs=0.7)

    path, before = tmp_path / "run.checkpoint", steady.seconds
    interrupt(recipe, path, 30)
    resumed = design(recipe, checkpoint=path, resume=True)
    assert steady.seconds - before == pytest.approx(6, abs=0.5)
    assert design(resumed.recipe).plan_id == resumed.plan_id


def test_preparation_counts_as_time_and_a_network_that_was_hardly_trained_says_so(
    scans: Path, monkeypatch: pytest.MonkeyPatch, steady: SteadyClock
) -> None:
    told: list[tuple[str, int, int]] = []

    def prepare(what: str, done: int, total: int) -> None:
        told.append((what, done, total))
        steady.seconds += 0.1

    recipe = make_recipe(scans, minutes=0.1, steps=None)
    plan = design(recipe, preparing=prepare)
    n_preparing = len(told)
    assert {"reading images", "preparing images", "timing a few steps"} <= {what for what, *_ in told}
    assert ("reading images", 4, 5) in told
    assert plan.recipe.training.steps is not None
    assert plan.recipe.training.steps < 60 - 0.9 * n_preparing
    (warning,) = [line for line in plan.evidence["warnings"] if "HARDLY TRAINED" in line]
    assert f"time for {plan.recipe.training.steps} steps" in warning
    assert plan.evidence["warnings"] == design(plan.recipe).evidence["warnings"]
    assert not any("HARDLY" in line for line in design(make_recipe(scans)).evidence["warnings"])  # steps are asked for


@pytest.mark.parametrize("settings", [{}, {"minutes": 0.1, "steps": None}], ids=["steps", "minutes"])
@pytest.mark.parametrize("step", [1, JOINT, JOINT + 2, STEPS - 1])
def test_what_is_kept_of_an_interrupted_training_replays(
    scans: Path, tmp_path: Path, steady: SteadyClock, step: int, settings: dict[str, Any]
) -> None:
    recipe, path = make_recipe(scans, **settings), tmp_path / "run.checkpoint"
    interrupt(recipe, path, step)
    kept = design(recipe, checkpoint=path, keep=True)
    assert any("interrupted and kept" in line for line in kept.evidence["warnings"])
    assert design(kept.recipe).plan_id == kept.plan_id


def test_a_full_disk_ends_no_training(scans: Path, plan: Plan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(tree: Any, path: Path) -> None:
        raise OutputError(f"{path} can't be written: No space left on device.", "Free some.")

    monkeypatch.setattr(training.checkpoints, "save", full)
    monkeypatch.setattr(training, "CHECKPOINT_EVERY_S", 0.0)
    warnings: list[str] = []
    made = design(make_recipe(scans), checkpoint=tmp_path / "run.checkpoint", warn=warnings.append)
    assert made.plan_id == plan.plan_id
    (warning,) = warnings
    assert "No space left on device. Training goes on" in warning


def test_a_checkpoint_of_another_version_is_refused(scans: Path, tmp_path: Path) -> None:
    path = tmp_path / "run.checkpoint"
    interrupt(make_recipe(scans), path, 2)
    tree = checkpoint.load(path)
    checkpoint.save({name: value for name, value in tree.items() if name != "time"}, path)
    with pytest.raises(PlanFileError, match="another version"):
        design(make_recipe(scans), checkpoint=path, resume=True)


@pytest.mark.parametrize("wrong", ["step", "time", "order", "reconstructor", "optimisers", "generators"])
def test_a_checkpoint_with_something_else_in_it_is_damaged(wrong: str, scans: Path, tmp_path: Path) -> None:
    path = tmp_path / "run.checkpoint"
    interrupt(make_recipe(scans), path, 6)
    tree = checkpoint.load(path)
    checkpoint.save({**tree, wrong: torch.arange(3)}, path)
    with pytest.raises(PlanFileError, match="damaged"):
        design(make_recipe(scans), checkpoint=path, resume=True)


def test_a_pace_of_other_steps_is_refused(scans: Path) -> None:
    with pytest.raises(RecipeError, match="pace is of 3 steps in 2 parts"):
        design(make_recipe(scans, pace=[1, 2]))
