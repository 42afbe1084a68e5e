"""The contract of an order: when each unit of a pattern is acquired."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar

import numpy as np
import numpy.typing as npt

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
    modalities: ClassVar[tuple[str, ...]]
    """Kinds of the sensing models whose units it can arrange."""

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
