"""Training: exact, repeatable bit for bit, and without side effects."""

from __future__ import annotations

import json
import random
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from builders.trainings import JOINT, STEPS, interrupt, make_recipe

from acqplan.core.errors import ImageError, RecipeError
from acqplan.core.registry import find, kinds
from acqplan.learning import checkpoint, pace
from acqplan.learning.progress import Progress
from acqplan.learning.training import design
from acqplan.plan.components import Component
from acqplan.plan.plan import Plan


@pytest.fixture(scope="module")
def plan(scans: Path) -> Plan:
    return design(make_recipe(scans))


# --- repeatable ------------------------------------------------------------------------------


@pytest.mark.parametrize("designer", ["learned", "loupe", "csfm"])
@pytest.mark.parametrize("modality", ["mri", "dmd"])
def test_the_same_seed_gives_the_same_plan_bit_for_bit(scans: Path, modality: str, designer: str) -> None:
    recipe = make_recipe(scans, modality=modality, designer=designer)
    first = design(recipe)
    np.random.rand()  # noqa: NPY002  # the global states differ from here on
    torch.rand(1)
    random.random()
    assert design(recipe).plan_id == first.plan_id
    assert design(replace(recipe, seed=1)).pattern != first.pattern


def test_a_listener_changes_nothing(scans: Path, plan: Plan) -> None:
    told: list[Progress] = []
    assert design(make_recipe(scans), progress=told.append).plan_id == plan.plan_id
    assert [progress.step for progress in told] == list(range(1, STEPS + 1))
    assert [progress.phase for progress in told] == ["joint"] * JOINT + ["fine-tune"] * (STEPS - JOINT)
    assert {progress.n_steps for progress in told} == {STEPS}
    assert all(np.isfinite(progress.loss) and progress.loss > 0 for progress in told)
    assert all(progress.remaining_s >= 0 for progress in told)
    assert told[-1].remaining_s == 0
    assert told[-1].psnr_db is not None
    assert told[-1].psnr_db > 0


def test_the_plans_own_recipe_makes_it_again(plan: Plan) -> None:
    assert plan.recipe.training.steps == STEPS
    assert design(plan.recipe).plan_id == plan.plan_id


class Clock:
    """Every look at it takes a moment, and each moment is longer than the one before."""

    def __init__(self) -> None:
        self.seconds, self.moment = 0.0, 0.01

    def perf_counter(self) -> float:
        self.seconds += self.moment
        self.moment *= 1.02
        return self.seconds


