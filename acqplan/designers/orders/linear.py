"""From one end of the catalogue to the other."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from acqplan.core.registry import register
from acqplan.designers.orders.base import IntArray, Order
from acqplan.sensing.model import SensingModel


@register("orders", "linear")
class Linear(Order):
    """Ascending units: ky from one side of k-space to the other, and kz within each ky; repeats in succession."""

    summary = "ascending: ky from one side of k-space to the other, kz within each ky (the default)"
    modalities = ("cartesian_mri", "hadamard_dmd")

    def arrange(
        self, units: IntArray, sensing: SensingModel, *, energy: npt.NDArray[np.float64] | None, seed: int
    ) -> IntArray:
        return np.sort(units).astype(np.int32)
