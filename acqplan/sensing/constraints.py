"""What a pattern may and must measure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from acqplan.core.errors import RecipeError
from acqplan.sensing.model import SensingModel
from acqplan.sensing.unit_list import parse_units

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

    def without(self, units: BoolArray, reason: str) -> Constraints:
        """The constraints with bool[K] ``units`` not allowed any more."""
        return replace(self, allowed=self.allowed & ~units, left_out={**self.left_out, reason: units})


def constraints_of(
    forbidden: str | None, required: str | None, left_out: Mapping[str, BoolArray], sensing: SensingModel
) -> Constraints:
    """What lists of units (`parse_units`) and an instrument's own reasons allow and require.

    Raises
    ------
    RecipeError
        A list that can't be read; required units that aren't allowed.
    """
    reasons = dict(left_out)
    is_forbidden = np.zeros(sensing.n_units, dtype=bool)
    is_forbidden[parse_units(forbidden or "", sensing, "forbidden")] = True
    if is_forbidden.any():
        reasons["forbidden units"] = is_forbidden
    needed = parse_units(required or "", sensing, "required")
    allowed = ~np.any([*reasons.values(), np.zeros(sensing.n_units, dtype=bool)], axis=0)
    constraints = Constraints(allowed, needed, reasons)
    constraints.check(needed, "The list of required units", "Require others, or lift what leaves them out.")
    return constraints
