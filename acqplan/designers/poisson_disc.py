"""Random choice with a minimum spacing."""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from acqplan.designers.base import DesignProblem, FixedDesigner
from acqplan.designers.options import number_option
from acqplan.designers.probability import inclusion_probabilities
from acqplan.designers.variable_density import closeness, tuned_power
from acqplan.registry import register

_SHRINK_MOST, _SHRINK_LEAST = 0.8, 0.97  # of the scale between two passes
_DENSEST = 16.0  # the core is full from 1 on
BoolArray = npt.NDArray[np.bool_]
IntArray = npt.NDArray[np.int64]
FloatArray = npt.NDArray[np.float64]


@register("designers", "poisson-disc")
class PoissonDisc(FixedDesigner):
    """Random points no nearer to each other than a spacing that follows the variable density.

    spacing = scale · density^(−1/dimensions) in grid units, the density that of `VariableDensity`; points
    keep it from the calibration region too. Darts are thrown at the grid in one random order. When no more
    find room the scale shrinks and the gaps are filled, until the count is reached: a bounded number of passes.

    Parameters
    ----------
    power
        Of the density, (1 − distance/end)^power: 0 is evenly spaced, None the power tuned for
        variable density.
    """

    summary = "random with a minimum spacing, denser in the centre (Poisson disc)"
    reference = "McCool and Fiume, Graphics Interface 1992; Vasanawala et al., ISBI 2011 (in MRI)"

    def __init__(self, problem: DesignProblem, power: float | None = None) -> None:
        super().__init__(problem)
        self.power = tuned_power(problem) if power is None else number_option(self.kind, "power", power)

    def choose(self, random: np.random.Generator) -> npt.NDArray[np.int64]:
        problem = self.problem
        if problem.n_free == 0:
            return problem.free_units[:0]
        shape = (1, *problem.sensing.grid_shape)[-2:]
        calibration = np.zeros(problem.sensing.n_units, dtype=bool)
        calibration[problem.calibration] = True
        order = random.permutation(problem.free_units)
        taken = poisson_disc(calibration.reshape(shape), self.spacing().reshape(shape), order, problem.n_free)
        return np.flatnonzero(taken.ravel() & ~calibration)

    def spacing(self) -> FloatArray:
        """float64[K]: density^(−1/dimensions) in grid units, at most a quarter of the longest side."""
        grid_shape = self.problem.sensing.grid_shape
        weights = closeness(self.problem) ** self.power
        free_weights = weights[self.problem.free_units]
        inclusion = inclusion_probabilities(free_weights, self.problem.n_free)
        density = np.minimum(weights * (inclusion / free_weights).max(), _DENSEST)
        return np.asarray(np.minimum(density ** (-1 / len(grid_shape)), max(1.0, max(grid_shape) / 4)))


def poisson_disc(given: BoolArray, spacing: FloatArray, order: IntArray, n: int) -> BoolArray:
    """bool[rows, columns]: ``given`` and n more points, as far apart as ``spacing`` times a common scale.

    Parameters
    ----------
    given
        bool[rows, columns], points that are there already; one row for a line.
    spacing
        float64[rows, columns], relative distance that each point keeps, in grid units.
    order
        int64[m], flat indices of the points that can be taken, in the order of trying; m ≥ n.
    """
    n_wanted = int(given.sum()) + n
    dimensions = 1 if given.shape[0] == 1 else 2
    # Random packing in a plane reaches about 0.7 points per square of the spacing, on a line 0.75 per length.
    scale = (0.7 * float((spacing**-dimensions).sum()) / n_wanted) ** (1 / dimensions)
    taken = throw_darts(given, spacing * scale, order, order.size)
    while int(taken.sum()) > n_wanted:
        scale *= 1.25
        taken = throw_darts(given, spacing * scale, order, order.size)
    while (n_missing := n_wanted - int(taken.sum())) > 0:
        shrink = (1 - n_missing / n_wanted) ** (1 / dimensions)
        scale *= min(max(shrink, _SHRINK_MOST), _SHRINK_LEAST)
        taken = throw_darts(taken, spacing * scale, order, n_missing)
    return taken


def throw_darts(given: BoolArray, spacing: FloatArray, order: IntArray, most: int) -> BoolArray:
    """bool[rows, columns]: ``given`` and, of ``order``, up to ``most`` points that no earlier one keeps away.

    A taken point keeps others away that are nearer than its own spacing. Points with a spacing of at
    most 1 go first: they keep nothing away, and a distant dart with a wide disc can't take them out.
    """
    rows, columns = spacing.shape
    # d < r for whole numbers d² is d² ≤ ⌈r²⌉ − 1.
    squares = (np.ceil(np.minimum(spacing**2, rows**2 + columns**2)) - 1).clip(min=0).astype(np.int64)
    reach_y, reach_x = (min(math.isqrt(int(squares.max())), side - 1) for side in spacing.shape)
    blocked = np.zeros((rows + 2 * reach_y, columns + 2 * reach_x), dtype=bool)  # padded by the reach
    taken = given.copy()
    order = order[np.argsort(spacing.ravel()[order] > 1, kind="stable")]
    units = np.concatenate([np.flatnonzero(given), order])
    n_given = units.size - order.size
    ys, xs = np.divmod(units, columns)
    places = zip(ys.tolist(), xs.tolist(), squares.ravel()[units].tolist(), strict=True)
    for rank, (y, x, square) in enumerate(places):
        if rank >= n_given:
            if most == 0:
                break
            if blocked[y + reach_y, x + reach_x]:
                continue
            taken[y, x] = True
            most -= 1
        disc = _disc(square, rows, columns)
        top, left = y + reach_y - disc.shape[0] // 2, x + reach_x - disc.shape[1] // 2
        blocked[top : top + disc.shape[0], left : left + disc.shape[1]] |= disc
    return taken


@lru_cache(maxsize=4096)
def _disc(square: int, rows: int, columns: int) -> BoolArray:
    """Grid offsets with dy² + dx² ≤ ``square``, cropped to ±(rows − 1) and ±(columns − 1)."""
    radius = math.isqrt(square)
    y = np.arange(-min(radius, rows - 1), min(radius, rows - 1) + 1)
    x = np.arange(-min(radius, columns - 1), min(radius, columns - 1) + 1)
    return y[:, None] ** 2 + x**2 <= square
