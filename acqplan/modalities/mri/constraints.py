"""What a pattern may and must measure: partial Fourier, shutter, echo trains, forbidden and required units."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from acqplan.core.errors import RecipeError
from acqplan.core.seeding import numpy_generator
from acqplan.plan.recipe import PatternSettings
from acqplan.sensing.model import SensingModel
from acqplan.sensing.unit_list import parse_units, units_text

SHUTTERS = ("none", "elliptical")
SIDES = ("low", "high")
_MRI_ONLY = ("echo_train", "effective_echo", "partial_fourier", "partial_fourier_side", "shutter", "one_of_conjugates")
BoolArray = npt.NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Constraints:
    """Which units of a catalogue a pattern may measure, and which it must.

    Parameters
    ----------
    allowed
        bool[K]: may be measured.
    required
        int32[m], ascending: are always measured, beside the calibration region.
    left_out
        bool[K] for each reason, in words, for which units aren't allowed.
    """

    allowed: BoolArray
    required: npt.NDArray[np.int32]
    left_out: Mapping[str, BoolArray]

    def check(self, units: npt.NDArray[np.integer], what: str, remedy: str) -> None:
        """Raise `RecipeError` if some of ``units`` aren't allowed; ``what`` says what they are."""
        n_outside = int((~self.allowed[units]).sum())
        if n_outside:
            reasons = [reason for reason, mask in self.left_out.items() if mask[units].any()]
            raise RecipeError(
                f"{what} has {n_outside} of its {units.size} units where nothing may be measured "
                f"({', '.join(reasons)}).",
                remedy,
            )

    def without_conjugates(self, fixed: npt.NDArray[np.integer], sensing: SensingModel, seed: int) -> Constraints:
        """At most one of k and −k allowed: none beside a fixed unit, else one drawn by the seed.

        Pairs that are both in ``fixed`` (the calibration region, required units) stay.
        """
        partner = conjugate_units(sensing)
        everything = np.arange(sensing.n_units)
        is_fixed = np.zeros(sensing.n_units, dtype=bool)
        is_fixed[fixed] = True
        rank = numpy_generator(seed, "conjugates").permutation(sensing.n_units)
        # Of a pair: what is fixed first, what is allowed next, then as drawn.
        merit = (2 * is_fixed + self.allowed) * sensing.n_units + rank
        loses = (partner != everything) & (merit < merit[partner]) & ~is_fixed
        reason = {"one of each conjugate pair": loses}
        return replace(self, allowed=self.allowed & ~loses, left_out={**self.left_out, **reason})


def constraints_of(settings: PatternSettings, sensing: SensingModel) -> Constraints:
    """What the settings allow and require, `Constraints.without_conjugates` aside.

    Raises
    ------
    RecipeError
        A setting that can't be, or not for this sensing model; required units that aren't allowed.
    """
    rows = np.indices(sensing.grid_shape)[0].ravel()
    left_out: dict[str, BoolArray] = {}
    share = _share(settings)
    if share < 1:
        n = sensing.grid_shape[0]
        n_left = n - math.ceil(share * n - 1e-9)
        is_low = (settings.partial_fourier_side or SIDES[0]) == "low"
        left_out[f"partial Fourier {share:g}"] = rows < n_left if is_low else rows >= n - n_left
    if settings.shutter == "elliptical":
        if len(sensing.grid_shape) != 2:
            raise RecipeError(
                "An elliptical shutter is asked for, and the pattern is one of lines.",
                "The shutter leaves out the corners of the ky-kz plane: use it with --pattern points.",
            )
        left_out["elliptical shutter"] = sensing.distance() > 1 + 1e-9
    forbidden = np.zeros(sensing.n_units, dtype=bool)
    forbidden[parse_units(settings.forbidden or "", sensing, "forbidden")] = True
    if forbidden.any():
        left_out["forbidden units"] = forbidden
    required = parse_units(settings.required or "", sensing, "required")
    allowed = ~np.any([*left_out.values(), np.zeros(sensing.n_units, dtype=bool)], axis=0)
    constraints = Constraints(allowed, required, left_out)
    constraints.check(required, "The list of required units", "Require others, or lift what leaves them out.")
    return constraints


def checked_settings(settings: PatternSettings, *, is_mri: bool) -> PatternSettings:
    """The settings with their defaults; `RecipeError` for one that can't be, whatever the catalogue."""
    if not is_mri:
        given = [name for name in (*_MRI_ONLY, "scan") if getattr(settings, name) is not None]
        if given:
            raise RecipeError(f"The pattern setting {given[0]} is given, which is for MRI.", "Leave it out.")
        return settings
    for name, choices in (("shutter", SHUTTERS), ("partial_fourier_side", SIDES)):
        value = getattr(settings, name)
        if value is not None and value not in choices:
            raise RecipeError(f"The pattern setting {name} is {value!r}.", f"Choose {' or '.join(choices)}.")
    if settings.echo_train is not None and settings.echo_train < 1:
        raise RecipeError(f"The echo train has {settings.echo_train} echoes.", "Give a whole number of at least 1.")
    _share(settings)
    usual: dict[str, Any] = {
        "echo_train": 1,
        "partial_fourier": 1.0,
        "partial_fourier_side": SIDES[0],
        "shutter": SHUTTERS[0],
        "one_of_conjugates": False,
    }
    return replace(settings, **{name: value for name, value in usual.items() if getattr(settings, name) is None})


def spelled_out(settings: PatternSettings, sensing: SensingModel) -> PatternSettings:
    """The settings with lists of units as units, independent of files and of how they were written."""
    forbidden = units_text(parse_units(settings.forbidden or "", sensing, "forbidden"))
    required = units_text(parse_units(settings.required or "", sensing, "required"))
    return replace(settings, forbidden=forbidden, required=required)


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


def _share(settings: PatternSettings) -> float:
    share = 1.0 if settings.partial_fourier is None else settings.partial_fourier
    if not 0.5 < share <= 1:
        raise RecipeError(
            f"Partial Fourier is {share:g}, the share of ky that may be measured.",
            "Give more than 1/2 (the centre has to be in) and at most 1, for example 6/8.",
        )
    return share
