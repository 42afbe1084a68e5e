"""Quality against budget: its points are what a design from the same base would choose, on images held out from it."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
from builders.trainings import blobs, from_base

from acqplan.core.errors import AcqplanError, RecipeError
from acqplan.images import ImageRecord
from acqplan.learning.curve_points import Quality, knee_of, spread_over_subjects
from acqplan.learning.evaluation import Scene, evaluate
from acqplan.learning.resolve import grounds_of, resolve
from acqplan.learning.training import design
from acqplan.learning.tuned_solver import classical, tuned_solver
from acqplan.plan.components import Component
from acqplan.plan.plan import Plan
from acqplan.plan.recipe import BudgetSettings, Recipe
from acqplan.plan.recipe_text import to_toml
from acqplan.report.curve_figure import curve_figure
from acqplan.report.curve_page import curve_page
from acqplan.workflow.curve import Curve, curve
from acqplan.workflow.results import json_ready


@pytest.fixture(scope="module")
def found(family: Recipe, family_base: Path) -> Curve:
    kept: list[Curve] = []
    made = curve(
        from_base(family, family_base),
        ["2x", "8", "4x"],
        designers=["variable-density", "density"],
        solvers=["zero-filled", Component("tv", {"weight": 0.02, "iterations": 3})],
        limit=6,
        tries=16,
        check_steps=2,
        kept=kept.append,
    )
    assert [sum(len(course.points) for course in each.courses) for each in kept] == [
        *range(1, 9),
        8,
        8,
    ]  # the checks are last
    assert not any(each.is_complete for each in kept)
    return made


def test_its_points_are_what_a_design_from_the_base_chooses(found: Curve, family: Recipe, family_base: Path) -> None:
    assert [course.name for course in found.courses] == [
        "variable-density, network",
        "density, network",
        "variable-density, zero-filled",
        "variable-density, tv",
    ]
    network = Plan.load(family_base).reconstructor
    for course in found.courses[:2]:
        assert [point.budget.n_readings for point in course.points] == [4, 8]  # 2x and 8 are the same
        point = course.points[0]
        planned = from_base(family, family_base, steps=16)
        plan = design(replace(planned, budget=BudgetSettings("4x"), designer=Component(course.designer)))
        assert plan.pattern.digest == point.pattern.digest
        scene = Scene(plan.sensing, plan.pattern, plan.noise)
        records = spread_over_subjects(resolve(plan.recipe).images.test, 6)
        rows = evaluate(scene, {"base": network}, records).rows
        assert point.quality.means == pytest.approx(Quality.of(rows, "base").means)


def test_every_point_says_what_it_costs_and_how_sure_it_is(found: Curve) -> None:
    for course in found.courses:
        for point in course.points:
            assert point.costs[0].value == 0.5 * point.budget.n_readings
            low, high = point.quality.intervals["psnr_db"] or (0, 0)
            assert low < point.quality.means["psnr_db"] < high
            assert len(point.quality.per_subject) == 6
    assert found.subjects == tuple(found.courses[0].points[0].quality.per_subject)


def test_ends_are_checked_by_fine_tuning(found: Curve) -> None:
    best = max(found.courses[:2], key=lambda each: sum(point.quality.means["psnr_db"] for point in each.points))
    assert [(check.designer, check.point.budget.n_readings, check.steps) for check in found.checks] == [
        (best.designer, 4, 2),
        (best.designer, 8, 2),
    ]
    for check in found.checks:
        assert check.differences["psnr_db"] != 0
        after = check.point.quality.means["psnr_db"] + check.differences["psnr_db"]
        assert after == pytest.approx(check.quality.means["psnr_db"])


def test_the_same_settings_give_the_same_curve(found: Curve, family: Recipe, family_base: Path) -> None:
    again = curve(
        from_base(family, family_base),
        ["4x"],
        designers=["density"],
        solvers=(),
        limit=6,
        tries=found.tries,
        check_steps=0,
    )
    assert again.courses[0].points[0].spec() == found.courses[1].points[0].spec()


def test_table_picture_and_page_hold_all_of_it(found: Curve) -> None:
    table = json.loads(json.dumps(json_ready(found.table())))
    assert table["complete"]
    assert table["base"] == found.base
    assert [len(each["points"]) for each in table["curves"]] == [2, 2, 2, 2]
    assert table["curves"][0]["points"][0]["costs"] == {"time_s": 2.0}
    assert {each["fine_tuning_steps"] for each in table["checks"]} == {2}
    for measure in ("psnr_db", "ssim"):
        drawn = ElementTree.fromstring(curve_figure(found, measure))
        lines = drawn.findall(".//{*}polyline")
        assert len(lines) == len(found.courses)
        heights = [float(pair.split(",")[1]) for pair in (lines[0].get("points") or "").split()]
        rises = np.diff([point.quality.means[measure] for point in found.courses[0].points])
        assert (np.diff(heights) < 0).tolist() == (rises > 0).tolist()
        words = [each.text for each in drawn.findall(".//{*}text")]
        width = float((drawn.get("viewBox") or "").split()[2])
        long = replace(found.courses[0], designer="variable-density (power 3.5, rounds 8)")
        wider = ElementTree.fromstring(curve_figure(replace(found, courses=(long,), checks=()), measure))
        assert float((wider.get("viewBox") or "").split()[2]) > width  # names are never cut
        assert {"scan time / s", "density, network", "after fine-tuning", "bars: 95 % over subjects"} <= set(words)
    page = curve_page(found)
    assert page.count("<svg") == 2
    for course in found.courses:
        for point in course.points:
            assert f"<td>{point.quality.means['psnr_db']:.2f}</td>" in page


def test_of_few_subjects_it_says_how_many_an_interval_takes(family: Recipe, family_base: Path) -> None:
    few = from_base(family.with_settings("images", held_out=0.2), family_base)
    found = curve(few, ["4x"], designers=["low-pass"], solvers=(), check_steps=0)
    assert found.courses[0].points[0].quality.intervals["psnr_db"] is None
    assert any("of 3 subjects: an interval takes at least 6" in warning for warning in found.warnings)
    assert any("may have seen the held-out ones" in warning for warning in found.warnings)


def test_other_images_may_be_judged_by(family: Recipe, family_base: Path, tmp_path: Path) -> None:
    np.save(tmp_path / "other.npy", blobs(99))
    planned = from_base(family, family_base)
    found = curve(
        planned, ["4x"], designers=["low-pass"], solvers=(), check_steps=0, test_images=tmp_path / "other.npy"
    )
    assert found.subjects == ("other.npy",)
    assert found.n_images == len(blobs(99))
    seen = curve(planned, ["4x"], designers=["low-pass"], solvers=(), check_steps=0, test_images=family.images.paths)
    assert any("this is no evidence" in warning for warning in seen.warnings)
    assert not any("this is no evidence" in warning for warning in found.warnings)


def test_without_a_base_one_is_trained_first(family: Recipe, tmp_path: Path) -> None:
    planned = replace(family.with_settings("training", steps=None, minutes=0.01), designer=None)
    kept = tmp_path / "lab.acqbase"
    found = curve(planned, ["4x"], designers=["low-pass"], solvers=(), base_file=kept)
    plan = Plan.load(kept)
    assert found.base == plan.plan_id
    assert plan.recipe.designer.kind == "any-pattern"
    assert plan.recipe.training.noise_range == [0.3, 4.0]
    again = curve(from_base(planned, kept), ["4x"], designers=["low-pass"], solvers=(), check_steps=0)
    assert again.courses[0].points[0].quality.means == found.courses[0].points[0].quality.means


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        ({"budgets": []}, "No budgets are given"),
        ({"budgets": ["4x", "0.5x"]}, "measures more than everything"),
        ({"designers": ["learned"]}, "learns its pattern together with a network"),
        ({"designers": ["nonsense"]}, "nonsense"),
        ({"solvers": ["unet"]}, "is trained; asked for was one that isn't"),
        ({"solvers": [Component("tv", {"nonsense": 1})]}, "nonsense"),
    ],
)
def test_what_cant_be_is_told_before_anything_is_measured(
    family: Recipe, family_base: Path, settings: dict[str, Any], problem: str
) -> None:
    asked = {"budgets": ["4x"], "designers": ["low-pass"], "solvers": (), "check_steps": 0, **settings}
    with pytest.raises(AcqplanError, match=re.escape(problem)):
        curve(
            from_base(family, family_base), asked.pop("budgets"), kept=lambda so_far: pytest.fail("measured"), **asked
        )


def test_a_plan_for_one_pattern_is_no_base_of_a_curve(family: Recipe, family_base: Path, tmp_path: Path) -> None:
    path = tmp_path / "one.acqplan"
    design(replace(from_base(family, family_base, steps=1), designer=Component("low-pass"))).save(path)
    with pytest.raises(RecipeError, match=re.escape("was trained for one pattern of 8 of 16 lines")):
        curve(from_base(family, path), ["4x"])


@pytest.mark.parametrize(("amount", "designer"), [("4x", "low-pass"), ("12", "swaps"), ("2x", "learned")])
def test_one_reading_of_the_images_serves_every_budget(
    family: Recipe, family_base: Path, amount: str, designer: str
) -> None:
    asked = from_base(family, family_base, steps=4)
    wanted = resolve(replace(asked.with_settings("budget", amount=amount), designer=Component(designer)))
    first = replace(asked, designer=Component("low-pass" if designer != "learned" else "learned"))
    problem = grounds_of(first).problem(amount, Component(designer))
    assert to_toml(problem.recipe) == to_toml(wanted.recipe)
    assert problem.design.budget == wanted.design.budget
    assert np.array_equal(problem.design.calibration, wanted.design.calibration)


def test_a_solver_gets_the_weight_that_suits(family: Recipe) -> None:
    problem = resolve(family)
    scene = Scene(problem.sensing, design(family).pattern, problem.noise)
    asked = Component("tv", {"iterations": 20})
    tuned = tuned_solver(asked, scene, problem.images.validation)

    def psnr_db(weight: float) -> float:
        solver = classical(Component("tv", {"iterations": 20, "weight": weight}))
        return evaluate(scene, {"tv": solver}, problem.images.validation).means["tv"]["psnr_db"]

    best = tuned.options["weight"]
    assert psnr_db(best) >= max(psnr_db(best * 10**0.5), psnr_db(best / 10**0.5))
    assert tuned_solver(asked, scene, problem.images.validation, start=1.0).options["weight"] == best
    given = Component("tv", {"weight": 0.5})
    assert tuned_solver(given, scene, problem.images.validation) == given


def test_the_knee_is_where_more_readings_start_to_bring_less() -> None:
    assert knee_of([1, 2, 3, 4, 5], [0, 4, 8, 9, 10]) == 2
    assert knee_of([1, 2, 3, 4, 5], [10, 6, 2, 1, 0]) == 2  # of errors
    assert knee_of([1, 2], [0, 1]) is None
    assert knee_of([1, 2, 3], [1, 2, 1]) is None


def test_images_are_spread_evenly_over_subjects() -> None:
    def record(subject: str, index: int) -> ImageRecord:
        return ImageRecord(np.zeros((2, 2), np.float32), subject, subject, index, 1.0, True)

    records = [record("a", i) for i in range(20)] + [record("b", i) for i in range(2)]
    chosen = spread_over_subjects(records, 8)
    assert [(each.subject, each.index) for each in chosen] == [
        *(("a", i) for i in (2, 7, 12, 17)),
        *(("b", i) for i in (0, 1)),
    ]
    assert {each.subject for each in spread_over_subjects(records, 1)} == {"a", "b"}
    assert len(spread_over_subjects(records, None)) == 22
