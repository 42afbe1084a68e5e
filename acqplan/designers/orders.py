"""Orders of acquisition: when each unit of a pattern is measured."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from acqplan.core.errors import RecipeError
from acqplan.core.registry import register
from acqplan.core.seeding import numpy_generator
from acqplan.sensing.model import SensingModel

IntArray = npt.NDArray[np.int32]


class Order(ABC):
    """Arranges the units that a designer has chosen in the order of their acquisition.

    A subclass's constructor takes JSON-ready keywords, all with defaults, and keeps each under its own name as it was
    decided; they are settings of the recipe's section ``[pattern]``. An order says when, never what: it
    changes neither the units nor how often each one is measured.
    """

    kind: ClassVar[str]
    summary: ClassVar[str]
    modalities: ClassVar[tuple[str, ...] | None] = None
    """Kinds of the sensing models whose units it can arrange; None: all."""

    @classmethod
    def option_words(cls, options: Mapping[str, Any]) -> str:
        """Its options in words, for a report; nothing where there is nothing to say."""
        return ""

    @abstractmethod
    def arrange(
        self, units: IntArray, sensing: SensingModel, *, energy: npt.NDArray[np.float64] | None, seed: int
    ) -> IntArray:
        """A permutation of ``units`` in acquisition order, the same for the same arguments.

        Parameters
        ----------
        units
            int32[n], indices into the catalogue; a unit measured r times occurs r times.
        sensing
            The catalogue.
        energy
            float64[K], mean of |coefficient|² over the training images, or None where it isn't known.
        seed
            Seed of whatever is drawn.

        Returns
        -------
        int32[n]. Where the order leaves units equal, the one with the lower index comes first.
        """


def ascending_by(keys: npt.NDArray[np.float64], units: IntArray) -> IntArray:
    """``units`` by ascending ``keys``[K] of the catalogue; equal keys by ascending unit."""
    ascending = np.sort(units)
    arranged: IntArray = ascending[np.argsort(keys[ascending], kind="stable")].astype(np.int32)
    return arranged


@register("orders", "linear")
class Linear(Order):
    """Ascending units: ky from one side of k-space to the other, and kz within each ky; repeats in succession."""

    summary = "ascending: ky from one side of k-space to the other, kz within each ky (the default)"

    def arrange(
        self, units: IntArray, sensing: SensingModel, *, energy: npt.NDArray[np.float64] | None, seed: int
    ) -> IntArray:
        return np.sort(units).astype(np.int32)


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

    def __init__(self, interleaves: int = 2) -> None:
        if interleaves < 2:
            raise RecipeError(f"The pattern setting interleaves is {interleaves}.", "Give at least 2 sweeps.")
        self.interleaves = interleaves

    @classmethod
    def option_words(cls, options: Mapping[str, Any]) -> str:
        return f"{options['interleaves']} sweeps" if "interleaves" in options else ""

    def arrange(
        self, units: IntArray, sensing: SensingModel, *, energy: npt.NDArray[np.float64] | None, seed: int
    ) -> IntArray:
        ascending = np.sort(units).astype(np.int32)
        return np.concatenate([ascending[start :: self.interleaves] for start in range(self.interleaves)])


@register("orders", "random")
class Shuffled(Order):
    """A permutation drawn from the recipe's seed: drift and motion become noise instead of ghosts."""

    summary = "drawn from the recipe's seed"

    def arrange(
        self, units: IntArray, sensing: SensingModel, *, energy: npt.NDArray[np.float64] | None, seed: int
    ) -> IntArray:
        return numpy_generator(seed, "order:random").permutation(np.sort(units)).astype(np.int32)


@register("orders", "given")
class Given(Order):
    """The designer's own order: that of the other plan with the designer from-plan, ascending with the others."""

    summary = "the order of the plan that the pattern is from (with --pattern-from)"

    def arrange(
        self, units: IntArray, sensing: SensingModel, *, energy: npt.NDArray[np.float64] | None, seed: int
    ) -> IntArray:
        return np.array(units, dtype=np.int32)
