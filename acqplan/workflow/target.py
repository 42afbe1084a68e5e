"""The smallest budget that gives the image quality which is asked for, with a stated confidence over subjects."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from acqplan.core.errors import BudgetError, ImageError, RecipeError
from acqplan.core.following import Follower, unfollowed
from acqplan.core.measures import MEASURES
from acqplan.core.seeding import numpy_generator
from acqplan.core.statistics import least_subjects, lower_bound
from acqplan.images import ImageRecord, load_stacks
from acqplan.learning.base import with_base
from acqplan.learning.curve_points import Quality, spread_over_subjects
from acqplan.learning.evaluation import Scene, evaluate
from acqplan.learning.evidence import base_warnings
from acqplan.learning.frozen import chosen
from acqplan.learning.image_sets import evaluation_images
from acqplan.learning.pace import Stopwatch
from acqplan.learning.resolve import DEFAULT_MINUTES, Grounds, designer_for
from acqplan.learning.serving import served, told
from acqplan.learning.training import on_threads
from acqplan.plan.base_recipe import BUDGET
from acqplan.plan.modality import modality_named
from acqplan.plan.plan import Plan
from acqplan.plan.recipe import Recipe
from acqplan.workflow.evaluate import paths_of, shared_places

CONFIDENCE = 0.9
_TRIES = 32  # of a search at each budget
_JUDGED = 24
_FINEST = 100  # counts that are looked at lie a hundredth apart, or a reading
_LOOKED_BELOW = 2
_BASE_SHARE = 0.5
_LEAST_MINUTES = 1.0
_TYPICAL = {"psnr_db": 36, "ssim": 0.95, "nrmse": 0.05, "hfen": 0.2, "frc": 0.3}


@dataclass(frozen=True)
class Target:
    """A measure (`acqplan.core.measures`) and the value that its mean over subjects shall reach."""

    measure: str
    value: float

    @classmethod
    def parse(cls, text: str, measures: Sequence[str]) -> Target:
        """``psnr 36``, ``ssim 0.95``, ``nrmse 0.05``, of one of these measures.

        Raises
        ------
        RecipeError
            It can't be understood, or no image has such a value.
        """
        words = {MEASURES[name].word.split()[0].lower(): name for name in measures}
        known = ", ".join(f"{word} {_TYPICAL[name]}" for word, name in words.items())
        found = re.fullmatch(r"\s*([a-z]+)\s*(?:[<>]?=?)\s*(\d+(?:\.\d*)?|\.\d+)\s*(?:db)?\s*", text.lower())
        if found is None or found[1] not in words:
            raise RecipeError(f"The target {text!r} can't be understood.", f"Write a measure and a value: {known}.")
        measure, value = words[found[1]], float(found[2])
        most = {"psnr_db": 200.0, "frc": 0.5}.get(measure, 1.0)
        if not 0 < value < most:
            raise RecipeError(
                f"The target {text!r} is no value of {MEASURES[measure].word}.", f"Give one between 0 and {most:g}."
            )
        return cls(measure, value)

    def bound(self, values: Quality, confidence: float) -> float | None:
        """What the mean over subjects is at worst, with this confidence; None of too few subjects."""
        sign = 1 if MEASURES[self.measure].larger_is_better else -1
        least = lower_bound(sign * values.values[self.measure], values.subjects, confidence)
        return None if least is None else sign * least

    def is_reached(self, value: float) -> bool:
        """Whether a value is as good or better."""
        return value >= self.value if MEASURES[self.measure].larger_is_better else value <= self.value

    def __str__(self) -> str:
        measure = MEASURES[self.measure]
        side = "at least" if measure.larger_is_better else "at most"
        return f"{measure.word} of {side} {self.value:g}{measure.unit}"

    def text(self, value: float) -> str:
        """``36.20 dB``."""
        measure = MEASURES[self.measure]
        return f"{measure.text(value)}{measure.unit}"


@dataclass(frozen=True)
class Trial:
    """One count: mean over the subjects that the budget is chosen by, and what it is at worst."""

    count: int
    mean: float
    bound: float


@dataclass(frozen=True)
class Statement:
    """What a plan came to on subjects that its budget wasn't chosen by.

    ``bound`` is None of too few subjects.
    """

    mean: float
    bound: float | None
    n_subjects: int
    text: str
    is_reached: bool
    """The mean reaches the target."""


@dataclass(frozen=True, eq=False)
class SmallestBudget:
    """The smallest budget whose image quality reaches a target.

    Parameters
    ----------
    recipe
        To design with: the exact count, the base, and the shares of the subjects.
    trials
        Every count that was tried, in ascending order.
    chosen
        The smallest one.
    subjects
        That it was chosen by.
    """

    target: Target
    confidence: float
    recipe: Recipe
    count: str
    chosen: Trial
    trials: tuple[Trial, ...]
    subjects: tuple[str, ...]
    warnings: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    _kept_back: tuple[ImageRecord, ...] = field(default=(), repr=False)

    @property
    def text(self) -> str:
        """One sentence."""
        target, chosen = self.target, self.chosen
        return (
            f"{self.count} are the smallest budget found with a {target} with {self.confidence:.0%} confidence: mean "
            f"of {len(self.subjects)} subjects {target.text(chosen.mean)}, bound {target.text(chosen.bound)} (network "
            "of the base, before fine-tuning)."
        )

    def stated(self, plan: Plan) -> Statement:
        """What a plan of this budget comes to on the subjects that were kept back."""
        scene = Scene(plan.sensing, plan.pattern, plan.noise)
        rows = evaluate(scene, {"plan": plan.reconstructor}, self._kept_back).rows
        quality, target = Quality.of(rows, "plan"), self.target
        mean, bound = quality.means[target.measure], target.bound(quality, self.confidence)
        n, is_reached = len(set(quality.subjects)), target.is_reached(mean)
        told = f"On {n} subject{'s' * (n != 1)} that it wasn't chosen by, the plan has {target.text(mean)} in the mean"
        if bound is None:
            told += f" (a bound with {self.confidence:.0%} confidence takes {least_subjects(self.confidence)} subjects)"
        else:
            told += f", {target.text(bound)} at worst with {self.confidence:.0%} confidence"
        how = "reached" if is_reached else "NOT REACHED; give a higher target, or more images to choose by"
        if is_reached and bound is not None and not target.is_reached(bound):
            how = "reached in the mean, not with that confidence"
        return Statement(mean, bound, n, f"{told}: {how}.", is_reached)


def smallest_budget(
    recipe: Recipe,
    target: str,
    *,
    confidence: float = CONFIDENCE,
    test_images: str | Path | Sequence[str | Path] = (),
    base_file: str | Path | None = None,
    preparing: Follower = unfollowed,
) -> SmallestBudget:
    """Find the smallest count of readings whose images reach a target, by bisection with the network of a base.

    The mean over subjects has to reach it with the confidence, on validation subjects; the subjects held out are kept
    back for `SmallestBudget.stated`. More of both are set apart than usual where the confidence takes it. At each count
    the recipe's designer chooses a pattern with the base's network as it is.

    Parameters
    ----------
    recipe
        As of a design, without a budget. Without a base one is trained first, in half of the minutes.
    target
        ``psnr 36``, ``ssim 0.95``, ``nrmse 0.05``, or the instrument's measure of resolution.
    confidence
        One-sided, at least 0.5 and below 1.
    test_images
        Files, folders or samples: half of their subjects choose the budget, half are kept back, in place of those of
        the recipe's images.
    base_file
        Where a base that is trained here is kept.
    preparing
        Told what is done.

    Raises
    ------
    RecipeError
        The target can't be understood, or no count up to all of them reaches it.
    ImageError
        There are too few subjects for the confidence.
    """
    watch, modality = Stopwatch(), modality_named(recipe.modality)
    wanted = Target.parse(target, modality.measures)
    if not 0.5 <= confidence < 1:
        raise RecipeError(f"The confidence is {confidence:g}.", "Give a share from 0.5 to 0.99, such as 0.9.")
    if recipe.budget.amount:
        raise RecipeError(
            f"The budget is {recipe.budget.amount}, and a target is given, which asks for one.", "Give one of them."
        )
    training, least = recipe.training, least_subjects(confidence)
    minutes = training.minutes or (DEFAULT_MINUTES if training.steps is None else None)
    if training.base is None and base_file is None:
        raise RecipeError("A target takes a base, and none is named.", "Add --base FILE, made by acqplan base.")
    first = recipe.with_settings("budget", amount=BUDGET).with_settings("training", minutes=minutes)
    first = replace(first, designer=designer_for(with_base(recipe)))
    where, of_base = Path(base_file or ""), _BASE_SHARE * (minutes or DEFAULT_MINUTES)
    with on_threads(training.threads):
        alike = 1 if test_images else least
        grounds, base = served(first, where, of_base, watch, preparing, least_subjects=alike)
        choosing, kept_back, warnings = _divided(grounds, base, test_images, preparing)
        _check_subjects(choosing, confidence)
        search = _Search(grounds, wanted, confidence, spread_over_subjects(choosing, _JUDGED), preparing)
        found = search.smallest(*counts_of(grounds, base))
    known = grounds.recipe
    resolved = recipe.with_settings("budget", amount=str(found.count)).with_settings(
        "images", held_out=known.images.held_out, validation=known.images.validation
    )
    resolved = resolved.with_settings("training", base=known.training.base)
    if minutes is not None:
        resolved = resolved.with_settings("training", minutes=max(_LEAST_MINUTES, minutes - watch.seconds() / 60))
    unit = grounds.sensing.unit_name
    return SmallestBudget(
        wanted,
        confidence,
        resolved,
        f"{found.count} of {grounds.sensing.n_units} {unit}s ({grounds.sensing.n_units / found.count:.3g}x)",
        found,
        tuple(sorted(search.trials.values(), key=lambda trial: trial.count)),
        tuple(sorted({record.subject for record in choosing})),
        tuple(dict.fromkeys(warnings)),
        tuple(search.notes),
        spread_over_subjects(kept_back, _JUDGED),
    )


class _Search:
    """Tries counts, each once."""

    def __init__(
        self,
        grounds: Grounds,
        target: Target,
        confidence: float,
        records: Sequence[ImageRecord],
        preparing: Follower,
    ) -> None:
        self._grounds, self._target, self._confidence = grounds, target, confidence
        self._records, self._preparing = records, preparing
        self.trials: dict[int, Trial] = {}
        self.notes: list[str] = []

    def smallest(self, counts: Sequence[int], trained_to: int) -> Trial:
        """The smallest of ascending counts that reaches the target; ``trained_to``: the base's largest."""
        unit, n_units = self._grounds.sensing.unit_name, self._grounds.sensing.n_units
        last, target = self.trial(counts[-1]), self._target
        if not target.is_reached(last.bound):
            raise RecipeError(
                f"No budget reaches a {target} with {self._confidence:.0%} confidence: with {counts[-1]} of {n_units} "
                f"{unit}s, all that may be measured, the mean is {target.text(last.mean)} and the bound "
                f"{target.text(last.bound)}.",
                "Ask for less, or take images or a base with less noise.",
            )
        reaching = first_reaching(len(counts), lambda place: target.is_reached(self.trial(counts[place]).bound))
        if reaching == 0:
            self.notes.append(f"{counts[0]} {unit}s, the fewest that the base was trained for, reach it already.")
        if counts[reaching] > trained_to:
            self.notes.append(
                f"The base was trained for up to {trained_to} {unit}s: beyond, its network is less sure to be as good "
                "as one of its own."
            )
        return self.trials[counts[reaching]]

    def trial(self, count: int) -> Trial:
        """Mean and bound of one count."""
        if count not in self.trials:
            name = f"{count} {self._grounds.sensing.unit_name}s"
            self._preparing(f"trying {name}", 0, 0)
            choice = chosen(self._grounds.problem(str(count)), _TRIES, told(f"trying {name}", self._preparing))
            rows = evaluate(choice.scene, {"base": choice.network}, self._records).rows
            quality = Quality.of(rows, "base")
            bound = self._target.bound(quality, self._confidence)
            assert bound is not None
            self.trials[count] = Trial(count, quality.means[self._target.measure], bound)
        return self.trials[count]


