"""The smallest budget that reaches a target, on subjects that it is chosen by, and what it comes to on others."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from builders.trainings import blobs, from_base

from acqplan.core.errors import ImageError, RecipeError
from acqplan.core.seeding import torch_generator
from acqplan.learning.curve_points import Quality
from acqplan.learning.evaluation import Scene, evaluate
from acqplan.learning.problem import build_designer
from acqplan.learning.resolve import grounds_of, resolve
from acqplan.learning.training import design
from acqplan.plan.components import Component
from acqplan.plan.plan import Plan
from acqplan.plan.recipe import BudgetSettings, Recipe
from acqplan.workflow.target import SmallestBudget, Target, counts_of, first_reaching, smallest_budget

MEASURES = ("psnr_db", "ssim", "nrmse", "hfen")


@pytest.fixture(scope="module")
def planned(family: Recipe, family_base: Path) -> Recipe:
    recipe = from_base(family, family_base, steps=2)
    return replace(recipe, budget=BudgetSettings(), designer=Component("low-pass"))


@pytest.fixture(scope="module")
def found(planned: Recipe) -> SmallestBudget:
    return smallest_budget(planned, "psnr 24")


def test_it_is_the_smallest_of_all_counts(found: SmallestBudget, planned: Recipe, family_base: Path) -> None:
    problem, network = resolve(planned.with_settings("budget", amount="8")), Plan.load(family_base).reconstructor
    assert len(found.subjects) == 4
    bounds = {}
    grounds = grounds_of(planned.with_settings("budget", amount="8"))
    for count in range(1, 17):
        pattern = build_designer(grounds.problem(str(count))).freeze(torch_generator(0, "any"))
        scene = Scene(problem.sensing, pattern, problem.noise)
        quality = Quality.of(evaluate(scene, {"base": network}, problem.images.validation).rows, "base")
        bounds[count] = found.target.bound(quality, 0.9) or 0
    assert found.chosen.count == min(count for count, bound in bounds.items() if bound >= 24)
    for trial in found.trials:
        assert trial.bound == pytest.approx(bounds[trial.count], abs=1e-4)
    assert len(found.trials) < 12
    assert found.recipe.budget.amount == str(found.chosen.count)
    assert f"{found.chosen.count} of 16 lines" in found.text


def test_a_plan_is_stated_on_subjects_that_it_was_not_chosen_by(found: SmallestBudget) -> None:
    plan = design(found.recipe)
    stated = found.stated(plan)
    assert not set(found.subjects) & set(plan.evidence["held_out"]["subjects"])
    by_subject = [values["plan"]["psnr_db"] for values in plan.evidence["held_out"]["subjects"].values()]
    assert stated.mean == pytest.approx(np.mean(by_subject))
    assert stated.n_subjects == 6
    assert stated.bound is not None
    assert stated.bound < stated.mean
    assert stated.is_reached == (stated.mean >= 24)
    far = replace(found, target=Target("psnr_db", 99))
    assert "NOT REACHED" in far.stated(plan).text
    between = replace(found, target=Target("psnr_db", (stated.mean + stated.bound) / 2))
    assert "reached in the mean, not with that confidence" in between.stated(plan).text


def test_smaller_is_better_of_an_error(planned: Recipe) -> None:
    found = smallest_budget(planned, "nrmse 0.2")
    assert found.chosen.mean < found.chosen.bound <= 0.2
    below = [trial for trial in found.trials if trial.count < found.chosen.count]
    assert below
    assert all(trial.bound > 0.2 for trial in below)
    assert "NRMSE of at most 0.2" in found.text


def test_a_search_by_halves_finds_the_first_step_of_any_stairs() -> None:
    for n in (1, 2, 3, 50):
        for first in range(n):
            tried = []

            def reaches(place: int, first: int = first, tried: list[int] = tried) -> bool:
                tried.append(place)
                return place >= first

            assert first_reaching(n, reaches) == first
            assert len(set(tried)) <= 9


def test_an_unlucky_pattern_hides_no_smaller_budget() -> None:
    reaching = {20, *range(22, 50)}
    assert first_reaching(50, reaching.__contains__) == 20


def test_with_more_subjects_some_are_set_apart(family: Recipe, family_base: Path) -> None:
    usual = family.with_settings("images", held_out=0.2, validation=0.1)
    recipe = replace(from_base(usual, family_base, steps=2), budget=BudgetSettings(), designer=Component("low-pass"))
    found = smallest_budget(recipe, "psnr 24")
    assert len(found.subjects) == 4
    images = resolve(found.recipe).images
    assert len({record.subject for record in images.test}) == 4
    assert {record.subject for record in images.validation} == set(found.subjects)


def test_other_images_choose_and_keep_back(planned: Recipe, tmp_path: Path) -> None:
    for i in range(5):
        np.save(tmp_path / f"other{i}.npy", blobs(50 + i))
    found = smallest_budget(planned, "psnr 24", confidence=0.85, test_images=tmp_path)
    stated = found.stated(design(found.recipe))
    assert len(found.subjects) == 3
    assert all(name.startswith("other") for name in found.subjects)
    assert stated.n_subjects == 2
    assert stated.bound is None
    assert "takes 3 subjects" in stated.text


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("36", "can't be understood"),
        ("psnr", "can't be understood"),
        ("frc 0.3", "can't be understood"),
        ("ssim 1.2", "is no value of SSIM"),
        ("psnr 0", "is no value of PSNR"),
        ("nrmse -1", "can't be understood"),
    ],
)
def test_a_target_that_is_none_is_refused(text: str, problem: str) -> None:
    with pytest.raises(RecipeError, match=re.escape(problem)):
        Target.parse(text, MEASURES)


def test_targets_are_typed_as_people_say_them() -> None:
    assert Target.parse("psnr 36", MEASURES) == Target.parse(" PSNR >= 36.0 dB", MEASURES) == Target("psnr_db", 36)
    assert Target.parse("hfen<=.3", MEASURES) == Target("hfen", 0.3)
    assert Target.parse("frc 0.2", (*MEASURES[:3], "frc")) == Target("frc", 0.2)


def test_what_cant_be_reached_is_said(planned: Recipe) -> None:
    with pytest.raises(
        RecipeError, match=re.escape("No budget reaches a PSNR of at least 150 dB with 90% confidence: ")
    ):
        smallest_budget(planned, "psnr 150")


def test_too_few_subjects_are_told_how_many_it_takes(planned: Recipe) -> None:
    with pytest.raises(ImageError, match=re.escape("takes at least 7")) as caught:
        smallest_budget(planned, "psnr 24", confidence=0.99)
    assert "at least 15 subjects, or --test-images of 14 others, or --confidence 0.93" in caught.value.remedy


@pytest.mark.parametrize(
    ("changed", "settings", "problem"),
    [
        ({}, {"confidence": 1.0}, "The confidence is 1"),
        ({"budget": BudgetSettings("4x")}, {}, "The budget is 4x, and a target is given"),
        ({"designer": Component("learned")}, {}, "learns its pattern together with a network"),
    ],
)
def test_what_contradicts_is_refused(
    planned: Recipe, changed: dict[str, object], settings: dict[str, float], problem: str
) -> None:
    with pytest.raises(RecipeError, match=re.escape(problem)):
        smallest_budget(replace(planned, **changed), "psnr 24", **settings)  # type: ignore[arg-type]
    with pytest.raises(RecipeError, match="A target takes a base"):
        smallest_budget(planned.with_settings("training", base=None), "psnr 24")


def test_one_plan_is_not_enough_for_a_base(planned: Recipe, tmp_path: Path) -> None:
    path = tmp_path / "one.acqplan"
    design(planned.with_settings("budget", amount="8")).save(path)
    with pytest.raises(RecipeError, match="was trained for one pattern"):
        smallest_budget(planned.with_settings("training", base=str(path)), "psnr 24")


def test_without_a_base_one_is_trained_and_kept(planned: Recipe, tmp_path: Path) -> None:
    path = tmp_path / "lab.acqbase"
    alone = planned.with_settings("training", base=None, steps=None, minutes=0.02)
    found = smallest_budget(alone, "psnr 15", base_file=path)
    base = Plan.load(path)
    assert base.recipe.designer.kind == "any-pattern"
    plan = design(found.recipe.with_settings("training", minutes=None, steps=1))
    assert plan.recipe.training.base_id == base.plan_id
    assert (plan.recipe.designer.kind, plan.budget.n_readings) == ("low-pass", found.chosen.count)
    assert set(found.subjects) == {record.subject for record in resolve(plan.recipe).images.validation}


def test_only_counts_that_the_instrument_can_measure_are_looked_at(planned: Recipe, family_base: Path) -> None:
    base = Plan.load(family_base)
    grounds = grounds_of(planned.with_settings("budget", amount="8"))
    assert counts_of(grounds, base) == (list(range(1, 17)), 8)
    trains = planned.with_settings("budget", amount="8").with_settings("pattern", echo_train=3, partial_fourier=0.75)
    counts, _ = counts_of(grounds_of(trains.with_settings("budget", amount="6")), base)
    assert counts == [3, 6, 9, 12]
    required = planned.with_settings("budget", amount="8").with_settings("pattern", required="0-4")
    assert counts_of(grounds_of(required), base)[0][0] >= 5


def test_many_units_are_looked_at_in_steps_of_a_hundredth(planned: Recipe, family_base: Path) -> None:
    points = planned.with_settings("budget", amount="64").with_settings("training", base=None, steps=1)
    counts, _ = counts_of(grounds_of(replace(points, sensing=Component("cartesian_mri"))), Plan.load(family_base))
    assert (counts[0], counts[-1]) == (16, 256)
    steps = np.diff(counts)
    assert steps[0] == 1
    assert (steps <= np.maximum(1, np.array(counts[:-1]) // 100)).all()
