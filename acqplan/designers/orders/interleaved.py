"""Every other one, then those between."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from acqplan.core.errors import RecipeError
from acqplan.core.registry import register
from acqplan.designers.orders.base import IntArray, Order
from acqplan.sensing.model import SensingModel


@register("orders", "interleaved")
class Interleaved(Order):
    """Several sweeps over k-space: in each one, every ``interleaves``-th of the units in ascending order.

    Slow drift and motion then look alike in neighbouring units only sweep by sweep, and each sweep alone covers all
    of the pattern's extent.

    Parameters
    ----------
    interleaves
        Number of sweeps, at least 2; sweep j takes the units at places j, j + interleaves, ….
    """

    summary = "several sweeps, each over every other (or every n-th) of the measured positions"
    modalities = ("cartesian_mri", "hadamard_dmd")

    def __init__(self, interleaves: int = 2) -> None:
        if interleaves < 2:
            raise RecipeError(f"The pattern setting interleaves is {interleaves}.", "Give at least 2 sweeps.")
        self.interleaves = interleaves

    def arrange(
        self, units: IntArray, sensing: SensingModel, *, energy: npt.NDArray[np.float64] | None, seed: int
    ) -> IntArray:
        ascending = np.sort(units).astype(np.int32)
        return np.concatenate([ascending[start :: self.interleaves] for start in range(self.interleaves)])
