"""Plans measured on the same images with the same noise, and how sure their difference is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from acqplan.core.errors import ImageError, RecipeError
from acqplan.core.statistics import effect
from acqplan.core.words import with_settings
from acqplan.images import ImageRecord, ImageStack, TrainingImages
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


@dataclass(frozen=True)
class Difference:
    """Mean PSNR of a plan minus that of the first one over subjects, and its bootstrap interval (None: too few)."""

    name: str
    mean_db: float
    interval_db: tuple[float, float] | None
    n_images: int
    n_subjects: int


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
            "psnr_difference_to_first": [
                {
                    "plan": difference.name,
                    "mean_db": difference.mean_db,
                    "interval_95_db": None if difference.interval_db is None else list(difference.interval_db),
                    "n_images": difference.n_images,
                    "n_subjects": difference.n_subjects,
                }
                for difference in self.differences
            ],
            "warnings": self.warnings,
            "paths": first.paths,
            "seed": first.seed,
            "noise": noise_table(first.plan.noise),
        }


def compare(
    plans: Sequence[PlanOrFile] | Mapping[str, PlanOrFile],
    images: str | Path | Sequence[str | Path],
    *,
    limit: int | None = None,
    binning: int | None = None,
    seed: int = 0,
) -> Comparison:
    """Compare plans on the same images, made-up phases and noise: those of the first plan.

    Parameters
    ----------
    plans
        Two or more, by name if you like (default: the names of their files).
    images
        Fully sampled images: files, folders, or a sample.
    limit
        Use so many images only, evenly over all.
    binning
        Of tiles: N x N pixels averaged into one; None: the images' own.
    seed
        Seed of the noise.

    Raises
    ------
    RecipeError
        There is one plan only, or the plans aren't for the same kind of instrument.
    ImageError
        The images can't be used, or the plans' images have nothing in common.
    PlanFileError
        A plan file can't be read.
    """
    if len(plans) < 2:
        raise RecipeError("One plan can't be compared.", "Name two plans or more, or use acqplan evaluate.")
    named = plans.items() if isinstance(plans, Mapping) else zip(_names(plans), plans, strict=True)
    loaded = [(name, plan_of(plan)) for name, plan in named]
    paths = paths_of(images)
    return _compared(loaded, stacks_of(loaded[0][1], paths), paths, limit, seed, binning)


def _names(plans: Sequence[PlanOrFile]) -> list[str]:
    """File names, or whole paths where file names are the same."""
    names = [name_of(plan) if isinstance(plan, Plan) else Path(plan).name for plan in plans]
    return names if len(set(names)) == len(names) else [name_of(plan) for plan in plans]


def _compared(
    plans: Sequence[tuple[str, Plan]],
    stacks: list[ImageStack],
    paths: list[str],
    limit: int | None,
    seed: int,
    binning: int | None,
) -> Comparison:
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
    for (name, plan), images in zip(plans, prepared, strict=True):
        part = replace(images, test=tuple(record for record in images.test if _key(record) in chosen))
        made.append(measured(name, plan, first.noise, part, paths, seed))
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
    ours = {(r.source, r.index): row for r, row in zip(other.records, other.evaluation.rows, strict=True)}
    gains = np.array(
        [
            ours[_key(record)]["plan"]["psnr_db"] - row["plan"]["psnr_db"]
            for record, row in zip(first.records, first.evaluation.rows, strict=True)
        ]
    )
    found = effect(gains, np.zeros_like(gains), [record.subject for record in first.records])
    return Difference(other.name, found.mean, found.interval, gains.size, found.n_subjects)


def _receivers(plan: Plan) -> int:
    """Receive coils that a plan was made for."""
    return plan.modality.preparation(plan.recipe).n_coils
