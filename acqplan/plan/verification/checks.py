"""Which checks there are."""

from __future__ import annotations

from acqplan.modalities.dmd import checks as dmd
from acqplan.modalities.mri import checks as mri
from acqplan.plan.verification import units
from acqplan.plan.verification.base import Check

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
