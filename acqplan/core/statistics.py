"""How sure a mean over subjects is, and whether one thing was shown to be better than another.

Subjects are resampled, never their images: neighbouring slices are nearly copies of each other. Each subject counts
once, however many images there are of it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from scipy import special

from acqplan.core.seeding import numpy_generator

CONFIDENCE = 0.95
LEAST_SUBJECTS = 6
"""With fewer no interval can hold 95 %: that all of five differences have one sign has a probability of 2·2⁻⁵ > 5 %."""
_RESAMPLINGS = 10_000
_POWER = 0.8  # chance of showing a difference with the number of subjects that is told
_MOST_SUBJECTS = 1000

Floats = npt.NDArray[np.float64]
Outcome = Literal["better", "worse", "no difference shown"]


@dataclass(frozen=True)
class Effect:
    """Mean difference of two things over subjects, and what was shown by it.

    Parameters
    ----------
    mean
        First minus second, each subject counting once.
    interval
        Of the mean, with `CONFIDENCE`; None of fewer than `LEAST_SUBJECTS` subjects.
    n_subjects
        How many there are.
    outcome
        Of the first: ``better`` or ``worse`` where the interval leaves out zero.
    needed
        About how many subjects would show a difference of this size, in 8 of 10 such experiments; None where it was
        shown, and where it would take more than 1000.
    """

    mean: float
    interval: tuple[float, float] | None
    n_subjects: int
    outcome: Outcome
    needed: int | None = None

    @classmethod
    def of(cls, spec: Mapping[str, Any]) -> Effect:
        """From what `spec` gave."""
        interval = spec["interval"]
        return cls(**{**spec, "interval": None if interval is None else tuple(interval)})

    def spec(self) -> dict[str, Any]:
        """JSON-ready."""
        return {
            "mean": self.mean,
            "interval": None if self.interval is None else list(self.interval),
            "n_subjects": self.n_subjects,
            "outcome": self.outcome,
            "needed": self.needed,
        }


def effect(first: Any, second: Any, subjects: Any, *, larger_is_better: bool = True) -> Effect:
    """Whether the first is better than the second on the same images.

    Parameters
    ----------
    first, second
        float[n], a value of each image; or float[m, n] of m repetitions (plans trained from several seeds), which are
        resampled too, each on its own: the interval then holds for other seeds as well.
    subjects
        [n], whom or what each image shows.
    """
    ours, names = of_subjects(first, subjects)
    theirs, _ = of_subjects(second, subjects)
    with np.errstate(invalid="ignore"):  # of infinite values
        difference = ours.mean(0) - theirs.mean(0)
    mean, interval = float(difference.mean()), None
    if names.size >= LEAST_SUBJECTS and math.isfinite(mean):
        interval = _interval(_resampled(ours, 0) - _resampled(theirs, 1), names.size, CONFIDENCE)
    outcome: Outcome = "no difference shown"
    if interval is not None and not interval[0] <= 0 <= interval[1]:
        outcome = "better" if (mean > 0) is larger_is_better else "worse"
    needed = subjects_needed(difference) if outcome == "no difference shown" else None
    return Effect(mean, interval, names.size, outcome, needed)


def bootstrap_interval(values: Any, subjects: Any, *, confidence: float = CONFIDENCE) -> tuple[float, float] | None:
    """Interval of the mean over subjects of values[n]; None for fewer than `LEAST_SUBJECTS` subjects[n].

    Expanded percentiles: with n subjects those at Φ(∓√(n/(n − 1))·t), t of Student's distribution with n − 1 degrees of
    freedom, since plain ones are too narrow where subjects are few (Hesterberg 2015, doi
    10.1080/00031305.2015.1089789).
    """
    means, names = of_subjects(values, subjects)
    if names.size < LEAST_SUBJECTS:
        return None
    return _interval(_resampled(means), names.size, confidence)


def lower_bound(values: Any, subjects: Any, confidence: float) -> float | None:
    """What the mean over subjects of values[n] exceeds with a confidence; None of fewer than `least_subjects`.

    The low end of the interval that leaves out as much on either side (`bootstrap_interval`).
    """
    means, names = of_subjects(values, subjects)
    if names.size < least_subjects(confidence):
        return None
    return _interval(_resampled(means), names.size, 2 * confidence - 1)[0]


def least_subjects(confidence: float) -> int:
    """The fewest that can give a bound: that all of n lie on one side has a probability of 2⁻ⁿ, which may not exceed
    1 − confidence."""
    return max(2, math.ceil(-math.log2(1 - confidence) - 1e-9))


def of_subjects(values: Any, subjects: Any) -> tuple[Floats, npt.NDArray[Any]]:
    """Means[m, n_subjects] of values[n] (m = 1) or [m, n] of each subject, and the subjects' names in that order."""
    table = np.atleast_2d(np.asarray(values, dtype=np.float64))
    names, members = np.unique(np.asarray(subjects), return_inverse=True)
    sums = np.stack([np.bincount(members, weights=row, minlength=names.size) for row in table])
    return sums / np.bincount(members), names


def subjects_needed(differences: Floats) -> int | None:
    """About how many subjects would show the mean of differences[n_subjects]; None: above 1000, or unknown.

    From Student's test with the spread of these subjects, in 8 of 10 such experiments.
    """
    if differences.size < 2:
        return None
    if not np.isfinite(differences).all() or not differences.any():
        return None
    mean, spread = abs(float(differences.mean())), float(differences.std(ddof=1))
    numbers = np.arange(LEAST_SUBJECTS, _MOST_SUBJECTS + 1)
    tail = special.stdtrit(numbers - 1, (1 + CONFIDENCE) / 2) + special.stdtrit(numbers - 1, _POWER)
    shown = np.flatnonzero(mean * np.sqrt(numbers) >= tail * spread)
    return int(numbers[shown[0]]) if shown.size else None


def _resampled(means: Floats, seed: int = 0) -> Floats:
    """[`_RESAMPLINGS`] means of means[m, n_subjects] over subjects drawn anew, the same ones at every call, and over
    repetitions drawn anew, others for another seed, where there are several.

    What repetitions differ by is widened by √(m/(m − 1)): m drawn of m vary less than m new ones would.
    """
    repetitions, n_subjects = means.shape
    each = _weights(n_subjects) @ means.T  # [resamplings, repetitions]
    middle: Floats = each.mean(1)
    if repetitions == 1:
        return middle
    which = numpy_generator(seed, "bootstrap repetitions").integers(repetitions, size=(_RESAMPLINGS, repetitions))
    chosen: Floats = np.take_along_axis(each, which, axis=1).mean(1)
    return middle + math.sqrt(repetitions / (repetitions - 1)) * (chosen - middle)


@lru_cache(maxsize=8)
def _weights(n_subjects: int) -> Floats:
    """[`_RESAMPLINGS`, n_subjects]: how often each subject was drawn, over their number."""
    drawn = numpy_generator(0, "bootstrap").integers(n_subjects, size=(_RESAMPLINGS, n_subjects))
    return np.stack([(drawn == i).sum(1) for i in range(n_subjects)], axis=1) / n_subjects


def _interval(resampled: Floats, n_subjects: int, confidence: float) -> tuple[float, float]:
    student = special.stdtrit(n_subjects - 1, (1 + confidence) / 2)
    tail = float(special.ndtr(-math.sqrt(n_subjects / (n_subjects - 1)) * student))
    low, high = np.quantile(resampled, [tail, 1 - tail])
    return float(low), float(high)
