"""A base network: trained on many patterns, and where other trainings start."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from builders.trainings import make_recipe

from acqplan.core.errors import RecipeError
from acqplan.core.seeding import torch_generator
from acqplan.designers.any_pattern import AnyPattern
from acqplan.designers.designer import DesignProblem
from acqplan.learning.batches import Batches
from acqplan.learning.problem import Problem, build_reconstructor
from acqplan.learning.resolve import resolve
from acqplan.learning.state import TrainingState
from acqplan.learning.training import design
from acqplan.modalities.mri.sensing import CartesianMRI
from acqplan.plan.components import Component
from acqplan.plan.plan import Plan
from acqplan.sensing.budget import Budget

LINES = {"encoding": "lines", "budget": "8"}


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory, scans: Path) -> Path:
    path = tmp_path_factory.mktemp("base") / "lab.acqbase"
    design(make_recipe(scans, designer="any-pattern", **LINES)).save(path)
    return path


def test_it_is_trained_on_budgets_from_least_to_most() -> None:
    sensing = CartesianMRI((64, 4), "lines")
    problem = DesignProblem(sensing, Budget(16, 64, 2), sensing.calibration_units(2), sensing.distance() + 0.1)
    designer, random = AnyPattern(problem, least=2, most=16), torch_generator(0, "designer")
    counts = np.array([int(designer.relaxed(random).sum()) for _ in range(200)])
    assert 3 <= counts.min() <= 4
    assert 30 <= counts.max() <= 32
    assert np.median(counts) == pytest.approx(np.sqrt(4 * 32), rel=0.2)  # even in the logarithm
    alike = AnyPattern(problem, least=4, most=4)
    left = np.array([int(alike.relaxed(random).sum()) for _ in range(200)])
    assert 0.03 < (left < 16).mean() < 0.2  # some lack readings, as an acquisition may
    assert left.min() >= 12
    with pytest.raises(RecipeError, match=re.escape("least = 8 and most = 4")):
        AnyPattern(problem, least=8, most=4)


def test_after_the_freeze_it_goes_on_drawing(scans: Path) -> None:
    for designer, draws_on in (("any-pattern", True), ("low-pass", False)):
        state = TrainingState(resolve(make_recipe(scans, designer=designer, **LINES)))
        state.freeze()
        drawn = {tuple(state.counts().tolist()) for _ in range(8)}
        assert (len(drawn) > 1) == draws_on


def started(scans: Path, base: Path, **settings: Any) -> Problem:
    return resolve(make_recipe(scans, **{"designer": "low-pass", **LINES, "base": str(base), **settings}))


def test_a_training_starts_from_its_network(scans: Path, base: Path) -> None:
    plan = Plan.load(base)
    problem = started(scans, base, reconstructor="unrolled")
    network = build_reconstructor(problem)
    for name, weight in plan.reconstructor.state_dict().items():
        assert torch.equal(network.state_dict()[name], weight)
    training = problem.recipe.training
    assert (training.joint_share, training.base_id) == (0.0, plan.plan_id)
    assert problem.recipe.reconstructor.options["channels"] == 2
    assert started(scans, base, designer="learned").recipe.training.joint_share > 0


def test_a_plan_from_a_base_is_made_again(scans: Path, base: Path) -> None:
    plan = design(make_recipe(scans, designer="swaps", base=str(base), **LINES))
    assert plan.evidence["search"]["rounds"] > 0
    assert design(plan.recipe).plan_id == plan.plan_id
    without = design(make_recipe(scans, designer="swaps", joint_share=0.0, **LINES))
    assert without.plan_id != plan.plan_id


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        ({"reconstructor": "unet"}, "is unrolled, the recipe's unet"),
        ({"encoding": "points"}, "measures otherwise (cartesian_mri, encoding = lines) than the recipe asks"),
        ({"modality": "dmd"}, "is for mri, the recipe for dmd"),
        ({"base_id": "0" * 64}, "the recipe was made with 000000000000…"),
    ],
)
def test_a_base_for_something_else_is_refused(scans: Path, base: Path, settings: dict[str, Any], problem: str) -> None:
    with pytest.raises(RecipeError, match=re.escape(problem)):
        started(scans, base, **settings)


def test_a_base_may_start_from_one_of_the_other_encoding(scans: Path, base: Path) -> None:
    problem = started(scans, base, designer="any-pattern", encoding="points")
    assert problem.sensing.spec()["encoding"] == "points"
    assert torch.equal(build_reconstructor(problem).state_dict()["raw_penalty"], weights_of(base)["raw_penalty"])


def weights_of(base: Path) -> dict[str, torch.Tensor]:
    return dict(Plan.load(base).reconstructor.state_dict())


def test_noise_is_drawn_from_its_range(scans: Path, base: Path) -> None:
    plan = Plan.load(base)
    recipe = plan.recipe.with_settings("training", noise_range=[0.5, 8.0])
    problem = resolve(replace(recipe, noise=Component("complex_gaussian", {"std": 0.1})))
    state = TrainingState(problem)
    batches = Batches(problem, state.device)
    levels = [batches.draw(state).sensing.noise_level for _ in range(60)]
    told = np.array([float(level[0]) for level in levels if level is not None])
    assert 0.05 <= told.min() < 0.07
    assert 0.6 < told.max() <= 0.8
    assert np.median(told) == pytest.approx(0.2, rel=0.4)  # even in the logarithm


def test_options_that_its_network_does_not_have_are_refused(scans: Path, base: Path) -> None:
    recipe = make_recipe(scans, designer="low-pass", base=str(base), **LINES)
    with pytest.raises(RecipeError, match="has channels = 2, the recipe's 16"):
        resolve(replace(recipe, reconstructor=Component("unrolled", {"channels": 16})))
