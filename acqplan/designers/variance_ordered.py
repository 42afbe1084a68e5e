"""The units that carry most energy in the training images."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from acqplan.core.registry import register
from acqplan.designers.base import FixedDesigner


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
