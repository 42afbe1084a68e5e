"""Another network on a plan's pattern."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from builders.trainings import make_recipe

from acqplan.core import registry
from acqplan.core.errors import AcqplanError, PlanFileError, RecipeError
from acqplan.designers.designer import DesignProblem
from acqplan.learning.training import design
from acqplan.modalities.mri.sensing import CartesianMRI
from acqplan.plan.components import Component
from acqplan.plan.plan import Plan
from acqplan.plan.recipe import BudgetSettings, Recipe
from acqplan.sensing.budget import Budget
from acqplan.sensing.pattern import Pattern


@pytest.fixture(scope="module")
def made(scans: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Plan]:
    """A plan whose order doesn't ascend and repeats two units."""
    plan = design(make_recipe(scans, designer="variable-density"))
    order = plan.pattern.order[::-1].copy()
    free = np.setdiff1d(order, plan.pattern.calibration)
    order[np.isin(order, free[:2])] = free[2]
    changed = replace(plan, pattern=Pattern(order, plan.pattern.n_units, plan.pattern.calibration))
    path = tmp_path_factory.mktemp("plans") / "given.acqplan"
    changed.save(path)
    return path, changed


def recipe_for(path: Path, folder: Path, **options: str) -> Recipe:
    return replace(make_recipe(folder), designer=Component("from-plan", {"plan": str(path), **options}))


def test_the_pattern_is_the_same_and_the_plan_another(made: tuple[Path, Plan], scans: Path) -> None:
    path, given = made
    assert given.pattern.counts.max() == 3
    plan = design(recipe_for(path, scans))
    assert plan.pattern.digest == given.pattern.digest
    assert np.array_equal(plan.pattern.order, given.pattern.order)
    assert np.array_equal(plan.pattern.calibration, given.pattern.calibration)
    assert plan.plan_id != given.plan_id
    assert plan.recipe.designer.options == {"plan": str(path), "digest": given.pattern.digest}
    assert design(plan.recipe).plan_id == plan.plan_id


def test_another_pattern_than_the_recipe_says_is_refused(made: tuple[Path, Plan], scans: Path) -> None:
    with pytest.raises(RecipeError, match=r"has the pattern .*, the recipe asks for 0123"):
        design(recipe_for(made[0], scans, digest="0123"))


def test_a_missing_plan_is_refused(tmp_path: Path, scans: Path) -> None:
    with pytest.raises(PlanFileError, match="No such file"):
        design(recipe_for(tmp_path / "none.acqplan", scans))
    with pytest.raises(RecipeError, match="--pattern-from"):
        design(replace(make_recipe(scans), designer=Component("from-plan")))


def test_another_budget_or_size_is_refused(made: tuple[Path, Plan], scans: Path) -> None:
    recipe = recipe_for(made[0], scans)
    with pytest.raises(RecipeError, match=r"measures 64 times.*Leave out --budget"):
        design(replace(recipe, budget=BudgetSettings("8x")))
    with pytest.raises(AcqplanError, match=r"Leave out the size"):
        design(recipe.with_settings("images", size=[8, 8]))


def test_another_sensing_model_of_the_same_size_is_refused(made: tuple[Path, Plan]) -> None:
    path, given = made
    sensing = CartesianMRI((256, 4), "lines")
    assert sensing.n_units == given.sensing.n_units
    budget = Budget(given.budget.n_readings, 256, given.budget.n_calibration)
    problem = DesignProblem(sensing, budget, given.pattern.calibration, np.ones(256))
    with pytest.raises(RecipeError, match="lines"):
        registry.find("designers", "from-plan")(problem, str(path))
