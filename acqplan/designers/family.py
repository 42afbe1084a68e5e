"""Patterns of a family of densities: what a network is trained on before a pattern is chosen for it."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from acqplan.core.seeding import numpy_generator
from acqplan.designers.blue_noise import blue_noise
from acqplan.designers.designer import DesignProblem
from acqplan.designers.probability import inclusion_probabilities, pareto_keys
from acqplan.designers.repeats import allot, candidates_of, noise_variance

POWERS = (0.5, 8.0)
"""Of the closeness to the centre, that a family holds; drawn evenly in the logarithm."""
EXPONENTS = (0.15, 1.0)
"""Of the images' mean energy."""
FILLINGS = (0.5, 1.5)
"""Of the images' mean energy, where readings are repeated by it."""
LIGHTS = (0.05, 10.0)
"""That repeats are made for, over the light that there is; drawn evenly in the logarithm."""
_SMOOTHING = 1.5  # units: the energy of a few images is rough
_WIDEST_CORE = 0.5  # of the readings
_STRETCH = 0.5  # standard deviation of the logarithm (base 2) of the ratio of the axes
_JITTER = 0.2
_MOST_TIMES = 16
_DIM = 0.1  # of the light: where water-filling repeats nothing even then, no repeats are drawn
_EMPTY = 1e-12  # of the largest energy
_LEAST_LOG = -300.0  # of a weight over the largest: it stays positive
FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Density:
    """How likely each unit is measured, and how often.

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
    norm
        Of the distance: 1 (a triangle or diamond), 2 (a disc), or 0, the catalogue's own.
    times
        How often each unit is measured.
    light
        Repeats by water-filling on the energy, for so many times the light that there is, in place of a draw; 0: none.
    jitter
        Standard deviation of what is added to the logarithm of each weight, drawn for each pattern.
    """

    power: float
    by_energy: bool = False
    core: float = 0.0
    stretch: float = 0.0
    is_blue: bool = True
    norm: int = 0
    times: int = 1
    light: float = 0.0
    jitter: float = 0.0

    def loosened(self) -> Density:
        """One whose draws differ from each other."""
        is_the_same_each_time = self.jitter == 0 and (self.light > 0 or self.core == 1)
        return replace(self, jitter=_JITTER) if is_the_same_each_time else self


WATER_FILLING = Density(1.0, by_energy=True, light=1.0)
LOWEST = tuple(Density(1.0, core=1.0, norm=norm) for norm in (0, 1, 2))
"""The units nearest the centre (or DC), each once: by the catalogue's distance, in a triangle, in a disc."""


def closeness(problem: DesignProblem, stretch: float = 0.0, norm: int = 0) -> FloatArray:
    """float64[K]: 1 − distance/end, from 1 in the centre; the end lies one unit beyond the farthest unit.

    ``stretch``: logarithm (base 2) of how much farther it reaches along the last axis than along the first. ``norm``
    of the distance; 0 takes the catalogue's own where nothing is stretched.
    """
    sensing = problem.sensing
    if stretch == 0 and norm == 0:
        distance = sensing.distance()
    else:
        scales = np.ones(len(sensing.grid_shape))
        scales[0], scales[-1] = 2 ** (stretch / 2), 2 ** (-stretch / 2)
        distance = np.linalg.norm(sensing.coordinates() * scales, ord=norm or 2, axis=-1)
    return np.asarray(1 - distance / (distance.max() * (1 + 1 / max(sensing.grid_shape))))


