"""In no order at all, by a seed."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from acqplan.core.registry import register
from acqplan.core.seeding import numpy_generator
from acqplan.designers.orders.base import IntArray, Order
from acqplan.sensing.model import SensingModel


@register("orders", "random")
class Shuffled(Order):
    """A permutation drawn from the recipe's seed: drift and motion become noise instead of ghosts."""

    summary = "drawn from the recipe's seed"
    modalities = ("cartesian_mri", "hadamard_dmd")

    def arrange(
        self, units: IntArray, sensing: SensingModel, *, energy: npt.NDArray[np.float64] | None, seed: int
    ) -> IntArray:
        return numpy_generator(seed, "order:random").permutation(np.sort(units)).astype(np.int32)
