"""By echo train: each train sweeps over k-space."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from acqplan.core.errors import RecipeError
from acqplan.core.registry import register
from acqplan.designers.orders.base import IntArray, Order
from acqplan.designers.orders.trains import checked_train, dealt_to_trains
from acqplan.sensing.model import SensingModel


@register("orders", "segmented")
class Segmented(Order):
    """Each echo train sweeps over ky from one side of k-space to the other; echo e of all trains covers one band.

    Linear view ordering of fast spin echo: T2 decay modulates k-space in one sweep instead of at every line. The
    echo that covers the centre of k-space gives the contrast. ``effective_echo`` chooses it by moving the bands round,
    the centre in the middle of its band; the band that meets both ends of ky is then acquired across them.

    Parameters
    ----------
    echo_train
        Echoes per train.
    effective_echo
        The echo, counted from 1, that covers the centre of k-space; None leaves the sweep as it is, from the lowest ky
        measured to the highest.
    """

    summary = "by echo train: every train sweeps from one side of k-space to the other"
    modalities = ("cartesian_mri",)

    def __init__(self, echo_train: int = 1, effective_echo: int | None = None) -> None:
        self.echo_train = checked_train(echo_train)
        if effective_echo is not None and not 1 <= effective_echo <= echo_train:
            raise RecipeError(
                f"The effective echo is {effective_echo}, a train has {echo_train} echoes.",
                f"Give a number from 1 to {echo_train}.",
            )
        self.effective_echo = effective_echo

    def arrange(
        self, units: IntArray, sensing: SensingModel, *, energy: npt.NDArray[np.float64] | None, seed: int
    ) -> IntArray:
        ascending = np.sort(units)
        if self.effective_echo is not None:
            shots = units.size // self.echo_train
            wanted = (self.effective_echo - 1) * shots + shots // 2
            centre = int(np.argmin(sensing.distance()[ascending].round(9)))
            ascending = np.roll(ascending, wanted - centre)
        return dealt_to_trains(ascending, self.echo_train)