class Family:
    """Draws patterns for a design problem, each exactly on its budget and within its constraints.

    Where units of the catalogue may be worth several readings, some patterns have repeats: as often as water-filling
    gives for more or less light than there is, or a few units several times.
    """

    def __init__(self, problem: DesignProblem) -> None:
        self.problem = problem
        self._levels: FloatArray | None = None
        self._energy = np.maximum(problem.energy, _EMPTY * max(float(problem.energy.max()), 1e-300))
        shape = problem.sensing.grid_shape
        smooth = ndimage.gaussian_filter(np.log(self._energy).reshape(shape), _SMOOTHING, mode="nearest").reshape(-1)
        self._log_energy = smooth - smooth.max()
        self.starts_in_a_corner = bool(problem.sensing.coordinates().min() >= 0)
        self.candidates = candidates_of(problem)
        self._may_repeat = problem.sensing.repeats_pay and problem.budget.allows_repeats
        self._most_times = 1
        if self._may_repeat and problem.n_free > 0 and self.candidates.any():
            self._most_times = min(_MOST_TIMES, self._largest_count(_DIM))

    @property
    def repeats(self) -> bool:
        """Whether some of its patterns measure units several times."""
        return self._most_times > 1

    @property
    def musts(self) -> tuple[Density, ...]:
        """What a search has to look at, since it is good practice: it can then be no worse."""
        if not self.starts_in_a_corner:
            return ()
        lowest = LOWEST if len(self.problem.sensing.grid_shape) > 1 else LOWEST[:1]
        return (*lowest, WATER_FILLING) if self._may_repeat else lowest

    @property
    def usual(self) -> Density:
        """What is drawn where nothing was searched."""
        if not self.starts_in_a_corner:
            return Density(2.5)
        return WATER_FILLING if self.repeats and self._largest_count(1.0) > 1 else LOWEST[0]

    def own_random(self) -> np.random.Generator:
        """For the one draw that stands for a problem: always the same."""
        return numpy_generator(self.problem.seed, "designer:family")

    def any_density(self, random: np.random.Generator) -> Density:
        """One of the family, at random."""
        if self.repeats and random.random() < 0.5:
            return self._any_filling(random)
        by_energy, is_blue = random.random() < 0.5, random.random() < 0.75
        low, high = EXPONENTS if by_energy else POWERS
        power = float(np.exp(random.uniform(np.log(low), np.log(high))))
        widest_core = 1.0 if self.starts_in_a_corner else _WIDEST_CORE
        core = float(random.uniform(0, widest_core)) if random.random() < 0.5 else 0.0
        flat = by_energy or len(self.problem.sensing.grid_shape) == 1 or random.random() < 0.5
        density = Density(power, by_energy, core, 0.0 if flat else float(_STRETCH * random.normal()), is_blue)
        if self.starts_in_a_corner:
            norm = 0 if by_energy else int(random.integers(3))
            times = 1 if random.random() < 0.5 else round(2 ** random.uniform(0, np.log2(self._most_times)))
            density = replace(density, norm=norm, times=times)
        return density

    def _any_filling(self, random: np.random.Generator) -> Density:
        light = float(np.exp(random.uniform(*np.log(LIGHTS))))
        jitter = 0.0 if random.random() < 0.5 else float(random.uniform(0, 1))
        return Density(float(random.uniform(*FILLINGS)), by_energy=True, light=light, jitter=jitter)

    def draw(self, density: Density, random: np.random.Generator, n: int | None = None) -> IntArray:
        """``n`` (the problem's ``n_free``) of the problem's free units: distinct ones unless the density repeats.

        Water-filling gives readings to units of the calibration region as well. More readings than units are
        repeated evenly.
        """
        free, n = self.problem.free_units, self.problem.n_free if n is None else n
        if density.light > 0 and n > 0:
            return self._filled(density, random, n)
        if n in (0, free.size) and density.times == 1:
            return free[:n]
        n_units = min(-(-n // density.times), free.size)
        if n_units == 0:
            return np.resize(np.flatnonzero(self.candidates), n)
        chosen = self._distinct(density, random, n_units)
        times = np.full(n_units, n // n_units)
        times[: n % n_units] += 1
        return np.sort(np.repeat(chosen, times))

    def _distinct(self, density: Density, random: np.random.Generator, n: int) -> IntArray:
        """The likeliest of them first."""
        free = self.problem.free_units
        log_weights = self._log_weights(density)[free]
        if density.jitter > 0:
            log_weights = log_weights + density.jitter * random.normal(size=free.size)
        weights = np.exp(np.maximum(log_weights - log_weights.max(), _LEAST_LOG))
        likeliest, n_core = np.argsort(-weights, kind="stable"), int(density.core * n)
        inclusion = np.ones(free.size)
        others = likeliest[n_core:]
        inclusion[others] = inclusion_probabilities(weights[others], n - n_core)
        levels = self._shifted_levels(random)[free] if density.is_blue else random.random(free.size)
        chosen = np.sort(np.argsort(pareto_keys(inclusion, levels), kind="stable")[:n])
        return free[chosen[np.argsort(-weights[chosen], kind="stable")]]

    def _filled(self, density: Density, random: np.random.Generator, n: int) -> IntArray:
        """Readings as water-filling adds them to the fixed ones."""
        problem, prior = self.problem, self.problem.energy
        if density.power != 1 or density.jitter > 0:
            log_prior = density.power * np.log(self._energy / self._energy.max())
            log_prior = log_prior + density.jitter * random.normal(size=prior.size)
            prior = float(prior.max()) * np.exp(np.clip(log_prior, _LEAST_LOG, -_LEAST_LOG))
        counts = allot(prior, noise_variance(problem) / density.light, problem.fixed_counts, self.candidates, n)
        return np.repeat(np.arange(counts.size), counts - problem.fixed_counts)

    def _largest_count(self, light: float) -> int:
        drawn = self._filled(replace(WATER_FILLING, light=light), self.own_random(), self.problem.n_free)
        return int(np.bincount(drawn).max())

    def _log_weights(self, density: Density) -> FloatArray:
        """float64[K]."""
        if density.by_energy:
            return np.asarray(density.power * self._log_energy)
        return np.asarray(density.power * np.log(closeness(self.problem, density.stretch, density.norm)))

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
