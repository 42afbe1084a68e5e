"""Plans measured on the same images with the same noise, and what was shown by it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from acqplan.core.errors import ImageError, RecipeError
from acqplan.core.measures import MEASURES
from acqplan.core.statistics import Effect, effect, of_subjects
from acqplan.core.verdict import sentence
from acqplan.core.words import with_settings
from acqplan.images import ImageRecord, ImageStack, TrainingImages
from acqplan.images.kinds import kinds_of
from acqplan.learning.evaluation import Evaluation
from acqplan.learning.image_sets import evaluation_images
from acqplan.plan.plan import Plan
from acqplan.workflow.evaluate import (
    Measured,
    evenly,
    measured,
    name_of,
    noise_table,
    paths_of,
    stacks_of,
)
from acqplan.workflow.inputs import PlanOrFile, plan_of
from acqplan.workflow.results import RESULT_FORMAT

Contestants = Mapping[str, PlanOrFile | Sequence[PlanOrFile]]
_Named = tuple[str, tuple[tuple[str, Plan], ...]]  # a contestant, and its plans


@dataclass(frozen=True)
class Difference:
    """A contestant against the first one.

    Parameters
    ----------
    name, first
        What they are called.
    effects
        By measure, of all images.
    kinds
        The same for each kind of image (`acqplan.images.kinds`), where the files' names tell of several.
    subjects
        Difference of the measures of each subject.
    n_images
        How many images.
    """

    name: str
    first: str
    effects: dict[str, Effect]
    kinds: dict[str, dict[str, Effect]]
    subjects: dict[str, dict[str, float]]
    n_images: int

    @property
    def psnr(self) -> Effect:
        """In dB."""
        return self.effects["psnr_db"]

    @property
    def sentence(self) -> str:
        """What was shown."""
        return sentence(self.name, self.first, self.effects)

    def spec(self) -> dict[str, Any]:
        """JSON-ready."""
        return {
            "plan": self.name,
            "verdict": self.sentence,
            "measures": {name: each.spec() for name, each in self.effects.items()},
            "kinds": {kind: {name: each.spec() for name, each in found.items()} for kind, found in self.kinds.items()},
            "subjects": self.subjects,
            "n_images": self.n_images,
        }


@dataclass(frozen=True, eq=False)
class Comparison:
    """Several plans on the same images with the same noise, that of the first plan.

    Parameters
    ----------
    measured
        Each plan's evaluation, the first one first.
    differences
        Of each other plan to the first.
    flags
        In what the comparison isn't equal; one sentence each.
    """

    measured: list[Measured]
    differences: list[Difference]
    flags: list[str] = field(default_factory=list)

    @property
    def warnings(self) -> list[str]:
        """What the numbers aren't evidence for."""
        of_plans = [warning for each in self.measured for warning in [*each.seen, *each.elsewhere]]
        return of_plans + list(dict.fromkeys(w for each in self.measured for w in each.images.warnings))

    def table(self) -> dict[str, Any]:
        """JSON-ready: every plan's numbers, the differences, what isn't equal, and how to get it again."""
        first = self.measured[0]
        return {
            "format": RESULT_FORMAT,
            "metrics": list(first.plan.modality.measures),
            "plans": [each.numbers() for each in self.measured],
            "equal": not self.flags,
            "flags": self.flags,
            "differences_to_first": [difference.spec() for difference in self.differences],
            "warnings": self.warnings,
            "paths": first.paths,
            "seed": first.seed,
            "noise": noise_table(first.plan.noise),
        }


