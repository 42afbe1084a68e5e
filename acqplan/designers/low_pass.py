"""The lowest frequencies, or sequencies."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from acqplan.core.registry import register
from acqplan.designers.base import DesignProblem, FixedDesigner


def lowest_first(problem: DesignProblem) -> npt.NDArray[np.int64]:
    """The free units by ascending distance from the centre (or DC), ties in catalogue order."""
    free = problem.free_units
    return free[np.argsort(problem.sensing.distance()[free], kind="stable")]


@register("designers", "low-pass")
class LowPass(FixedDesigner):
    """The units nearest the centre of the catalogue: full resolution is given up, nothing is aliased."""

    summary = "the units nearest the centre (or DC)"
    reference = "conventional low-resolution acquisition"

    def choose(self, random: np.random.Generator) -> npt.NDArray[np.int64]:
        return lowest_first(self.problem)[: self.problem.n_free]


@register("designers", "low-sequency")
class LowSequency(LowPass):
    """`LowPass` by the name it has in Hadamard imaging: a growing square of the lowest sequencies."""

    summary = "the lowest sequencies: low-pass, as it is called in Hadamard imaging"
    reference = "zigzag or square sequency ordering in single-pixel imaging"