def first_reaching(n: int, reaches: Callable[[int], bool]) -> int:
    """The first of n places that reaches something which the last one does, by halving.

    A place may fail though one a little before it reaches: its pattern was an unlucky draw. So the two places before
    the one that is found are looked at as well.
    """
    if reaches(0):
        return 0
    failing, reaching = 0, n - 1
    while reaching - failing > 1:
        middle = (failing + reaching) // 2
        if reaches(middle):
            reaching = middle
        else:
            failing = middle
    below = range(max(1, reaching - _LOOKED_BELOW), reaching)
    return min([place for place in below if reaches(place)], default=reaching)


def counts_of(grounds: Grounds, base: Plan) -> tuple[list[int], int]:
    """Counts that are possible and looked at, ascending; and the largest that the base was trained for."""
    design, options = grounds.problem().design, base.recipe.designer.options
    per_shot, n_units = design.budget.readings_per_shot, design.sensing.n_units
    most = design.measurable_units.size // per_shot * per_shot
    counts = [-(-round(n_units / options["most"]) // per_shot) * per_shot]
    while counts[-1] < most:
        counts.append(min(most, counts[-1] + max(1, counts[-1] // (_FINEST * per_shot)) * per_shot))
    while counts[1:] and not _is_possible(grounds, counts[0]):
        del counts[0]
    return counts, round(n_units / options["least"])


def _is_possible(grounds: Grounds, count: int) -> bool:
    try:
        grounds.problem(str(count))
    except BudgetError:  # less than has to be measured
        return False
    return True


def _divided(
    grounds: Grounds, base: Plan, test_images: str | Path | Sequence[str | Path], preparing: Follower
) -> tuple[tuple[ImageRecord, ...], tuple[ImageRecord, ...], list[str]]:
    """Images to choose the budget by, those that are kept back, and what they aren't evidence for."""
    problem, own = grounds.problem(), grounds.images
    if not test_images:
        return own.validation, own.test, [*own.warnings, *base_warnings(problem, base)]
    paths = paths_of(test_images)
    takes_intensities = problem.modality.takes_intensities
    stacks = load_stacks(paths, require_non_negative=takes_intensities, progress=preparing)
    prepared = evaluation_images(problem.recipe, stacks)
    warnings = [*own.warnings, *prepared.warnings]
    if seen := shared_places(paths, [*problem.recipe.images.all_paths, *base.recipe.images.all_paths]):
        warnings.append(f"The base was trained on images from {', '.join(seen)}: this is no evidence.")
    subjects = sorted({record.subject for record in prepared.test})
    order = numpy_generator(problem.recipe.seed, "subjects of a target").permutation(len(subjects))
    choosing = {subjects[i] for i in order[: (len(subjects) + 1) // 2]}
    parts: list[list[ImageRecord]] = [[], []]
    for record in prepared.test:
        parts[record.subject not in choosing].append(record)
    return tuple(parts[0]), tuple(parts[1]), warnings


def _check_subjects(records: Sequence[ImageRecord], confidence: float) -> None:
    """Raise `ImageError` unless there are enough subjects to choose by."""
    n, least = len({record.subject for record in records}), least_subjects(confidence)
    if n >= least:
        return
    possible = np.floor(100 * (1 - 0.5**n)) / 100
    lower = f", or --confidence {possible:g}" if n >= 2 else ""
    raise ImageError(
        f"There {'is' if n == 1 else 'are'} {n} subject{'s' * (n != 1)} to choose the budget by; a bound with "
        f"{confidence:.0%} confidence takes at least {least}.",
        f"Give images of at least {2 * least + 1} subjects, or --test-images of {2 * least} others{lower}.",
    )
