"""Random patterns of a family of densities: what a network is trained on before a pattern is chosen for it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from acqplan.core.seeding import numpy_generator
from acqplan.designers.blue_noise import blue_noise
from acqplan.designers.designer import DesignProblem
from acqplan.designers.probability import inclusion_probabilities, pareto_keys

POWERS = (0.5, 8.0)
"""Of the closeness to the centre, that a family holds; drawn evenly in the logarithm."""
EXPONENTS = (0.15, 1.0)
"""Of the images' mean energy."""
_SMOOTHING = 1.5  # units: the energy of a few images is rough
_WIDEST_CORE = 0.5  # of the readings
_STRETCH = 0.5  # standard deviation of the logarithm (base 2) of the ratio of the axes
_EMPTY = 1e-12  # of the largest energy
_LEAST_LOG = -300.0  # of a weight over the largest: it stays positive
FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Density:
    """How likely each unit is measured.

    Parameters
    ----------
    power
        Of the closeness to the centre, 1 − distance/end; with ``by_energy`` of the images' mean energy.
    by_energy
        Follow the energy of the training images in place of the distance.
    core
        Share of the free readings, 0 to 1, that measure the likeliest units for certain.
    stretch
        Logarithm (base 2) of how much farther the density reaches along the last axis than along the first; of a
        distance's only.
    is_blue
        Draw with blue noise: no two readings needlessly close.
    """

    power: float
    by_energy: bool = False
    core: float = 0.0
    stretch: float = 0.0
    is_blue: bool = True


def closeness(problem: DesignProblem, stretch: float = 0.0) -> FloatArray:
    """float64[K]: 1 − distance/end, from 1 in the centre; the end lies one unit beyond the farthest unit.

    ``stretch``: logarithm (base 2) of how much farther it reaches along the last axis than along the first; 0 takes the
    catalogue's own distance.
    """
    sensing = problem.sensing
    if stretch == 0:
        distance = sensing.distance()
    else:
        scales = np.ones(len(sensing.grid_shape))
        scales[0], scales[-1] = 2 ** (stretch / 2), 2 ** (-stretch / 2)
        distance = np.sqrt((sensing.coordinates() ** 2 * scales**2).sum(-1))
    return np.asarray(1 - distance / (distance.max() * (1 + 1 / max(sensing.grid_shape))))


USUAL = Density(2.5)
"""What is drawn where nothing was searched."""


class Family:
    """Draws patterns for a design problem, each exactly on its budget and within its constraints."""

    def __init__(self, problem: DesignProblem) -> None:
        self.problem = problem
        self._levels: FloatArray | None = None
        energy = np.maximum(problem.energy, _EMPTY * max(float(problem.energy.max()), 1e-300))
        shape = problem.sensing.grid_shape
        smooth = ndimage.gaussian_filter(np.log(energy).reshape(shape), _SMOOTHING, mode="nearest").reshape(-1)
        self._log_energy = smooth - smooth.max()

    def own_random(self) -> np.random.Generator:
        """For the one draw that stands for a problem: always the same."""
        return numpy_generator(self.problem.seed, "designer:family")

    def any_density(self, random: np.random.Generator) -> Density:
        """One of the family, at random."""
        by_energy, is_blue = random.random() < 0.5, random.random() < 0.75
        low, high = EXPONENTS if by_energy else POWERS
        power = float(np.exp(random.uniform(np.log(low), np.log(high))))
        core = float(random.uniform(0, _WIDEST_CORE)) if random.random() < 0.5 else 0.0
        flat = by_energy or len(self.problem.sensing.grid_shape) == 1 or random.random() < 0.5
        return Density(power, by_energy, core, 0.0 if flat else float(_STRETCH * random.normal()), is_blue)

    def draw(self, density: Density, random: np.random.Generator, n: int | None = None) -> npt.NDArray[np.int64]:
        """``n`` (the problem's ``n_free``) distinct ones of the problem's free units."""
        free, n = self.problem.free_units, self.problem.n_free if n is None else n
        if n in (0, free.size):
            return free[:n]
        log_weights = self._log_weights(density)[free]
        weights = np.exp(np.maximum(log_weights - log_weights.max(), _LEAST_LOG))
        likeliest, n_core = np.argsort(-weights, kind="stable"), int(density.core * n)
        inclusion = np.ones(free.size)
        others = likeliest[n_core:]
        inclusion[others] = inclusion_probabilities(weights[others], n - n_core)
        levels = self._shifted_levels(random)[free] if density.is_blue else random.random(free.size)
        return free[np.sort(np.argsort(pareto_keys(inclusion, levels), kind="stable")[:n])]

    def _log_weights(self, density: Density) -> FloatArray:
        """float64[K]."""
        if density.by_energy:
            return np.asarray(density.power * self._log_energy)
        return np.asarray(density.power * np.log(closeness(self.problem, density.stretch)))

    def _shifted_levels(self, random: np.random.Generator) -> FloatArray:
        """float64[K]: blue noise on a torus, moved and mirrored at random: as many draws as there are places."""
        shape = self.problem.sensing.grid_shape
        if self._levels is None:
            self._levels = blue_noise(shape, numpy_generator(self.problem.seed, "family"))
        levels = self._levels
        for axis, side in enumerate(shape):
            levels = np.roll(levels, int(random.integers(side)), axis)
            levels = np.flip(levels, axis) if random.random() < 0.5 else levels
        return np.asarray(levels.reshape(-1))
