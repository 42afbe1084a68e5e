"""Conformal risk control over subjects: how far a map of errors has to be widened so that it holds what it states.

Of n subjects there are *ratios*, the error of each pixel over its expected size. With a factor q, the risk of a subject
is the share of its pixels whose ratio is larger. The smallest q with n/(n + 1)·R(q) + 1/(n + 1) ≤ α, R the mean risk of
the n subjects, keeps the expected risk of one more subject at α or below, whatever the errors are like, if that
subject is exchangeable with the n (Angelopoulos et al. 2022, arXiv 2208.02814). Pixels, and images of one subject,
aren't independent: subjects are what is counted.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from acqplan.core.errors import RecipeError

Floats = npt.NDArray[np.floating[Any]]
_ROUNDING = 1e-9


def least_subjects(level: float) -> int:
    """How many subjects it takes to hold a level (0.9: 90 % of the pixels), 1/α − 1: with fewer no factor does."""
    if not 0 < level < 1:
        raise RecipeError(f"The level is {level:g}, expected a share between 0 and 1.", "Give one like 90%.")
    return max(1, math.ceil(1 / (1 - level) - 1 - _ROUNDING))


def check_subjects(n: int, level: float) -> None:
    """`RecipeError` if n subjects are too few for the level; it says how many it takes."""
    least = least_subjects(level)
    if n < least:
        best = "a lower level" if n < 1 else f"a level of {math.floor(1000 * n / (n + 1)) / 10:g} % or lower"
        raise RecipeError(
            f"A level of {100 * level:g} % takes at least {least} subjects to calibrate on; there {_are(n)}.",
            f"Add images of other subjects, or ask for {best}.",
        )


def controlled_factor(ratios: Sequence[Floats], level: float) -> float:
    """The smallest factor that controls the risk, of the ratios[any number > 0] of each subject.

    Raises
    ------
    RecipeError
        Too few subjects for this level, or a level that isn't between 0 and 1.
    """
    return _factors(ratios, level, [None])[0]


def held_out_coverage(ratios: Sequence[Floats], level: float) -> list[float] | None:
    """Of each subject the share of pixels within the factor that the others give; None where these are too few."""
    if len(ratios) - 1 < least_subjects(level):
        return None
    factors = _factors(ratios, level, list(range(len(ratios))))
    return [coverage(own, factor) for own, factor in zip(ratios, factors, strict=True)]


def coverage(ratios: Floats, factor: float) -> float:
    """Share of the pixels whose ratio is at most the factor."""
    return float(np.mean(ratios <= factor))


def _factors(ratios: Sequence[Floats], level: float, without: Sequence[int | None]) -> list[float]:
    """A factor for each of ``without``: from all subjects, or from all but one."""
    values = np.concatenate([np.asarray(each, dtype=np.float64).reshape(-1) for each in ratios])
    sizes = np.array([np.size(each) for each in ratios])
    order = np.argsort(values)
    subject = np.repeat(np.arange(len(ratios)), sizes)[order]
    values, found = values[order], []
    for left_out in without:
        n = len(ratios) - (left_out is not None)
        check_subjects(n, level)
        share = 1 / (n * sizes)
        if left_out is not None:
            share[left_out] = 0
        above = 1 - np.cumsum(share[subject])
        allowed = ((n + 1) * (1 - level) - 1) / n
        found.append(float(values[np.argmax(above <= max(allowed, 0) + _ROUNDING)]))
    return found


def _are(n: int) -> str:
    return "is none" if n == 0 else "is 1" if n == 1 else f"are {n}"