def compare(
    plans: Sequence[PlanOrFile] | Contestants,
    images: str | Path | Sequence[str | Path],
    *,
    limit: int | None = None,
    binning: int | None = None,
    seed: int = 0,
    noise_seeds: int = 1,
) -> Comparison:
    """Compare plans on the same images, made-up phases and noise: those of the first plan.

    Parameters
    ----------
    plans
        Two or more, by name if you like (default: the names of their files). Several plans of one name, of one kind
        and trained from several seeds, count as one: the mean of what they reach, with intervals for other seeds too.
    images
        Fully sampled images: files, folders, or a sample.
    limit
        Use so many images only, evenly over all.
    binning
        Of tiles: N x N pixels averaged into one; None: the images' own.
    seed, noise_seeds
        Seed of the noise; so many draws of it, each image's mean over them.

    Raises
    ------
    RecipeError
        There is one contestant only, the plans aren't for the same kind of instrument, or those of one name differ in
        more than their seed.
    ImageError
        The images can't be used, or the plans' images have nothing in common.
    PlanFileError
        A plan file can't be read.
    """
    if len(plans) < 2:
        raise RecipeError("One plan can't be compared.", "Name two plans or more, or use acqplan evaluate.")
    if noise_seeds < 1:
        raise RecipeError(f"{noise_seeds} draws of the noise are asked for.", "Give 1 or more.")
    named = plans.items() if isinstance(plans, Mapping) else _named(plans)
    loaded = [(name, _loaded(name, given)) for name, given in named]
    paths = paths_of(images)
    stacks = stacks_of(loaded[0][1][0][1], paths)
    return _compared(loaded, stacks, paths, limit, seed, binning, noise_seeds)


def _named(plans: Sequence[PlanOrFile]) -> list[tuple[str, PlanOrFile]]:
    """By their file names, or whole paths where file names are the same."""
    names = [name_of(plan) if isinstance(plan, Plan) else Path(plan).name for plan in plans]
    names = names if len(set(names)) == len(names) else [name_of(plan) for plan in plans]
    return list(zip(names, plans, strict=True))


def _loaded(name: str, given: PlanOrFile | Sequence[PlanOrFile]) -> tuple[tuple[str, Plan], ...]:
    """A contestant's plans, refused where they are the same or differ in more than their seed."""
    if isinstance(given, Plan | str | Path):
        return ((name, plan_of(given)),)
    if not given:
        raise RecipeError(f"{name} has no plans.", "Name one or more.")
    plans = tuple((each, plan_of(plan)) for each, plan in _named(given))
    (of_first, first), *others = plans
    for i, (of_other, other) in enumerate(others):
        if other.plan_id in {plan.plan_id for _, plan in plans[: i + 1]}:
            raise RecipeError(f"{name} holds the plan {of_other} twice.", "Name each plan once.")
        for what, mine, yours in zip(_ALIKE, _alike(first), _alike(other), strict=True):
            if mine != yours:
                raise RecipeError(
                    f"The plans of {name} differ in more than their seed: {of_first} has the {what} {mine}, "
                    f"{of_other} {yours}.",
                    "Compare them as plans of their own.",
                )
    return plans


_ALIKE = ("sensing model", "size", "budget", "noise", "designer", "reconstructor", "number of coils")


def _alike(plan: Plan) -> tuple[Any, ...]:
    return (
        plan.sensing.kind,
        _size(plan),
        budget_text(plan),
        with_settings(plan.noise.kind, plan.noise.spec()),
        plan.recipe.designer.kind,
        plan.reconstructor.kind,
        _receivers(plan),
    )


def _compared(
    contestants: Sequence[_Named],
    stacks: list[ImageStack],
    paths: list[str],
    limit: int | None,
    seed: int,
    binning: int | None,
    noise_seeds: int,
) -> Comparison:
    plans = [(name, group[0][1]) for name, group in contestants]
    first = plans[0][1]
    for name, plan in plans[1:]:
        if plan.sensing.kind != first.sensing.kind:
            raise RecipeError(
                f"{name} is a {plan.sensing.kind} plan, {plans[0][0]} a {first.sensing.kind} plan.",
                "Compare plans for the same kind of instrument.",
            )
    prepared: list[TrainingImages] = []
    for _, plan in plans:
        same = next((i for i, (_, other) in enumerate(plans[: len(prepared)]) if _sized_alike(plan, other)), None)
        if same is not None:
            prepared.append(prepared[same])
        else:
            prepared.append(evaluation_images(replace(plan.recipe, seed=first.recipe.seed), stacks, binning=binning))
    shared = set.intersection(*({_key(record) for record in images.test} for images in prepared))
    if not shared:
        raise ImageError(
            "The plans' sizes leave no image in common: their tiles are of different parts.",
            "Compare plans of the same size and binning.",
        )
    keys = [_key(record) for record in prepared[0].test if _key(record) in shared]
    chosen = set(evenly(keys, limit))
    made = []
    for (name, group), images in zip(contestants, prepared, strict=True):
        part = replace(images, test=tuple(record for record in images.test if _key(record) in chosen))
        runs = tuple(measured(each, plan, first.noise, part, paths, seed, noise_seeds) for each, plan in group)
        mean = Evaluation.averaged([run.evaluation for run in runs])
        made.append(replace(runs[0], name=name, evaluation=mean, runs=runs if len(runs) > 1 else ()))
    return Comparison(made, [_difference(made[0], other) for other in made[1:]], _flags(plans))


