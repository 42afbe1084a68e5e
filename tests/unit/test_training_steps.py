"""What a step sees and moves: measured with noise, from its own random streams, judged on images of its own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from builders.trainings import JOINT, SLICES, STEPS, SUBJECTS, make_recipe

from acqplan.core.errors import PlanFileError, RecipeError
from acqplan.core.seeding import stream_seed, torch_generator
from acqplan.images import ImageRecord
from acqplan.learning import checkpoint
from acqplan.learning.batches import Batches
from acqplan.learning.evaluation import Scene, evaluate
from acqplan.learning.objective import Objective, build_objective
from acqplan.learning.problem import Problem
from acqplan.learning.progress import Progress
from acqplan.learning.resolve import resolve
from acqplan.learning.schedule import Schedule
from acqplan.learning.state import TrainingState
from acqplan.learning.step import take_step, update_designer
from acqplan.learning.training import design
from acqplan.modalities.mri.sensing import CartesianMRI
from acqplan.plan.recipe import Recipe
from acqplan.reconstructors.losses import Target
from acqplan.reconstructors.reconstructor import Reconstructor
from acqplan.reconstructors.zero_filled import ZeroFilled

MODALITIES = pytest.mark.parametrize("modality", ["mri", "dmd"])


def started(recipe: Recipe) -> tuple[Problem, TrainingState, Batches]:
    problem = resolve(recipe)
    state = TrainingState(problem)
    state.schedule = Schedule(STEPS, JOINT)
    return problem, state, Batches(problem, state.device)


def equal(a: Any, b: Any) -> bool:
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(equal(a[key], b[key]) for key in a)
    if isinstance(a, torch.Tensor | np.ndarray):
        return a.shape == b.shape and bool((a == b).all())
    return bool(a == b)


# --- noise ------------------------------------------------------------------------------------


@MODALITIES
def test_training_sees_the_noise_of_the_instrument(
    scans: Path,
    monkeypatch: pytest.MonkeyPatch,
    modality: str,
) -> None:
    """In both phases: the variance of what is measured about its truth is the one that the noise model states."""
    seen: list[Target] = []
    original = Objective.__call__

    def watched(self: Objective, network: Reconstructor, target: Target, generator: torch.Generator) -> torch.Tensor:
        seen.append(target)
        return original(self, network, target, generator)

    monkeypatch.setattr(Objective, "__call__", watched)
    plan = design(make_recipe(scans, modality=modality, reconstructor="unet", batch_size=8))
    assert len(seen) == STEPS
    for phase in (seen[:JOINT], seen[JOINT:]):
        found, stated = [], []
        for target in phase:
            assert target.truth is not None
            measured = target.counts[0] > 0
            noise = target.coefficients - target.sensing.coefficients(target.truth)
            found.append(noise[:, measured].detach().abs().square().flatten())
            variance = target.sensing.decoded_variance(plan.noise.variance(target.sensing(target.truth)))
            stated.append(variance[:, measured].flatten())
        assert float(torch.cat(found).mean() / torch.cat(stated).mean()) == pytest.approx(1, abs=0.1)


def test_noise_is_new_in_every_step(scans: Path) -> None:
    _, state, batches = started(make_recipe(scans, designer="low-pass"))
    drawn = []
    for _ in range(2):
        state.generators["batches"].manual_seed(0)  # the same images
        drawn.append(batches.draw(state))
    assert drawn[0].truth is not None
    assert drawn[1].truth is not None
    assert torch.equal(drawn[0].truth, drawn[1].truth)
    measured = drawn[0].counts[0] > 0
    assert (drawn[0].coefficients != drawn[1].coefficients)[:, measured].all()


# --- random numbers -----------------------------------------------------------------------------


def test_each_purpose_has_random_numbers_of_its_own(scans: Path) -> None:
    _, state, _ = started(make_recipe(scans, seed=5))
    seeds = {name: generator.initial_seed() for name, generator in state.generators.items()}
    assert seeds == {name: stream_seed(5, name) for name in ("batches", "noise", "designer", "criterion")}
    assert len(set(seeds.values())) == 4
    first = {name: torch.rand(4, generator=generator).tolist() for name, generator in state.generators.items()}
    assert len({tuple(numbers) for numbers in first.values()}) == 4


def test_the_noise_does_not_change_which_images_are_drawn(scans: Path) -> None:
    batches_drawn = []
    for seed in (1, 2):
        _, state, batches = started(make_recipe(scans))
        state.generators["noise"].manual_seed(seed)
        targets = [batches.draw(state) for _ in range(3)]
        batches_drawn.append(torch.cat([target.truth for target in targets if target.truth is not None]))
    assert torch.equal(*batches_drawn)


# --- what is judged -----------------------------------------------------------------------------


def validation_psnr(scene: Scene, network: Reconstructor, records: tuple[ImageRecord, ...]) -> float:
    return evaluate(scene, {"plan": network}, records).means["plan"]["psnr_db"]


def test_validation_is_on_validation_images(scans: Path) -> None:
    recipe = make_recipe(scans, reconstructor="unet")
    told: list[Progress] = []
    plan = design(recipe, progress=told.append)
    images, scene = resolve(recipe).images, Scene(plan.sensing, plan.pattern, plan.noise)
    last = told[-1].psnr_db
    assert last == pytest.approx(validation_psnr(scene, plan.reconstructor, tuple(images.validation)), abs=1e-6)
    for others in (images.train, images.test):
        assert abs(last - validation_psnr(scene, plan.reconstructor, tuple(others))) > 1e-3


def test_no_subject_is_in_two_parts_and_the_evidence_is_of_the_test_part(scans: Path) -> None:
    recipe = make_recipe(scans)
    images = resolve(recipe).images
    train, validation, test = (
        {record.subject for record in part} for part in (images.train, images.validation, images.test)
    )
    assert len(train | validation | test) == len(train) + len(validation) + len(test) == SUBJECTS
    evidence = design(recipe).evidence
    assert {row["subject"] for row in evidence["held_out"]["images"]} == test
    assert len(evidence["held_out"]["images"]) == SLICES == evidence["n_test"]
    assert evidence["n_train"] == SLICES * len(train)


# --- steps --------------------------------------------------------------------------------------


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_steps_convolve_in_the_precision_of_the_recipe_and_weights_stay_float32(scans: Path, precision: str) -> None:
    _, state, batches = started(make_recipe(scans, precision=precision))
    problem = resolve(make_recipe(scans, precision=precision))
    seen: list[torch.dtype] = []
    for module in state.network.modules():
        if isinstance(module, torch.nn.Conv2d):
            module.register_forward_hook(lambda module, given, result: seen.append(result.dtype))
    take_step(state, batches, build_objective(problem))
    assert set(seen) == {getattr(torch, precision)}
    assert {weights.dtype for weights in state.network.parameters()} == {torch.float32}
    seen.clear()
    target = batches.draw(state)
    state.network(target.coefficients, target.counts, target.sensing)
    assert set(seen) == {torch.float32}, "only training convolves in less"


def test_training_is_in_float32_unless_the_recipe_says_otherwise(scans: Path) -> None:
    for precision, expected in ((None, "float32"), ("bfloat16", "bfloat16")):
        assert resolve(make_recipe(scans, precision=precision)).recipe.training.precision == expected
    with pytest.raises(RecipeError, match="isn't trained in bfloat16"):
        resolve(make_recipe(scans, reconstructor="unet", precision="bfloat16"))


def test_each_step_takes_the_rate_of_its_schedule(scans: Path) -> None:
    problem, state, batches = started(make_recipe(scans))
    objective, schedule = build_objective(problem), state.schedule
    for step in range(STEPS):
        if step == JOINT:
            state.freeze()
        take_step(state, batches, objective)
        assert state.step == step + 1
        assert state.is_between_steps
        for optimiser, full in (("reconstructor", 2e-3), ("designer", 0.25)):
            assert state.optimisers[optimiser].param_groups[0]["lr"] == full * schedule.rate(step)


def test_joint_steps_move_both_and_fine_tuning_steps_the_network_alone(scans: Path) -> None:
    problem, state, batches = started(make_recipe(scans))
    objective = build_objective(problem)

    def numbers() -> tuple[torch.Tensor, torch.Tensor]:
        designer = torch.cat([each.flatten().double() for each in state.designer.state_dict().values()])
        return torch.cat([each.detach().flatten() for each in state.network.parameters()]).clone(), designer

    start = numbers()
    take_step(state, batches, objective)
    joint = numbers()
    state.freeze()
    order = state.pattern.order.copy() if state.pattern else None
    take_step(state, batches, objective)
    tuned = numbers()
    assert not torch.equal(joint[0], start[0])
    assert not torch.equal(joint[1], start[1])
    assert not torch.equal(tuned[0], joint[0])
    assert torch.equal(tuned[1], joint[1])
    assert state.pattern is not None
    assert np.array_equal(state.pattern.order, order)


def test_a_designer_is_told_the_error_of_each_unit_at_full_scale() -> None:
    """Zero-filled, without noise: nothing where it was measured, the truth's own energy where it wasn't."""
    sensing, scale = CartesianMRI((4, 6), "lines"), 10.0
    truth = torch.randn((3, 4, 6), dtype=torch.complex64, generator=torch_generator(0, "truth"))
    counts = torch.tensor([[1.0, 0.0, 1.0, 0.0]])
    coefficients = sensing.coefficients(truth)
    target = Target(coefficients * sensing.per_unit(counts), counts, sensing, truth)
    told: list[tuple[torch.Tensor, torch.Tensor]] = []

    class Listening:
        def learn(self, counts: torch.Tensor, errors: torch.Tensor) -> None:
            told.append((counts, errors))

    update_designer(Listening(), ZeroFilled(), target, scale)  # type: ignore[arg-type]
    ((told_counts, errors),) = told
    energy = coefficients.abs().square().flatten(2).sum(2).mean(0) / scale**2
    assert torch.equal(told_counts, counts[0])
    torch.testing.assert_close(errors, energy * (1 - counts[0]), rtol=1e-5, atol=1e-8)


# --- the state ------------------------------------------------------------------------------------


@pytest.mark.parametrize("frozen", [False, True])
def test_a_saved_state_comes_back_and_goes_on_the_same(scans: Path, tmp_path: Path, frozen: bool) -> None:
    recipe = make_recipe(scans)
    problem, state, batches = started(recipe)
    objective = build_objective(problem)
    take_step(state, batches, objective)
    if frozen:
        state.freeze()
        take_step(state, batches, objective)
    checkpoint.save(state.save(), tmp_path / "state")
    again = TrainingState(resolve(recipe))
    again.restore(checkpoint.load(tmp_path / "state"))
    assert equal(again.save(), state.save())
    assert again.pattern == state.pattern
    assert again.is_joint is not frozen
    assert take_step(again, batches, objective) == take_step(state, batches, objective)
    assert equal(again.save(), state.save())


def test_a_state_of_another_recipe_is_refused_and_nothing_changes(scans: Path) -> None:
    _, state, _ = started(make_recipe(scans))
    _, other, _ = started(make_recipe(scans, seed=1))
    before = other.save()
    assert state.recipe_digest != other.recipe_digest
    with pytest.raises(PlanFileError, match="another recipe or to other images"):
        other.restore(state.save())
    assert equal(other.save(), before)


def test_steps_on_a_throw_away_copy_leave_the_state_as_it_is(scans: Path) -> None:
    problem, state, batches = started(make_recipe(scans))
    objective = build_objective(problem)
    take_step(state, batches, objective)  # so that the optimisers hold something
    untouched = TrainingState(problem)
    untouched.schedule = state.schedule
    take_step(untouched, batches, objective)
    trial = state.throw_away_copy()
    for _ in range(2):
        take_step(trial, batches, objective)
    trial.freeze()
    take_step(trial, batches, objective)
    assert state.is_joint
    assert equal(state.save(), untouched.save())
