"""From the centre of k-space outwards."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from acqplan.core.registry import register
from acqplan.designers.orders.base import IntArray, Order, ascending_by
from acqplan.designers.orders.trains import checked_train, dealt_to_trains
from acqplan.sensing.model import SensingModel


@register("orders", "centre-out")
class CentreOut(Order):
    """By distance from the centre of k-space (relative to its sides), equal distances by ascending unit.

    With echo trains every train starts near the centre and ends outside: the first echoes cover the
    innermost band, so that the effective echo time is the shortest.

    Parameters
    ----------
    echo_train
        Echoes per train; 1 without trains.
    """

    summary = "from the centre of k-space outwards (every echo train on its own, where there are trains)"
    modalities = ("cartesian_mri",)

    def __init__(self, echo_train: int = 1) -> None:
        self.echo_train = checked_train(echo_train)

    def arrange(
        self, units: IntArray, sensing: SensingModel, *, energy: npt.NDArray[np.float64] | None, seed: int
    ) -> IntArray:
        # Rounding makes positions equal that are equally far but for the last bit.
        return dealt_to_trains(ascending_by(sensing.distance().round(9), units), self.echo_train)
