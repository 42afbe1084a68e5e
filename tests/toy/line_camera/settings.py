"""What only a line camera has to be told."""

from dataclasses import dataclass
from typing import Annotated

from msgspec import Meta

from acqplan.plan.recipe import InstrumentSettings
from acqplan.plan.settings import PATTERN, Flag, In


@dataclass(frozen=True)
class LineSettings(InstrumentSettings):
    """``margin``: rows at either end of the stage's travel that are never scanned."""

    margin: Annotated[
        Annotated[int, Meta(ge=0)] | None,
        In("pattern", last=True),
        Flag("--margin", PATTERN, "Rows at either end of the stage that are never scanned.", "N"),
    ] = None
