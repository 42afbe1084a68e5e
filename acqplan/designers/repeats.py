"""Whole numbers of repeats under an exact budget: water-filling.

A unit of prior variance s whose reading has the noise variance v leaves, measured n times, the error s v/(n s + v) of
the best linear estimate. The next reading takes the gain v/(a (a + 1)) with a = n + v/s, which falls with every
reading; so that taking the largest gain, one reading after the other, is the exact optimum where all readings cost the
same. In the limit of many readings n = [μ − v/s]₊: water-filling.
"""

from __future__ import annotations

import heapq

import numpy as np
import numpy.typing as npt

from acqplan.designers.designer import DesignProblem

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]
_BISECTIONS = 100
_LEAST = 1e-12  # of the largest prior variance: below it, units are equally worthless
_UNKNOWN_NOISE = 0.01  # of the mean energy, where the noise isn't known


def noise_variance(problem: DesignProblem) -> FloatArray:
    """float64[K], positive: of one reading of each unit; where it isn't known, a hundredth of the mean energy."""
    variance = problem.variance
    if variance is None:
        variance = np.full(problem.energy.shape, _UNKNOWN_NOISE * float(problem.energy.mean()))
    tiny = 1e-12 * max(float(problem.energy.max()), 1e-100)
    return np.maximum(variance, tiny)


def allot(
    prior: FloatArray, variance: FloatArray, least: IntArray, candidates: npt.NDArray[np.bool_], n: int
) -> IntArray:
    """int64[K]: ``least`` and ``n`` readings more, each where it gains most; equal gains by ascending unit.

    Parameters
    ----------
    prior
        float64[K], s, at least 0; units for which it vanishes gain next to nothing, but all the same.
    variance
        float64[K], v, positive.
    least
        int64[K], readings that are taken anyway.
    candidates
        bool[K], units that may have more; at least one if n > 0.
    n
        Readings to allot.
    """
    counts = least.copy()
    units = np.flatnonzero(candidates)
    if n == 0:
        return counts
    assert units.size > 0
    largest = float(prior[units].max())
    s = np.maximum(prior[units], _LEAST * largest) if largest > 0 else np.ones(units.size)
    v, start = variance[units], least[units]
    with np.errstate(over="ignore"):
        a = np.minimum(start + v / s, 1e150)  # its square stays finite

    def above(log_gain: float) -> IntArray:
        """Readings of each unit with a gain of at least exp(log_gain)."""
        with np.errstate(over="ignore"):
            ratio = v * np.exp(-log_gain)
        last = 2 * ratio / (1 + np.sqrt(1 + 4 * ratio))  # a(a + 1) = ratio, without cancellation
        whole: IntArray = (np.floor(np.clip(last - a, -1, n)) + 1).astype(np.int64)
        return whole

    # A gain that is surely reached by no more than n readings; then the others, one after the other.
    gains = np.log(v) - np.log(a) - np.log1p(a)
    low, high = float(gains.min()) - np.log(4.0 * (n + 2) ** 2), float(gains.max()) + 1
    for _ in range(_BISECTIONS):
        middle = (low + high) / 2
        low, high = (middle, high) if above(middle).sum() > n else (low, middle)
    extra = above(high + 1e-9)
    n_left = n - int(extra.sum())
    next_gains = v / (a + extra) / (a + extra + 1)
    first = np.argsort(-next_gains, kind="stable")[:n_left]  # no other can be among the largest
    heap = [(-float(next_gains[i]), int(i)) for i in first]
    heapq.heapify(heap)
    for _ in range(n_left):
        _, i = heap[0]
        extra[i] += 1
        heapq.heapreplace(heap, (-_gain(v[i], a[i] + extra[i]), i))
    counts[units] += extra
    return counts


def _gain(v: float, a: float) -> float:
    return float(v / a / (a + 1))


def candidates_of(problem: DesignProblem) -> npt.NDArray[np.bool_]:
    """bool[K]: free units and those of the calibration region, which may be measured more often than they must."""
    result = problem.fixed_counts > 0
    result[problem.free_units] = True
    reference = problem.sensing.reference_unit
    if reference is not None:
        result[reference] = False  # how often it pays is decided for all units together
    return result if result.any() else problem.fixed_counts > 0
