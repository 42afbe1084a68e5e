"""What only a single-pixel scan with a DMD has to be told."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from msgspec import Meta

from acqplan.plan import typed
from acqplan.plan.recipe import InstrumentSettings
from acqplan.plan.settings import GOAL, Flag, In


@dataclass(frozen=True)
class DMDSettings(InstrumentSettings):
    """Light, and the reading that decodes all the others.

    ``power_w``: power on the sample with all mirrors on, in watts. ``reference_repeats``: readings of the unit that
    decodes all the others, where there is one.
    """

    power_w: Annotated[
        Annotated[float, Meta(gt=0)] | None,
        In("budget", last=True),
        Flag("--power", GOAL, "Power on the sample, all mirrors on, like 2mW, for the dose.", "POWER", typed.watts),
    ] = None
    reference_repeats: Annotated[Annotated[int, Meta(ge=1)] | None, In("budget", last=True)] = None
