"""The orders of single-pixel imaging with Hadamard patterns; ties by ascending unit."""

from __future__ import annotations

from abc import abstractmethod

import numpy as np
import numpy.typing as npt

from acqplan.core.errors import RecipeError
from acqplan.core.registry import register
from acqplan.designers.orders import IntArray, Order, ascending_by
from acqplan.modalities.dmd import hadamard_orders as ranks
from acqplan.sensing.model import SensingModel


class _Ranked(Order):
    """By a rank that the catalogue's shape decides."""

    modalities = ("hadamard_dmd",)

    @abstractmethod
    def rank(self, grid_shape: tuple[int, ...]) -> npt.NDArray[np.int64]:
        """int64[K], low is early."""

    def arrange(
        self, units: IntArray, sensing: SensingModel, *, energy: npt.NDArray[np.float64] | None, seed: int
    ) -> IntArray:
        return ascending_by(self.rank(sensing.grid_shape).astype(np.float64), units)


@register("orders", "natural")
class Natural(_Ranked):
    """Rows of the Hadamard matrix in Sylvester's construction, as `scipy.linalg.hadamard` has them."""

    summary = "natural (Hadamard) order: rows of Sylvester's matrix"

    def rank(self, grid_shape: tuple[int, ...]) -> npt.NDArray[np.int64]:
        return ranks.natural(grid_shape)


@register("orders", "paley")
class Paley(_Ranked):
    """Paley's order: natural with the bits of the row reversed."""

    summary = "Paley's dyadic order"

    def rank(self, grid_shape: tuple[int, ...]) -> npt.NDArray[np.int64]:
        return ranks.paley(grid_shape)


@register("orders", "sequency")
class Sequency(_Ranked):
    """Walsh's order over all pixels in sequence: ascending number of sign changes, lowest first."""

    summary = "Walsh order along the pixels in sequence: fewest sign changes first"

    def rank(self, grid_shape: tuple[int, ...]) -> npt.NDArray[np.int64]:
        return ranks.sequency(grid_shape)


@register("orders", "sequency-2d")
class Sequency2D(_Ranked):
    """Ascending sum of the sequencies along both axes: that of total variation as well."""

    summary = "2D sequency: ascending u + v, as total variation ranks them too"

    def rank(self, grid_shape: tuple[int, ...]) -> npt.NDArray[np.int64]:
        return ranks.sequency_2d(grid_shape)


@register("orders", "cake-cutting")
class CakeCutting(_Ranked):
    """Ascending number of connected regions, (u + 1)(v + 1)."""

    summary = "cake-cutting: fewest connected regions first, (u+1)(v+1)"

    def rank(self, grid_shape: tuple[int, ...]) -> npt.NDArray[np.int64]:
        return ranks.cake_cutting(grid_shape)


@register("orders", "variance")
class Variance(Order):
    """Descending mean energy over the training images: a scan that is stopped early has seen the most."""

    summary = "most energy in the training images first (statistical order)"
    modalities = ("hadamard_dmd",)

    def arrange(
        self, units: IntArray, sensing: SensingModel, *, energy: npt.NDArray[np.float64] | None, seed: int
    ) -> IntArray:
        if energy is None:
            raise RecipeError("The order variance needs the energy of training images.", "Choose another order.")
        return ascending_by(-energy, units)
