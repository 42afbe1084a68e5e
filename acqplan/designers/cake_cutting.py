"""The first units in the orders of single-pixel imaging that aren't squares."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from acqplan.core.registry import register
from acqplan.designers.base import DesignProblem, FixedDesigner


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
