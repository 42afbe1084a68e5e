"""What of k-space a pattern may measure: partial Fourier, an elliptical shutter, one of each conjugate pair."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from acqplan.core.errors import RecipeError
from acqplan.core.seeding import numpy_generator
from acqplan.modalities.mri.settings import MRISettings
from acqplan.sensing.constraints import BoolArray, Constraints
from acqplan.sensing.model import SensingModel


def left_out(settings: MRISettings, sensing: SensingModel) -> dict[str, BoolArray]:
    """bool[K] for each reason, in words, for which units may not be measured.

    Raises
    ------
    RecipeError
        A shutter for lines.
    """
    rows = np.indices(sensing.grid_shape)[0].ravel()
    reasons: dict[str, BoolArray] = {}
    share = 1.0 if settings.partial_fourier is None else settings.partial_fourier
    if share < 1:
        n = sensing.grid_shape[0]
        n_left = n - math.ceil(share * n - 1e-9)
        is_low = (settings.partial_fourier_side or "low") == "low"
        reasons[f"partial Fourier {share:g}"] = rows < n_left if is_low else rows >= n - n_left
    if settings.shutter == "elliptical":
        if len(sensing.grid_shape) != 2:
            raise RecipeError(
                "An elliptical shutter is asked for, and the pattern is one of lines.",
                "The shutter leaves out the corners of the ky-kz plane: use it with --pattern points.",
            )
        reasons["elliptical shutter"] = sensing.distance() > 1 + 1e-9
    return reasons


def without_conjugates(
    constraints: Constraints, fixed: npt.NDArray[np.integer], sensing: SensingModel, seed: int
) -> Constraints:
    """At most one of k and −k allowed: none beside a fixed unit, else one drawn by the seed.

    Pairs that are both in ``fixed`` (the calibration region, required units) stay.
    """
    partner = conjugate_units(sensing)
    everything = np.arange(sensing.n_units)
    is_fixed = np.zeros(sensing.n_units, dtype=bool)
    is_fixed[fixed] = True
    rank = numpy_generator(seed, "conjugates").permutation(sensing.n_units)
    # Of a pair: what is fixed first, what is allowed next, then as drawn.
    merit = (2 * is_fixed + constraints.allowed) * sensing.n_units + rank
    loses = (partner != everything) & (merit < merit[partner]) & ~is_fixed
    return constraints.without(loses, "one of each conjugate pair")


def conjugate_units(sensing: SensingModel) -> npt.NDArray[np.int64]:
    """int64[K]: the unit at −k of each unit at k, on the grid with frequency zero at index n // 2.

    A unit without a partner on the grid (index 0 of an even side, at the edge) is its own by periodicity.
    """
    grid = np.arange(sensing.n_units).reshape(sensing.grid_shape)
    for axis, n in enumerate(sensing.grid_shape):
        grid = np.take(grid, (2 * (n // 2) - np.arange(n)) % n, axis=axis)
    return grid.ravel()


def has_conjugates(units: npt.NDArray[np.integer], fixed: npt.NDArray[np.integer], sensing: SensingModel) -> bool:
    """Whether both k and −k are among ``units``, pairs that are both ``fixed`` aside."""
    partner = conjugate_units(sensing)
    measured, is_fixed = (np.zeros(sensing.n_units, dtype=bool) for _ in range(2))
    measured[units], is_fixed[fixed] = True, True
    both = measured & measured[partner] & (partner != np.arange(sensing.n_units))
    return bool((both & ~(is_fixed & is_fixed[partner])).any())
