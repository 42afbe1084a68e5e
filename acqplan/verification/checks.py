"""Which checks there are."""

from __future__ import annotations

from acqplan.verification import dmd, mri, units
from acqplan.verification.base import Check

CHECKS: tuple[Check, ...] = (
    units.pattern,
    units.readings,
    units.order,
    dmd.frames,
    dmd.clock,
    dmd.clipping,
    dmd.lamp,
    dmd.order,
    mri.grid,
    mri.channels,
    mri.coils,
    mri.noise,
    mri.clipping,
)