def test_minutes_become_steps_that_replay(scans: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(pace, "time", Clock())
        timed = design(make_recipe(scans, minutes=0.03, steps=None), progress=lambda progress: None)
    settings = timed.recipe.training
    assert settings.minutes is None
    assert settings.steps is not None
    joint_steps = settings.steps * settings.joint_share
    assert 10 < joint_steps == pytest.approx(round(joint_steps))
    # It became slower on the way, so that the second phase was cut short.
    assert 1 <= settings.steps - joint_steps < joint_steps - 2
    assert design(timed.recipe).plan_id == timed.plan_id


def test_the_global_random_state_is_untouched(scans: Path) -> None:
    drawn = torch.rand(1), np.random.rand(), random.random()  # noqa: NPY002  # wherever other tests have left them
    assert len(drawn) == 3
    torch_state = torch.get_rng_state()
    numpy_state = np.random.get_state()  # noqa: NPY002
    python_state = random.getstate()
    threads = torch.get_num_threads()
    design(make_recipe(scans, minutes=0.002, steps=None), progress=lambda progress: None)
    assert torch.equal(torch.get_rng_state(), torch_state)
    assert repr(np.random.get_state()) == repr(numpy_state)  # noqa: NPY002
    assert random.getstate() == python_state
    assert torch.get_num_threads() == threads


# --- what comes out ------------------------------------------------------------------------------


@pytest.mark.parametrize("designer", sorted(set(kinds("designers")) - {"from-plan"}))
@pytest.mark.parametrize(("encoding", "budget", "n"), [("points", "59", 59), ("lines", "37.5%", 6)])
def test_every_designer_freezes_to_the_exact_count(
    scans: Path, designer: str, encoding: str, budget: str, n: int
) -> None:
    recipe = make_recipe(scans, designer=designer, encoding=encoding, budget=budget, steps=2, batch_size=1)
    made = design(recipe)
    assert made.pattern.n_readings == made.budget.n_readings == n
    assert made.budget.n_calibration == made.pattern.calibration.size
    assert np.isin(made.pattern.calibration, made.pattern.order).all()
    assert made.recipe.designer.kind == designer


@pytest.mark.parametrize("designer", sorted(set(kinds("designers")) - {"from-plan"}))
def test_every_designer_works_for_hadamard_frames(scans: Path, designer: str) -> None:
    made = design(make_recipe(scans, modality="dmd", designer=designer, budget="64 frames", steps=2, batch_size=1))
    assert made.pattern.n_readings == 32


@pytest.mark.parametrize("reconstructor", kinds("reconstructors"))
def test_every_reconstructor_makes_a_plan_that_works(scans: Path, tmp_path: Path, reconstructor: str) -> None:
    made = design(make_recipe(scans, designer="variable-density", reconstructor=reconstructor, steps=2))
    made.save(tmp_path / "some.acqplan")
    loaded = Plan.load(tmp_path / "some.acqplan")
    assert loaded.plan_id == made.plan_id
    image = loaded.reconstruct(loaded.simulate(np.ones((16, 16), np.complex64)))
    assert np.isfinite(image).all()


def test_a_fixed_pattern_does_not_depend_on_training(scans: Path) -> None:
    short = design(make_recipe(scans, designer="poisson-disc", steps=2))
    long = design(make_recipe(scans, designer="poisson-disc", steps=5, reconstructor="unet"))
    assert short.pattern == long.pattern


def test_nothing_to_train_takes_no_steps(scans: Path) -> None:
    told: list[Progress] = []
    recipe = make_recipe(scans, designer="uniform", reconstructor="zero-filled", minutes=10.0, steps=None)
    made = design(recipe, progress=told.append)
    assert told == []
    assert design(made.recipe).plan_id == made.plan_id


def test_learning_moves_the_pattern(scans: Path) -> None:
    start = design(make_recipe(scans, joint_share=0.0))
    learned = design(make_recipe(scans, joint_share=1.0, steps=30))
    assert not np.array_equal(start.pattern.mask, learned.pattern.mask)


def test_training_pays(scans: Path) -> None:
    recipe = make_recipe(scans, designer="uniform", reconstructor="unet", budget="2x")
    recipe = replace(recipe, reconstructor=Component("unet", {"channels": 8, "levels": 1}))
    begun, trained = (design(recipe.with_settings("training", steps=steps)) for steps in (1, 100))
    assert trained.pattern == begun.pattern
    before, after = (made.evidence["held_out"]["mean"]["plan"] for made in (begun, trained))
    assert after["psnr_db"] > before["psnr_db"] + 1
    assert after["nrmse"] < before["nrmse"]


def test_the_network_is_fine_tuned_on_the_frozen_pattern(scans: Path, tmp_path: Path) -> None:
    """From the freeze on, the pattern stays and the network moves."""
    path = tmp_path / "run.checkpoint"
    interrupt(make_recipe(scans), path, JOINT + 1)
    early = checkpoint.load(path)
    interrupt(make_recipe(scans), path, STEPS)
    late = checkpoint.load(path)
    assert torch.equal(early["order"], late["order"])
    for name, value in early["designer"].items():
        assert torch.equal(value, late["designer"][name])
    assert any(not torch.equal(value, late["reconstructor"][name]) for name, value in early["reconstructor"].items())


def test_thousands_of_images_are_not_listed_one_by_one(scans: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("acqplan.learning.evidence.MOST_ROWS", 1)
    held_out = design(make_recipe(scans)).evidence["held_out"]
    assert set(held_out) == {"subjects", "mean"}


def test_the_evidence_is_complete(scans: Path, plan: Plan) -> None:
    evidence = plan.evidence
    assert json.loads(json.dumps(evidence, allow_nan=False)) == evidence
    assert evidence["n_train"] >= 1
    assert evidence["n_test"] == len(evidence["held_out"]["images"])
    assert len(evidence["training_images"]) == 64
    assert isinstance(evidence["warnings"], list)
    assert evidence["data_range"]
    rows = evidence["held_out"]["images"]
    subjects = {row["subject"] for row in rows}
    assert subjects == set(evidence["held_out"]["subjects"])
    assert len(subjects) == 1  # a fifth of five subjects
    for kind in ("plan", "zero_filled"):
        for metric in ("psnr_db", "ssim", "nrmse"):
            values = [row[kind][metric] for row in rows]
            assert evidence["held_out"]["mean"][kind][metric] == pytest.approx(np.mean(values))
    assert all(0 < row["data_range"] < 3 for row in rows)


def test_the_resolved_recipe_leaves_nothing_open(plan: Plan) -> None:
    recipe = plan.recipe
    assert recipe.sensing == Component("cartesian_mri", {"encoding": "points"})
    assert recipe.noise is not None
    assert recipe.noise.kind == "complex_gaussian"
    assert recipe.images.fit == "resample"
    assert recipe.images.size == [16, 16]
    assert recipe.budget.calibration is not None
    assert plan.sensing.calibration_units(recipe.budget.calibration).tolist() == plan.pattern.calibration.tolist()
    assert recipe.training.threads == 1
    assert not find("designers", "learned").__module__.startswith("acqplan.plan.plan")  # designers aren't in plans
    assert "designer" not in {name.split(".")[0] for name in plan.reconstructor.state_dict()}


# --- refused --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"joint_share": 1.5}, "joint_share is 1.5"),
        ({"joint_share": -0.1}, "joint_share is -0.1"),
        ({"steps": 0}, "steps is 0"),
        ({"batch_size": 0}, "batch_size is 0"),
        ({"minutes": 1.0}, "Both minutes and steps"),
        ({"minutes": -1.0, "steps": None}, "minutes is -1.0"),
    ],
)
def test_impossible_settings_are_refused(scans: Path, change: dict[str, Any], message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        design(make_recipe(scans, **change))


def test_a_device_that_is_not_there_is_refused(scans: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(RecipeError, match="device 'cuda'"):
        design(make_recipe(scans, device="cuda"))


def test_images_that_are_not_there_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match="nowhere"):
        design(make_recipe(tmp_path / "nowhere"))
