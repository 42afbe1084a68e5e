"""Designers that learn nothing and draw no density: the simple choices that every comparison needs."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from acqplan.core.errors import RecipeError
from acqplan.core.registry import register
from acqplan.designers.designer import DesignProblem, FixedDesigner
from acqplan.designers.options import number_option
from acqplan.designers.tuned import TunedDesigner

SHAPES = ("square", "disc", "triangle")


@register("designers", "uniform")
class Uniform(FixedDesigner):
    """Every unit outside the calibration region is equally likely; drawn without replacement."""

    summary = "uniform random, without replacement"
    reference = "the random mask of compressed sensing (Candès, Romberg and Tao, IEEE TIT 2006)"

    def choose(self, random: np.random.Generator) -> npt.NDArray[np.int64]:
        return random.choice(self.problem.free_units, self.problem.n_free, replace=False)


def lowest_first(problem: DesignProblem) -> npt.NDArray[np.int64]:
    """The free units by ascending distance from the centre (or DC), ties in catalogue order."""
    free = problem.free_units
    return free[np.argsort(problem.sensing.distance()[free], kind="stable")]


@register("designers", "low-pass")
class LowPass(TunedDesigner):
    """The units nearest the centre of the catalogue: full resolution is given up, nothing is aliased.

    Parameters
    ----------
    shape
        ``square``, ``disc`` or ``triangle`` (a diamond around a centre): the largest of the coordinates, their
        distance, or their sum grows. None: tuned for the network; of lines there is only one.
    """

    summary = "the units nearest the centre (or DC): square, disc or triangle, tuned"
    reference = "conventional low-resolution acquisition"
    parameter = "shape"
    draws = 1

    def __init__(self, problem: DesignProblem, shape: str | None = None, rounds: int | None = None) -> None:
        super().__init__(problem, rounds)
        if shape is not None and shape not in SHAPES:
            raise RecipeError(
                f"The {self.kind} option shape is {shape!r}.", f"Give one of: {', '.join(SHAPES)}, or leave it out."
            )
        self.shape = shape

    @property
    def values(self) -> tuple[str, ...]:
        return SHAPES if len(self.problem.sensing.grid_shape) > 1 else (self.usual,)

    @property
    def usual(self) -> str:
        """As the catalogue itself measures distance."""
        return "disc" if self.problem.sensing.coordinates().min() < 0 else "square"

    def choose(self, value: str, random: np.random.Generator) -> npt.NDArray[np.int64]:
        distances = np.abs(self.problem.sensing.coordinates())
        total, largest = distances.sum(-1), distances.max(-1)
        distance = {
            "square": largest + 1e-3 * total / max(self.problem.sensing.grid_shape),
            "disc": np.linalg.norm(distances, axis=-1),
            "triangle": total.round(9),
        }[value]
        free = self.problem.free_units
        return free[np.argsort(distance[free], kind="stable")][: self.problem.n_free]


@register("designers", "low-sequency")
class LowSequency(FixedDesigner):
    """A growing square of the lowest sequencies; of other catalogues, the units nearest the centre."""

    summary = "the lowest sequencies: a growing square"
    reference = "square sequency ordering in single-pixel imaging"

    def choose(self, random: np.random.Generator) -> npt.NDArray[np.int64]:
        return lowest_first(self.problem)[: self.problem.n_free]


@register("designers", "half-half")
class HalfHalf(TunedDesigner):
    """A part of the budget on the units nearest the centre (or DC), the rest uniform among the others.

    The calibration region and required units count towards the first part, which is rounded up; where
    they alone are more, all the rest is random.

    Parameters
    ----------
    share
        Of the budget, 0 to 1, that is lowest: one half in the paper. None: tuned for the network.
    """

    summary = "a part of the budget lowest, the rest uniform random, the split tuned"
    reference = "half-half baseline of Wang et al., MICCAI 2021, arXiv 2105.07961"
    parameter = "share"
    values = (0.25, 0.4, 0.5, 0.6, 0.75, 0.9)
    usual = 0.5

    def __init__(self, problem: DesignProblem, share: float | None = None, rounds: int | None = None) -> None:
        super().__init__(problem, rounds)
        self.share = None if share is None else number_option(self.kind, "share", share)
        if self.share is not None and self.share > 1:
            raise RecipeError(f"The {self.kind} option share is {self.share:g}.", "Give a number from 0 to 1.")

    def choose(self, value: float, random: np.random.Generator) -> npt.NDArray[np.int64]:
        problem = self.problem
        n_lowest = math.ceil(value * problem.budget.n_readings - 1e-9)
        n_low = min(max(0, n_lowest - int(problem.fixed_counts.sum())), problem.n_free)
        ordered = lowest_first(problem)
        rest = random.choice(ordered[n_low:], problem.n_free - n_low, replace=False)
        return np.concatenate([ordered[:n_low], rest])


def _steps(problem: DesignProblem) -> npt.NDArray[np.int64]:
    """int64[K, axes]: how many steps each unit lies from the centre (or DC) along each axis; sequencies of a DMD's."""
    distances = np.abs(problem.sensing.coordinates()).round(9)
    return np.stack([np.unique(axis, return_inverse=True)[1].reshape(-1) for axis in distances.T], axis=-1)


def _first(problem: DesignProblem, rank: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    free = problem.free_units
    return free[np.argsort(rank[free], kind="stable")][: problem.n_free]


@register("designers", "cake-cutting")
class CakeCutting(FixedDesigner):
    """The patterns with the fewest connected regions, (u + 1)(v + 1): a hyperbola around the axes."""

    summary = "the fewest connected regions, (u+1)(v+1): a hyperbola around the axes"
    reference = "Yu, Sensors 19:4122, 2019"

    def choose(self, random: np.random.Generator) -> npt.NDArray[np.int64]:
        return _first(self.problem, (1 + _steps(self.problem)).prod(-1))


@register("designers", "zigzag")
class Zigzag(FixedDesigner):
    """The lowest sums of sequencies, u + v: a triangle, as total variation ranks them too."""

    summary = "the lowest sums of sequencies, u + v: a triangle"
    reference = "zigzag or total-variation ordering in single-pixel imaging"

    def choose(self, random: np.random.Generator) -> npt.NDArray[np.int64]:
        return _first(self.problem, _steps(self.problem).sum(-1))


@register("designers", "variance-ordered")
class VarianceOrdered(FixedDesigner):
    """Descending mean |coefficient|² over the training images ('statistical' ordering), ties in catalogue order.

    For the zero-filled image it is the best fixed choice in mean square error.
    """

    summary = "the units with most energy in the training images"
    reference = "statistical ordering of Hadamard coefficients in single-pixel imaging"

    def choose(self, random: np.random.Generator) -> npt.NDArray[np.int64]:
        free = self.problem.free_units
        descending = np.argsort(-self.problem.energy[free], kind="stable")
        return free[descending[: self.problem.n_free]]


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
