"""Uniform random choice."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from acqplan.core.registry import register
from acqplan.designers.base import FixedDesigner


@register("designers", "uniform")
class Uniform(FixedDesigner):
    """Every unit outside the calibration region is equally likely; drawn without replacement."""

    summary = "uniform random, without replacement"
    reference = "the random mask of compressed sensing (Candès, Romberg and Tao, IEEE TIT 2006)"

    def choose(self, random: np.random.Generator) -> npt.NDArray[np.int64]:
        return random.choice(self.problem.free_units, self.problem.n_free, replace=False)
