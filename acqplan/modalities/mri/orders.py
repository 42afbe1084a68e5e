"""Orders of k-space. An echo train is the readings after one excitation, one position of k-space per echo."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from acqplan.core.errors import RecipeError
from acqplan.core.registry import register
from acqplan.designers.orders import IntArray, Order, ascending_by
from acqplan.sensing.model import SensingModel


def checked_train(echo_train: int) -> int:
    """The number of echoes in a train; `RecipeError` if it is less than 1."""
    if echo_train < 1:
        raise RecipeError(f"The echo train has {echo_train} echoes.", "Give a whole number of at least 1.")
    return echo_train


def dealt_to_trains(units: IntArray, echo_train: int) -> IntArray:
    """int32[n]: train after train, each with ``echo_train`` of the units, which keep their sequence within it.

    The units are cut into as many consecutive bands as there are echoes; echo e of every train takes one unit of band
    e, so that each echo, with its T2 weighting, covers one contiguous band. Where n is no multiple, the last
    train is shorter and takes units evenly from all of the bands.
    """
    n, n_last = units.size, units.size % echo_train
    evenly = (2 * np.arange(n_last) + 1) * n // max(1, 2 * n_last)
    whole = np.delete(units, evenly).reshape(echo_train, -1)
    return np.concatenate([whole.T.ravel(), units[evenly]]).astype(np.int32)


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

    @classmethod
    def option_words(cls, options: Mapping[str, Any]) -> str:
        echo = options.get("effective_echo")
        return "" if echo is None else f"centre of k-space at echo {echo}"

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
