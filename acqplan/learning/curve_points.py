"""Points of a quality-against-budget curve: what is measured at one budget, and how sure that is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from acqplan.core.statistics import bootstrap_interval, of_subjects
from acqplan.images import ImageRecord
from acqplan.plan.modality import Cost
from acqplan.sensing.budget import Budget
from acqplan.sensing.pattern import Pattern

Interval = tuple[float, float] | None


@dataclass(frozen=True, eq=False)
class Quality:
    """What a reconstructor makes of some images.

    Parameters
    ----------
    values
        Of each measure (`acqplan.core.measures`) float64[n], a value of each image.
    subjects
        [n], whom or what each image shows.
    """

    values: dict[str, Any]
    subjects: tuple[str, ...]

    @classmethod
    def of(cls, rows: Sequence[dict[str, Any]], name: str) -> Quality:
        """Of the rows of an `Evaluation`, for the reconstructor that is called so there."""
        measures = list(rows[0][name])
        values = {measure: np.array([row[name][measure] for row in rows]) for measure in measures}
        return cls(values, tuple(str(row["subject"]) for row in rows))

    @property
    def means(self) -> dict[str, float]:
        """Of each measure, over subjects, each counting once."""
        return {measure: float(of_subjects(each, self.subjects)[0].mean()) for measure, each in self.values.items()}

    @property
    def intervals(self) -> dict[str, Interval]:
        """Of the means, with 95 %; None of too few subjects (`acqplan.core.statistics`)."""
        return {measure: bootstrap_interval(each, self.subjects) for measure, each in self.values.items()}

    @property
    def per_subject(self) -> dict[str, dict[str, float]]:
        """Means of each subject on its own."""
        names = sorted(set(self.subjects))
        found: dict[str, dict[str, float]] = {name: {} for name in names}
        for measure, each in self.values.items():
            for name, value in zip(names, of_subjects(each, self.subjects)[0][0], strict=True):
                found[name][measure] = float(value)
        return found

    def spec(self) -> dict[str, Any]:
        """JSON-ready."""
        intervals = {name: None if each is None else list(each) for name, each in self.intervals.items()}
        return {"mean": self.means, "interval_95": intervals, "subjects": self.per_subject}


@dataclass(frozen=True, eq=False)
class Point:
    """One budget of a course.

    Parameters
    ----------
    amount
        The budget as it was typed.
    costs
        What such a scan costs beside its readings.
    found
        What the designer's search came to.
    options
        Of the reconstructor, where it is classical.
    """

    amount: str
    budget: Budget
    pattern: Pattern
    costs: tuple[Cost, ...]
    quality: Quality
    found: dict[str, Any] = field(default_factory=dict)
    options: dict[str, Any] = field(default_factory=dict)

    def spec(self) -> dict[str, Any]:
        """JSON-ready."""
        return {
            "budget": self.amount,
            "count": self.budget.n_readings,
            "n_units": self.budget.n_units,
            "n_calibration": self.budget.n_calibration,
            "acceleration": self.budget.acceleration,
            "costs": {cost.name: cost.value for cost in self.costs},
            "pattern_digest": self.pattern.digest,
            **({"search": self.found} if self.found else {}),
            **({"options": self.options} if self.options else {}),
            **self.quality.spec(),
        }


@dataclass(frozen=True, eq=False)
class Course:
    """One designer's patterns with one reconstructor, from the largest acceleration to the smallest.

    ``reconstructor`` is ``network`` for the base's, or the kind of a classical one.
    """

    designer: str
    reconstructor: str
    points: tuple[Point, ...]

    @property
    def name(self) -> str:
        """``swaps, network``."""
        return f"{self.designer}, {self.reconstructor}"


@dataclass(frozen=True, eq=False)
class Check:
    """A point's network after it was fine-tuned on that pattern alone, beside the network of the base."""

    designer: str
    point: Point
    steps: int
    quality: Quality

    @property
    def differences(self) -> dict[str, float]:
        """Of each measure: fine-tuned minus base, means over subjects."""
        before = self.point.quality.means
        return {measure: value - before[measure] for measure, value in self.quality.means.items()}

    def spec(self) -> dict[str, Any]:
        """JSON-ready."""
        point = self.point
        return {
            "designer": self.designer,
            "budget": point.amount,
            "count": point.budget.n_readings,
            "fine_tuning_steps": self.steps,
            "base": point.quality.means,
            "fine_tuned": self.quality.means,
            "difference": self.differences,
        }


def spread_over_subjects(records: Sequence[ImageRecord], limit: int | None) -> tuple[ImageRecord, ...]:
    """About ``limit`` of the images, as many of each subject where it has so many, evenly over each; at least one."""
    if limit is None or limit >= len(records):
        return tuple(records)
    by_subject: dict[str, list[ImageRecord]] = {}
    for record in records:
        by_subject.setdefault(record.subject, []).append(record)
    each = max(1, -(-limit // len(by_subject)))
    chosen: list[ImageRecord] = []
    for _, own in sorted(by_subject.items()):
        places = (np.arange(min(each, len(own))) + 0.5) * len(own) / min(each, len(own))
        chosen += [own[int(place)] for place in places]
    return tuple(chosen)


def knee_of(counts: Sequence[int], values: Sequence[float]) -> int | None:
    """Which point has the most beyond the chord of the ends: from there on more readings bring less; None of two.

    Of ascending counts and values that are better when larger, after Satopää et al. 2011 (doi 10.1109/ICDCSW.2011.20).
    """
    if len(counts) < 3:
        return None
    x, y = np.asarray(counts, float), np.asarray(values, float)
    if x[-1] == x[0] or y[-1] == y[0]:
        return None
    beyond = (y - y[0]) / (y[-1] - y[0]) - (x - x[0]) / (x[-1] - x[0])
    return 1 + int(np.argmax(beyond[1:-1]))
