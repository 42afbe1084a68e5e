"""Quality against budget: what each count of readings is worth, for several designers and reconstructors."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from acqplan.core import registry
from acqplan.core.errors import RecipeError
from acqplan.core.following import Follower, unfollowed
from acqplan.core.statistics import LEAST_SUBJECTS
from acqplan.core.words import with_settings
from acqplan.images import load_stacks
from acqplan.learning.base import with_base
from acqplan.learning.curve_points import Check, Course, Point, Quality, knee_of, spread_over_subjects
from acqplan.learning.evaluation import evaluate
from acqplan.learning.evidence import base_warnings
from acqplan.learning.frozen import Choice, chosen, tries_in
from acqplan.learning.image_sets import evaluation_images
from acqplan.learning.pace import Stopwatch
from acqplan.learning.problem import Problem
from acqplan.learning.resolve import Grounds
from acqplan.learning.serving import served, told
from acqplan.learning.training import fine_tuned, on_threads
from acqplan.learning.tuned_solver import check_solver, classical, tuned_solver
from acqplan.plan.components import Component
from acqplan.plan.modality import Modality, modality_named
from acqplan.plan.plan import Plan
from acqplan.plan.recipe import Recipe
from acqplan.workflow.evaluate import noise_table, paths_of, shared_places
from acqplan.workflow.results import RESULT_FORMAT

BUDGETS = ("16x", "8x", "6x", "4x", "2x")
SOLVERS = ("zero-filled", "tv")
NETWORK = "network"
MINUTES, MINUTES_WITH_BASE = 30.0, 10.0
_BASE_SHARE = 0.6  # of the time, where the base is trained first
_SEARCH_SHARE = 0.35  # of the time that is left once the images are read
_LEAST_CHECK_S = 20.0
_SOLVER_IMAGES = 3  # that its weight is chosen by
_JUDGED = 24
Kept = Callable[["Curve"], None]


@dataclass(frozen=True, eq=False)
class Curve:
    """What each budget is worth on images that no network was trained on.

    Parameters
    ----------
    courses
        Each designer's patterns with the base's network, then the classical reconstructors on those of the first one.
    checks
        Points at the ends and the knee of the best designer's course, fine-tuned.
    knee
        The budget from which on more readings bring less, as it was typed; None where there are too few.
    base
        The base's plan id; its network reconstructs all that isn't classical.
    tries
        Patterns that a search tried at each budget, about.
    recipe
        What the images, instrument and noise are.
    is_complete
        False of what there was when it was interrupted.
    """

    courses: tuple[Course, ...]
    checks: tuple[Check, ...]
    knee: str | None
    base: str
    tries: int
    recipe: Recipe
    n_images: int
    subjects: tuple[str, ...]
    unit_name: str
    noise: dict[str, Any]
    paths: list[str]
    warnings: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    is_complete: bool = True

    def table(self) -> dict[str, Any]:
        """JSON-ready: every number, and how to get it again."""
        return {
            "format": RESULT_FORMAT,
            "complete": self.is_complete,
            "curves": [
                {
                    "designer": course.designer,
                    "reconstructor": course.reconstructor,
                    "points": [point.spec() for point in course.points],
                }
                for course in self.courses
            ],
            "checks": [check.spec() for check in self.checks],
            "knee": self.knee,
            "base": self.base,
            "tries": self.tries,
            "unit": self.unit_name,
            "size": self.recipe.images.size,
            "seed": self.recipe.seed,
            "noise": self.noise,
            "paths": self.paths,
            "n_images": self.n_images,
            "n_subjects": len(self.subjects),
            "notes": list(self.notes),
            "warnings": list(self.warnings),
        }


def curve(
    recipe: Recipe,
    budgets: Sequence[str] = BUDGETS,
    *,
    designers: Sequence[str | Component] = (),
    solvers: Sequence[str | Component] = SOLVERS,
    test_images: str | Path | Sequence[str | Path] = (),
    limit: int | None = _JUDGED,
    tries: int | None = None,
    check_steps: int | None = None,
    base_file: str | Path | None = None,
    preparing: Follower = unfollowed,
    kept: Kept = lambda so_far: None,
) -> Curve:
    """Measure the image quality of several budgets, designers and reconstructors on held-out images.

    Each point is the pattern that a designer chooses with the network of a base (docs/bases.md), judged with that
    network as it is; points at the ends and at the knee are fine-tuned, so that it shows how far that is from a plan of
    its own. Classical solvers, their weights tuned, see the patterns of the first designer.

    Parameters
    ----------
    recipe
        Images, instrument, noise and, under ``training``, the base; its own budget and designer don't count. Without a
        base one is trained first. ``training.minutes`` is about how long all takes (10, without a base 30).
    budgets
        As they are typed: ``4x``, ``25%``, ``64 lines``, ``2min30s``.
    designers
        Kinds, or components with options; by default what is usual for the instrument, and its search.
    solvers
        Classical reconstructors; one without a given ``weight`` gets the best one.
    test_images
        Files, folders or samples to judge by in place of the images' own held-out subjects.
    limit
        So many images, as many of each subject; None: all.
    tries
        Patterns that a search tries at each budget, about; None: as many as the time allows.
    check_steps
        Steps of each fine-tuning; None: as many as the time allows; 0: no checks.
    base_file
        Where a base that is trained here is kept.
    preparing
        Told what is done.
    kept
        Called after each point with the curve so far: what there is if it is interrupted.

    Raises
    ------
    RecipeError, BudgetError
        A budget, designer or solver that isn't possible, or a base that doesn't serve several budgets.
    ImageError, PlanFileError
        The images or the base can't be used.
    """
    if not budgets:
        raise RecipeError("No budgets are given.", "Name several, like 8x, 4x and 2x.")
    watch = Stopwatch()
    minutes = recipe.training.minutes or (MINUTES if recipe.training.base is None else MINUTES_WITH_BASE)
    modality = modality_named(recipe.modality)
    usual = modality.compared_designers(with_base(recipe))
    compared = list({str(each): each for each in map(_component, designers or usual)}.values())
    classicals = [_component(each) for each in solvers]
    for solver in classicals:
        check_solver(solver)
    with tempfile.TemporaryDirectory(prefix="acqplan-") as folder, on_threads(recipe.training.threads):
        where = Path(folder) / "trained.acqbase" if base_file is None else Path(base_file)
        first = replace(recipe.with_settings("budget", amount=budgets[0]), designer=compared[0])
        first = first.with_settings("training", minutes=minutes, steps=None)
        grounds, base = served(first, where, _BASE_SHARE * minutes, watch, preparing)
        run = _Run(grounds, base, modality, test_images, limit, preparing, kept)
        # Every budget and designer is resolved before any takes its time: a mistake is told at once.
        problems = [_ordered(run, budgets, designer) for designer in compared]
        left_s = 60 * minutes - watch.seconds()
        run.tries = tries or tries_in(_SEARCH_SHARE * left_s, [problem for own in problems for _, problem in own])
        for designer, own in zip(compared, problems, strict=True):
            run.course(with_settings(designer.kind, designer.options), own)
        for solver in classicals:
            run.solver_course(solver)
        if check_steps != 0:
            run.check(60 * minutes - watch.seconds(), check_steps)
        return run.curve(is_complete=True)


class _Run:
    """The points so far, and what all of them are measured with."""

    def __init__(
        self,
        grounds: Grounds,
        base: Plan,
        modality: Modality,
        test_images: str | Path | Sequence[str | Path],
        limit: int | None,
        preparing: Follower,
        kept: Kept,
    ) -> None:
        self.grounds, self.base, self._modality = grounds, base, modality
        self._preparing, self._kept = preparing, kept
        self.tries = 0
        self._choices: dict[str, list[tuple[str, Choice]]] = {}
        self._courses: list[Course] = []
        self._checks: list[Check] = []
        self.notes: dict[str, None] = {}
        problem = grounds.problem()
        paths, own = paths_of(test_images) if test_images else [], problem.recipe.images.paths
        self._warnings = list(grounds.images.warnings)
        if paths:
            preparing("reading the test images", 0, 0)
            stacks = load_stacks(paths, require_non_negative=modality.takes_intensities, progress=preparing)
            prepared = evaluation_images(problem.recipe, stacks)
            records, self._warnings = prepared.test, [*self._warnings, *prepared.warnings]
            if seen := shared_places(paths, [*problem.recipe.images.all_paths, *base.recipe.images.all_paths]):
                self._warnings.append(f"The base was trained on images from {', '.join(seen)}: this is no evidence.")
        else:
            records = grounds.images.test
            self._warnings += base_warnings(problem, base)
        self.records = spread_over_subjects(records, limit)
        self._paths = paths or own
        self._subjects = tuple(sorted({record.subject for record in self.records}))
        if len(self._subjects) < LEAST_SUBJECTS:
            self._warnings.append(
                f"The held-out images are of {len(self._subjects)} subjects: an interval takes at least "
                f"{LEAST_SUBJECTS}. Hold out more of them, or name images of others to test on."
            )

    def course(self, designer: str, problems: Sequence[tuple[str, Problem]]) -> None:
        """A designer's patterns, chosen for and judged with the base's network."""
        points: list[Point] = []
        choices = self._choices.setdefault(designer, [])
        for amount, problem in problems:
            count = f"{problem.design.budget.n_readings} {problem.sensing.unit_name}s"
            self._preparing(f"{designer}, {count}", 0, 0)
            choice = chosen(problem, self.tries, told(f"{designer}, {count}: searching", self._preparing))
            rows = evaluate(choice.scene, {NETWORK: choice.network}, self.records).rows
            choices.append((amount, choice))
            points.append(self._point(amount, choice, Quality.of(rows, NETWORK), found=choice.found))
            self._keep(Course(designer, NETWORK, tuple(points)))

    def solver_course(self, solver: Component) -> None:
        """A classical reconstructor on the first designer's patterns."""
        designer, choices = next(iter(self._choices.items()))
        points: list[Point] = []
        weight: float | None = None
        for amount, choice in choices:
            self._preparing(f"{solver.kind}, {choice.scene.pattern.n_readings} readings", 0, 0)
            chosen_by = spread_over_subjects(self.grounds.images.validation, _SOLVER_IMAGES)[:_SOLVER_IMAGES]
            tuned = tuned_solver(solver, choice.scene, chosen_by, weight)
            weight = tuned.options.get("weight", weight)
            rows = evaluate(choice.scene, {solver.kind: classical(tuned)}, self.records).rows
            points.append(self._point(amount, choice, Quality.of(rows, solver.kind), options=tuned.options))
            self._keep(Course(designer, solver.kind, tuple(points)))

    def check(self, seconds: float, steps: int | None) -> None:
        """Fine-tune the best designer's network at the ends and the knee."""
        best, knee = self._best(), self._knee()
        places = sorted({0, len(best.points) - 1} | ({knee} if knee is not None else set()))
        each_s = seconds / len(places)
        if steps is None and each_s < _LEAST_CHECK_S:
            self.notes["No time was left to check points by fine-tuning: give more --minutes, or --check-steps."] = None
            return
        for place in places:
            amount, choice = self._choices[best.designer][place]
            length = {"steps": steps, "minutes": None} if steps else {"steps": None, "minutes": each_s / 60}
            recipe = choice.problem.recipe.with_settings("training", **length)
            problem = replace(choice.problem, recipe=recipe)
            network, taken = fine_tuned(
                problem,
                choice.scene.pattern,
                progress=told(f"fine-tuning at {amount}", self._preparing),
                preparing=self._preparing,
            )
            rows = evaluate(choice.scene, {NETWORK: network}, self.records).rows
            self._checks.append(Check(best.designer, best.points[place], taken, Quality.of(rows, NETWORK)))
            self._kept(self.curve(is_complete=False))

    def curve(self, *, is_complete: bool) -> Curve:
        """What there is so far."""
        grounds, knee = self.grounds, self._knee()
        return Curve(
            tuple(self._courses),
            tuple(self._checks),
            None if knee is None else self._best().points[knee].amount,
            self.base.plan_id,
            self.tries,
            grounds.recipe,
            len(self.records),
            self._subjects,
            grounds.sensing.unit_name,
            noise_table(grounds.noise),
            self._paths,
            tuple(dict.fromkeys(self._warnings)),
            tuple(self.notes),
            is_complete,
        )

    def _point(self, amount: str, choice: Choice, quality: Quality, **told: Any) -> Point:
        problem, scene = choice.problem, choice.scene
        budget = problem.design.budget
        costs = self._modality.costs(
            problem.recipe, scene.sensing, budget, scene.pattern, scene.noise, self.grounds.images
        )
        return Point(amount, budget, scene.pattern, tuple(costs), quality, **told)

    def _keep(self, course: Course) -> None:
        self._courses = [each for each in self._courses if each.name != course.name] + [course]
        self._kept(self.curve(is_complete=False))

    def _best(self) -> Course:
        """Of the complete courses of the base's network, that with the highest mean PSNR over all budgets."""
        own = [course for course in self._courses if course.reconstructor == NETWORK]
        whole = [course for course in own if len(course.points) == len(own[0].points)]
        return max(whole, key=lambda course: np.mean([point.quality.means["psnr_db"] for point in course.points]))

    def _knee(self) -> int | None:
        if not self._courses:
            return None
        points = self._best().points
        return knee_of(
            [point.budget.n_readings for point in points], [point.quality.means["psnr_db"] for point in points]
        )


def _component(named: str | Component) -> Component:
    return Component(named) if isinstance(named, str) else named


def _ordered(run: _Run, budgets: Sequence[str], designer: Component) -> list[tuple[str, Problem]]:
    """A problem for each budget, in ascending order of the count; each count once."""
    if registry.find("designers", designer.kind).is_learned:
        chosen(run.grounds.problem(budgets[0], designer), 0)  # refuses it
    found: dict[int, tuple[str, Problem]] = {}
    least, most = (run.base.recipe.designer.options.get(name) for name in ("least", "most"))
    for amount in budgets:
        problem = run.grounds.problem(amount, designer)
        found.setdefault(problem.design.budget.n_readings, (amount, problem))
        acceleration = problem.design.budget.acceleration
        run.notes.update(dict.fromkeys(problem.notes))
        if least is not None and most is not None and not 0.99 * least <= acceleration <= 1.01 * most:
            run.notes[
                f"The base was trained for {least:g}x to {most:g}x: at {amount} ({acceleration:.3g}x) its network is "
                "less sure to be as good as one of its own."
            ] = None
    return [found[count] for count in sorted(found)]
