"""Plans measured on the same images with the same noise, and how sure their difference is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

import numpy as np

from acqplan.core.errors import ImageError, RecipeError
from acqplan.core.seeding import numpy_generator
from acqplan.images import ImageRecord, ImageStack, TrainingImages
from acqplan.learning.evaluation import METRICS, Evaluation, Scene, evaluate
from acqplan.learning.resolve import evaluation_images
from acqplan.plan.plan import Plan
from acqplan.report.facts import noise_text

DATA_RANGE = "largest magnitude of each image at the plan's size"
T = TypeVar("T")

_RESAMPLINGS = 10_000
_CONFIDENCE = 0.95


@dataclass(frozen=True, eq=False)
class Measured:
    """One plan's evaluation: ``evaluation`` has a reconstruction ``plan`` and one ``zero_filled``."""

    name: str
    plan: Plan
    evaluation: Evaluation
    images: TrainingImages

    @property
    def records(self) -> tuple[ImageRecord, ...]:
        """The images, as prepared."""
        return self.images.test

    def table(self) -> dict[str, Any]:
        """JSON-ready: what was measured, and on what."""
        budget = self.plan.budget
        return {
            "plan": self.name,
            "plan_id": self.plan.plan_id,
            "count": budget.n_readings,
            "n_units": budget.n_units,
            "unit": self.plan.sensing.unit_name,
            "acceleration": budget.acceleration,
            "size": list(self.plan.sensing.image_shape),
            "designer": self.plan.recipe.designer.kind,
            "reconstructor": self.plan.reconstructor.kind,
            "data_range": DATA_RANGE,
            "image_fingerprint": self.images.fingerprint,
            "n_images": len(self.records),
            **self.evaluation.summary(),
        }


@dataclass(frozen=True)
class Difference:
    """Mean PSNR of a plan minus that of the first one, image by image, with a bootstrap interval.

    ``resampled`` is ``subjects`` where there are several (slices of one subject aren't independent), else ``images``.
    """

    name: str
    mean_db: float
    interval_db: tuple[float, float] | None
    n_images: int
    resampled: str


@dataclass(frozen=True, eq=False)
class Comparison:
    """Several plans on the same images; ``flags`` say in what the comparison isn't equal."""

    measured: list[Measured]
    differences: list[Difference]
    flags: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)


def measure_plan(
    name: str, plan: Plan, stacks: Sequence[ImageStack], *, limit: int | None = None, seed: int = 0
) -> Measured:
    """Evaluate one plan on images brought to its size; ``limit``: at most so many, evenly over all."""
    images = evaluation_images(plan.recipe, list(stacks))
    chosen = replace(images, test=_evenly(images.test, limit))
    return _measure(name, plan, Scene(plan.sensing, plan.pattern, plan.noise), chosen, seed)


def compare_plans(
    plans: Sequence[tuple[str, Plan]], stacks: Sequence[ImageStack], *, limit: int | None = None, seed: int = 0
) -> Comparison:
    """Evaluate all plans on the same images, made-up phases and noise: those of the first plan.

    Raises
    ------
    RecipeError
        The plans aren't for the same kind of instrument.
    ImageError
        The plans' images have nothing in common.
    """
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
            prepared.append(evaluation_images(replace(plan.recipe, seed=first.recipe.seed), list(stacks)))
    shared = set.intersection(*({_key(record) for record in images.test} for images in prepared))
    if not shared:
        raise ImageError(
            "The plans' sizes leave no image in common: their tiles are of different parts.",
            "Compare plans of the same size and binning.",
        )
    keys = [_key(record) for record in prepared[0].test if _key(record) in shared]
    chosen = set(_evenly(keys, limit))
    measured = []
    for (name, plan), images in zip(plans, prepared, strict=True):
        part = replace(images, test=tuple(record for record in images.test if _key(record) in chosen))
        measured.append(_measure(name, plan, Scene(plan.sensing, plan.pattern, first.noise), part, seed))
    warnings = list(dict.fromkeys(w for m in measured for w in evaluation_warnings(m)))
    differences = [_difference(measured[0], other) for other in measured[1:]]
    return Comparison(measured, differences, _flags(plans), warnings)


def evaluation_warnings(measured: Measured) -> list[str]:
    """What the numbers aren't evidence for."""
    return list(measured.images.warnings)


def _measure(name: str, plan: Plan, scene: Scene, images: TrainingImages, seed: int) -> Measured:
    return Measured(name, plan, evaluate(scene, {"plan": plan.reconstructor}, images.test, seed=seed), images)


def _evenly(items: Sequence[T], limit: int | None) -> tuple[T, ...]:
    """At most ``limit`` of the items, evenly over all."""
    if limit is None or limit >= len(items):
        return tuple(items)
    return tuple(items[i] for i in np.linspace(0, len(items) - 1, limit).round().astype(int))


def _sized_alike(plan: Plan, other: Plan) -> bool:
    """Whether two plans prepare images in the same way."""
    names = ("size", "fit", "binning", "coils")
    return all(getattr(plan.recipe.images, name) == getattr(other.recipe.images, name) for name in names)


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
        coils, of_first = plan.recipe.images.coils or 1, first.recipe.images.coils or 1
        if coils != of_first:
            flags.append(f"Not the same coils: {first_name} has {of_first}, {name} {coils}.")
        if plan.sensing.image_shape != first.sensing.image_shape:
            flags.append(
                f"Not the same size: {first_name} {_size(first)}, {name} {_size(plan)}; "
                "their numbers don't measure the same details."
            )
        if (plan.noise.kind, plan.noise.spec()) != (first.noise.kind, first.noise.spec()):
            flags.append(
                f"{name} was made for other noise, {noise_text(plan.noise)}; "
                f"all are measured with {noise_text(first.noise)}."
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
    subjects = np.array([record.subject for record in first.records])
    several = np.unique(subjects).size > 1
    groups = subjects if several else np.arange(gains.size)
    return Difference(
        other.name,
        float(gains.mean()),
        bootstrap_interval(gains, groups),
        gains.size,
        "subjects" if several else "images",
    )


def bootstrap_interval(values: Any, groups: Any) -> tuple[float, float] | None:
    """95 % percentile interval of the mean of values[n], resampling whole groups[n]; None for fewer than two groups."""
    names, members = np.unique(groups, return_inverse=True)
    if names.size < 2:
        return None
    sums = np.bincount(members, weights=values)
    sizes = np.bincount(members)
    draws = numpy_generator(0, "bootstrap").integers(names.size, size=(_RESAMPLINGS, names.size))
    means = sums[draws].sum(1) / sizes[draws].sum(1)
    low, high = np.quantile(means, [(1 - _CONFIDENCE) / 2, (1 + _CONFIDENCE) / 2])
    return float(low), float(high)


def comparison_table(comparison: Comparison) -> dict[str, Any]:
    """JSON-ready: every plan's table, the differences, and what isn't equal."""
    return {
        "metrics": list(METRICS),
        "plans": [measured.table() for measured in comparison.measured],
        "equal": not comparison.flags,
        "flags": comparison.flags,
        "psnr_difference_to_first": [
            {
                "plan": difference.name,
                "mean_db": difference.mean_db,
                "interval_95_db": None if difference.interval_db is None else list(difference.interval_db),
                "n_images": difference.n_images,
                "resampled": difference.resampled,
            }
            for difference in comparison.differences
        ],
        "warnings": comparison.warnings,
    }
