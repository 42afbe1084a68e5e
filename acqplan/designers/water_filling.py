"""Repeats where they gain most, by the energy of the training images and the noise of the detector."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from acqplan.core.registry import register
from acqplan.designers.designer import DesignProblem, FixedDesigner
from acqplan.designers.options import count_option
from acqplan.designers.repeats import allot, candidates_of, noise_variance
from acqplan.designers.tuned import TunedDesigner


@register("designers", "water-filling")
class WaterFilling(FixedDesigner):
    """The repeats that leave the least error of a linear estimate, coefficient by coefficient.

    Prior variance: mean |coefficient|² over the training images; noise: of a mean training image. The
    greedy choice of the largest gain is exact (`acqplan.designers.repeats`).
    """

    summary = "repeats by water-filling: least linear error for energy and noise"
    reference = "reverse water-filling; greedy allocation, Fox, Oper. Res. 14:210, 1966"
    repeats = True

    def choose(self, random: np.random.Generator) -> npt.NDArray[np.int64]:
        problem = self.problem
        least = problem.fixed_counts
        counts = allot(problem.energy, noise_variance(problem), least, candidates_of(problem), problem.n_free)
        return np.repeat(np.arange(counts.size), counts - least)


@register("designers", "uniform-repeats")
class UniformRepeats(TunedDesigner):
    """The units with most energy, each measured equally often.

    Parameters
    ----------
    times
        How often; None: tuned for the network. More where the catalogue has no more units; where the count is no
        multiple, or too small for the calibration region, some units are measured once more than others.
    """

    summary = "the units with most energy, each of them equally often, tuned"
    reference = "averaging, as a baseline"
    repeats = True
    parameter = "times"
    draws = 1
    values = (1, 2, 3, 4, 6, 8)
    usual = 2

    def __init__(self, problem: DesignProblem, times: int | None = None, rounds: int | None = None) -> None:
        super().__init__(problem, rounds)
        self.times = None if times is None else count_option(self.kind, "times", times)

    def choose(self, value: int, random: np.random.Generator) -> npt.NDArray[np.int64]:
        problem = self.problem
        counts = problem.fixed_counts
        candidates = candidates_of(problem)
        first = np.flatnonzero(candidates & (counts > 0))
        others = np.flatnonzero(candidates & (counts == 0))
        ranked = np.concatenate([first, others[np.argsort(-problem.energy[others], kind="stable")]])
        n = problem.n_free + int(counts[first].sum())
        n_units = min(max(-(-n // value), first.size), ranked.size)
        counts[ranked[:n_units]] = n // n_units
        counts[ranked[: n % n_units]] += 1
        return np.repeat(np.arange(counts.size), counts - problem.fixed_counts)
