"""Training: exact, repeatable bit for bit, resumable, and without side effects."""

from __future__ import annotations

import json
import random
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from acqplan.core.errors import ImageError, PlanFileError, RecipeError
from acqplan.core.registry import find, kinds
from acqplan.learning import checkpoint, pace, training
from acqplan.learning.training import Progress, design
from acqplan.plan.plan import Plan
from acqplan.plan.recipe import BudgetSettings, Component, ImageSettings, Recipe, TrainingSettings
from acqplan.reconstructors.losses import MeanSquaredError, Target

SUBJECTS, SLICES, SIDE = 5, 3, 20
STEPS, JOINT = 8, 4
SMALL: dict[str, dict[str, Any]] = {
    "unet": {"channels": 2, "levels": 1},
    "unrolled": {"stages": 1, "channels": 2, "depth": 1, "start_iterations": 2},
    "wavelet": {"iterations": 4, "levels": 2},
}


def blobs(seed: int) -> np.ndarray[Any, Any]:
    """A few soft discs on a bright body: float32[SLICES, SIDE, SIDE]."""
    numbers = np.random.default_rng(seed)
    y, x = np.mgrid[-1 : 1 : SIDE * 1j, -1 : 1 : SIDE * 1j]
    images = np.zeros((SLICES, SIDE, SIDE))
    for image in images:
        image += 0.5 / (1 + np.exp(20 * (np.hypot(x, 1.2 * y) - 0.8)))
        for cy, cx, radius in numbers.uniform([-0.5, -0.5, 0.1], [0.5, 0.5, 0.3], (4, 3)):
            image += 0.3 / (1 + np.exp(30 * (np.hypot(x - cx, y - cy) - radius)))
    return images.astype(np.float32)


@pytest.fixture(scope="module")
def scans(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("images") / "scans"
    folder.mkdir()
    for i in range(SUBJECTS):
        np.save(folder / f"subject{i}.npy", blobs(i))
    return folder


def make_recipe(
    scans: Path,
    *,
    modality: str = "mri",
    designer: str = "learned",
    reconstructor: str = "unrolled",
    encoding: str = "points",
    budget: str = "4x",
    seed: int = 0,
    **settings: Any,
) -> Recipe:
    is_mri = modality == "mri"
    return Recipe(
        modality,
        seed,
        ImageSettings([str(scans)], [16, 16], None if is_mri else "resample"),
        Component("cartesian_mri", {"encoding": encoding}) if is_mri else None,
        BudgetSettings(budget),
        designer=Component(designer),
        reconstructor=Component(reconstructor, SMALL.get(reconstructor, {})),
        training=TrainingSettings(
            **{"steps": STEPS, "batch_size": 2, "joint_share": JOINT / STEPS, "threads": 1, **settings}
        ),
    )


class Stop(Exception):
    """Stands for whatever ends a training early."""


class Interrupt:
    """A listener that stops after a step."""

    def __init__(self, step: int, error: type[BaseException] = Stop) -> None:
        self.step, self.error = step, error

    def __call__(self, progress: Progress) -> None:
        if progress.step == self.step:
            raise self.error


def interrupt(recipe: Recipe, path: Path, step: int, error: type[BaseException] = Stop) -> None:
    with pytest.raises(error):
        design(recipe, progress=Interrupt(step, error), checkpoint=path)
    assert path.is_file()


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


# --- interrupted --------------------------------------------------------------------------------


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
