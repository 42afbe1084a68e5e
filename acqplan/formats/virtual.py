"""The contract of a virtual instrument: how it plays exported files, and data of its own kind that it may write."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

from acqplan.core.errors import RecipeError
from acqplan.formats.contracts import PatternFormat
from acqplan.images import ImageRecord
from acqplan.plan.components import Component
from acqplan.plan.plan import Plan
from acqplan.sensing.model import SensingModel
from acqplan.sensing.noise import NoiseModel


class Recording(ABC):
    """Data of an instrument's own kind, as its program would write them."""

    @property
    @abstractmethod
    def contents(self) -> str:
        """In words: what the file holds."""

    @abstractmethod
    def remarks(self, path: Path) -> list[str]:
        """What went wrong in the instrument, and how the file ``path`` is to be read; one sentence each."""

    @abstractmethod
    def write(self, path: Path, *, overwrite: bool = False) -> None:
        """Write the file, whole or not at all."""


class Recorder(ABC):
    """Plays exported files and records data of the instrument's own kind."""

    @abstractmethod
    def check(self, path: Path | None, *, as_format: str | None = None, several: bool = False) -> None:
        """Raise an `AcqplanError` if the data can't be written as ``path`` in a format, or of several images."""

    @abstractmethod
    def record(
        self, plan: Plan, instrument: PatternFormat, folder: Path, record: ImageRecord, *, noise: NoiseModel, seed: int
    ) -> Recording:
        """Play the exported files in ``folder`` on an image."""


class VirtualInstrument:
    """The instrument of a plan, with settings of its own; a subclass's ``kind`` is its modality's.

    Parameters
    ----------
    settings
        By name; a subclass raises `RecipeError` for one that it doesn't know.
    """

    kind: ClassVar[str]

    def __init__(self, plan: Plan, settings: Mapping[str, Any]) -> None:
        self.plan = plan
        if settings:
            raise RecipeError(f"The virtual instrument has no setting {', '.join(settings)}.", "Leave it out.")

    def played(self) -> Component:
        """Format, and its settings, of the files that it plays unless some are given."""
        return Component("numpy")

    def sensing(self, seed: int) -> SensingModel:
        """The plan's model as it is on this instrument, with its receive coils, for instance."""
        return self.plan.sensing

    @property
    def received_by(self) -> str:
        """What the readings are of, in words to add to ``64 readings``; or nothing."""
        return ""

    @property
    def recorder(self) -> Recorder | None:
        """Where its settings ask for data of the instrument's own kind."""
        return None