def _sized_alike(plan: Plan, other: Plan) -> bool:
    """Whether two plans prepare images in the same way."""
    names = ("size", "fit", "binning")
    is_alike = all(getattr(plan.recipe.images, name) == getattr(other.recipe.images, name) for name in names)
    return is_alike and _receivers(plan) == _receivers(other)


def _key(record: ImageRecord) -> tuple[str, int]:
    return record.source, record.index


def budget_text(plan: Plan) -> str:
    """``64 of 256 lines``."""
    return f"{plan.budget.n_readings} of {plan.budget.n_units} {plan.sensing.unit_name}s"


def _flags(plans: Sequence[tuple[str, Plan]]) -> list[str]:
    first_name, first = plans[0]
    flags = []
    for name, plan in plans[1:]:
        if (plan.budget.n_readings, plan.budget.n_units, plan.sensing.unit_name) != (
            first.budget.n_readings,
            first.budget.n_units,
            first.sensing.unit_name,
        ):
            flags.append(
                f"Not the same budget: {first_name} measures {budget_text(first)}, {name} {budget_text(plan)}."
            )
        coils, of_first = _receivers(plan), _receivers(first)
        if coils != of_first:
            flags.append(f"Not the same coils: {first_name} has {of_first}, {name} {coils}.")
        if plan.sensing.image_shape != first.sensing.image_shape:
            flags.append(
                f"Not the same size: {first_name} {_size(first)}, {name} {_size(plan)}; "
                "their numbers don't measure the same details."
            )
        if (plan.noise.kind, plan.noise.spec()) != (first.noise.kind, first.noise.spec()):
            flags.append(
                f"{name} was made for other noise, {with_settings(plan.noise.kind, plan.noise.spec())}; "
                f"all are measured with {with_settings(first.noise.kind, first.noise.spec())}."
            )
    return flags


def _size(plan: Plan) -> str:
    return "x".join(map(str, plan.sensing.image_shape))


def _difference(first: Measured, other: Measured) -> Difference:
    records = first.records
    subjects, kinds = np.array([record.subject for record in records]), np.array(kinds_of(records))
    measures = first.plan.modality.measures
    ours = {name: _values(other, name, records) for name in measures}
    theirs = {name: _values(first, name, records) for name in measures}

    def effects(chosen: npt.NDArray[np.bool_]) -> dict[str, Effect]:
        return {
            name: effect(
                ours[name][:, chosen],
                theirs[name][:, chosen],
                subjects[chosen],
                larger_is_better=MEASURES[name].larger_is_better,
            )
            for name in measures
        }

    gains = {name: ours[name].mean(0) - theirs[name].mean(0) for name in measures}
    each = {name: of_subjects(gain, subjects)[0][0] for name, gain in gains.items()}
    names = of_subjects(gains["psnr_db"], subjects)[1]
    several = np.unique(kinds)
    return Difference(
        other.name,
        first.name,
        effects(np.ones(len(records), dtype=bool)),
        {str(kind) or "other": effects(kinds == kind) for kind in several} if several.size > 1 else {},
        {str(subject): {name: float(each[name][i]) for name in measures} for i, subject in enumerate(names)},
        len(records),
    )


def _values(of: Measured, measure: str, records: Sequence[ImageRecord]) -> npt.NDArray[np.float64]:
    """float64[m, n]: a measure of each of the images, in this order, by each of a contestant's plans."""
    place = {_key(record): i for i, record in enumerate(of.records)}
    order = [place[_key(record)] for record in records]
    return np.stack([run.evaluation.values("plan", measure)[order] for run in of.runs or (of,)])


def _receivers(plan: Plan) -> int:
    """Receive coils that a plan was made for."""
    return plan.modality.preparation(plan.recipe).n_coils
