"""As the designer gives it."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from acqplan.core.registry import register
from acqplan.designers.orders.base import IntArray, Order
from acqplan.sensing.model import SensingModel


@register("orders", "given")
class Given(Order):
    """The designer's own order: that of the other plan with the designer from-plan, ascending with the others."""

    summary = "the order of the plan that the pattern is from (with --pattern-from)"
    modalities = ("cartesian_mri", "hadamard_dmd")

    def arrange(
        self, units: IntArray, sensing: SensingModel, *, energy: npt.NDArray[np.float64] | None, seed: int
    ) -> IntArray:
        return np.array(units, dtype=np.int32)
