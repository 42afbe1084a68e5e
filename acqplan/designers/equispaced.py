"""Regularly spaced units."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from acqplan.core.registry import register
from acqplan.designers.base import DesignProblem, FixedDesigner
from acqplan.designers.low_pass import lowest_first
from acqplan.designers.options import number_option


@register("designers", "equispaced")
class Equispaced(FixedDesigner):
    """Equal spacing outside the calibration region.

    * Lines: equally spaced over the lines outside the calibration region, as in fastMRI; gaps,
      counted in those lines, differ by at most one.
    * Points of a Fourier grid: a sheared lattice (as in CAIPIRINHA) of the density that the count
      asks for; exactly regular where grid and count allow it.
    * A Hadamard catalogue: equally spaced over its coefficients in order of distance from DC.

    Parameters
    ----------
    offset
        Lines, points along a row, or places in the order, from the start to the first one taken; modulo the
        spacing. None draws it at random.
    """

    summary = "equally spaced beside the calibration region; points in a CAIPI lattice"
    reference = "fastMRI's equispaced mask (arXiv 1811.08839); 2D CAIPIRINHA, Breuer et al., MRM 2006"

    def __init__(self, problem: DesignProblem, offset: float | None = None) -> None:
        super().__init__(problem)
        self.offset = None if offset is None else number_option(self.kind, "offset", offset)

    def choose(self, random: np.random.Generator) -> npt.NDArray[np.int64]:
        problem = self.problem
        if problem.n_free == 0:
            return np.zeros(0, dtype=np.int64)
        spacing = problem.free_units.size / problem.n_free
        offset = spacing * random.random() if self.offset is None else self.offset
        coordinates = problem.sensing.coordinates()
        is_centred = bool(coordinates.min() < 0)  # a Fourier grid has frequencies of both signs
        if not is_centred:
            return equally_spaced(lowest_first(problem), problem.n_free, offset)
        if len(problem.sensing.grid_shape) == 1:
            return equally_spaced(problem.free_units, problem.n_free, offset)
        return _lattice(problem, spacing, offset)


def equally_spaced(units: npt.NDArray[np.int64], n: int, offset: float) -> npt.NDArray[np.int64]:
    """n of the units, at places ⌊offset + j·len(units)/n⌋ for j = 0 … n−1 (cyclic)."""
    # Whole numbers and a fraction of a place: exact for any size, unlike a running float.
    whole, fraction = divmod(offset, 1.0)
    places = (np.arange(n) * units.size + int(fraction * n)) // n + int(whole)
    return units[places % units.size]


def _lattice(problem: DesignProblem, spacing: float, offset: float) -> npt.NDArray[np.int64]:
    """Points with (column + shear·row − offset) mod spacing < 1, repaired to the count.

    The density is 1/spacing also for a spacing that isn't a whole number; what is missing at the
    borders is added nearest the centre, what is too much dropped farthest from it.
    """
    columns = problem.sensing.grid_shape[1]
    shear = best_shear(spacing)
    row, column = np.divmod(problem.free_units, columns)
    # 1e-9 keeps whole numbers on their side of the comparison.
    phase = np.mod(column + shear * row - offset + 1e-9, spacing)
    ordered = np.argsort(problem.sensing.distance()[problem.free_units], kind="stable")
    lowest_in_lattice_first = ordered[np.argsort(phase[ordered] >= 1, kind="stable")]
    return problem.free_units[lowest_in_lattice_first[: problem.n_free]]


def best_shear(spacing: float) -> float:
    """The shift between rows, in columns, for which the lattice of that spacing is the most even.

    Columns of a row are ``spacing`` apart and each row is shifted: the lattice {(y, shear·y + spacing·j)}.
    Among shear = s·spacing/D with D the whole number nearest the spacing, the one with
    the longest shortest vector; the smallest s where several are equal.
    """
    n_shifts = max(1, round(spacing))
    # A lattice of cell area A has a vector no longer than √(2A/√3), and its mirror image has shift
    # D − s; nearly hexagonal lattices occur among the small shifts already.
    n_rows = math.floor(math.sqrt(1.16 * spacing))
    best, best_length = 0.0, -1.0
    for s in range(min(n_shifts // 2, math.ceil(2 * math.sqrt(spacing))) + 1):
        shear = s * spacing / n_shifts
        length = spacing**2
        for y in range(1, n_rows + 1):
            across = math.remainder(shear * y, spacing)
            length = min(length, y * y + across * across)
        if length > best_length + 1e-9:
            best, best_length = shear, length
    return best
