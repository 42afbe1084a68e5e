"""Random choice with a minimum spacing."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from acqplan.core.registry import register
from acqplan.designers.family import closeness
from acqplan.designers.probability import inclusion_probabilities
from acqplan.designers.variable_density import PowerDesigner

_PACKING = {1: 0.75, 2: 0.7}  # points per length or square of the spacing that random packing reaches
_SHRINK_MOST, _SHRINK_LEAST = 0.8, 0.97  # of the scale between two passes
_DENSEST = 16.0  # the core is full from 1 on
_WIDEST = {1: 1, 2: 1 / 4}  # spacing, as a share of the longest side
BoolArray = npt.NDArray[np.bool_]
IntArray = npt.NDArray[np.int64]
FloatArray = npt.NDArray[np.float64]
# Marks in bool[rows, columns] what a point at (row, column) keeps others away from.
KeepAway = Callable[[BoolArray, int, int], None]


@register("designers", "poisson-disc")
class PoissonDisc(PowerDesigner):
    """Random points no nearer to each other than a spacing that follows the variable density.

    On a plane spacing = scale/√density in grid units. On a line it is measured along the cumulated density, so
    that it adapts between two points as well. Points keep it from the calibration region and required units too. Darts
    are thrown at the grid in one random order, dense regions first on average. When no more find room the scale
    shrinks and the gaps are filled, until the count is reached: a bounded number of passes.
    """

    summary = "random with a minimum spacing, denser in the centre, tuned (Poisson disc)"
    reference = "McCool and Fiume, Graphics Interface 1992; Vasanawala et al., ISBI 2011 (in MRI)"

    def choose(self, value: float, random: np.random.Generator) -> npt.NDArray[np.int64]:
        problem = self.problem
        if problem.n_free == 0:
            return problem.free_units[:0]
        shape = (1, *problem.sensing.grid_shape)[-2:]
        fixed = problem.fixed_counts > 0
        free, density = problem.free_units, self.density(value)
        order = free[np.argsort(random.exponential(size=free.size) / density[free])]  # likelier where dense
        taken = poisson_disc(fixed.reshape(shape), density.reshape(shape), order, problem.n_free)
        return np.flatnonzero(taken.ravel() & ~fixed)

    def density(self, power: float) -> FloatArray:
        """float64[K]: points per unit, not cut at 1.

        With the cut they sum over the free units to the count of them, but for the floor that bounds the spacing.
        """
        grid_shape = self.problem.sensing.grid_shape
        dimensions = len(grid_shape)
        weights = closeness(self.problem) ** power
        free_weights = weights[self.problem.free_units]
        inclusion = inclusion_probabilities(free_weights, self.problem.n_free)
        sparsest = (_WIDEST[dimensions] * max(grid_shape)) ** -dimensions
        return np.asarray(np.clip(weights * (inclusion / free_weights).max(), sparsest, _DENSEST))


def poisson_disc(given: BoolArray, density: FloatArray, order: IntArray, n: int) -> BoolArray:
    """bool[rows, columns]: ``given`` and n more points, spaced for ``density`` as widely as fits.

    Parameters
    ----------
    given
        bool[rows, columns], points that are there already; one row for a line.
    density
        float64[rows, columns], points per grid unit.
    order
        int64[m], flat indices of the points that can be taken, in the order of trying; m ≥ n.
    """
    n_wanted = int(given.sum()) + n
    dimensions = 1 if given.shape[0] == 1 else 2

    def throw(taken: BoolArray, most: int) -> BoolArray:
        if dimensions == 1:
            return throw_darts(taken, order, most, stretches(density.ravel(), scale))
        spacing = scale / np.sqrt(density)
        # Points with a spacing of at most 1 go first: they keep nothing away, and a distant dart with a
        # wide disc can't take them out.
        core_first = order[np.argsort(spacing.ravel()[order] > 1, kind="stable")]
        return throw_darts(taken, core_first, most, discs(spacing))

    scale = _PACKING[dimensions] ** (1 / dimensions)
    taken = throw(given, order.size)
    while int(taken.sum()) > n_wanted:
        scale *= 1.25
        taken = throw(given, order.size)
    while (n_missing := n_wanted - int(taken.sum())) > 0:
        shrink = (1 - n_missing / n_wanted) ** (1 / dimensions)
        scale *= min(max(shrink, _SHRINK_MOST), _SHRINK_LEAST)
        taken = throw(taken, n_missing)
    return taken


def throw_darts(given: BoolArray, order: IntArray, most: int, keep_away: KeepAway) -> BoolArray:
    """bool[rows, columns]: ``given`` and, of ``order``, up to ``most`` points that no earlier one keeps away."""
    taken = given.copy()
    blocked = given.copy()
    for y, x in np.argwhere(given).tolist():
        keep_away(blocked, y, x)
    columns = given.shape[1]
    for unit in order.tolist():
        y, x = divmod(unit, columns)
        if most == 0:
            break
        if not blocked[y, x]:
            taken[y, x] = True
            keep_away(blocked, y, x)
            most -= 1
    return taken


def discs(spacing: FloatArray) -> KeepAway:
    """A point of a plane keeps away what is nearer than its own ``spacing``[rows, columns]."""
    rows, columns = spacing.shape
    # d < r for whole numbers d² is d² ≤ ⌈r²⌉ − 1.
    squares = (np.ceil(np.minimum(spacing**2, rows**2 + columns**2)) - 1).clip(min=0).astype(np.int64).tolist()

    def keep_away(blocked: BoolArray, y: int, x: int) -> None:
        square = squares[y][x]
        if square == 0:
            return
        disc = _disc(square)
        reach = disc.shape[0] // 2
        top, left = max(0, reach - y), max(0, reach - x)
        area = blocked[y - reach + top : y + reach + 1, x - reach + left : x + reach + 1]
        area |= disc[top : top + area.shape[0], left : left + area.shape[1]]

    return keep_away


@lru_cache(maxsize=1024)
def _disc(square: int) -> BoolArray:
    """Grid offsets with dy² + dx² ≤ ``square``, the centre in the middle."""
    offsets = np.arange(-math.isqrt(square), math.isqrt(square) + 1)
    return offsets[:, None] ** 2 + offsets**2 <= square


def stretches(density: FloatArray, length: float) -> KeepAway:
    """A point of a line keeps away what is nearer than ``length`` along the cumulated ``density``[n]."""
    position = np.cumsum(density) - density / 2
    first = np.searchsorted(position, position - length, side="right").tolist()
    last = np.searchsorted(position, position + length, side="left").tolist()

    def keep_away(blocked: BoolArray, y: int, x: int) -> None:
        blocked[y, first[x] : last[x]] = True

    return keep_away
