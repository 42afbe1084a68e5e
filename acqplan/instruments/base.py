"""The contract of an instrument format, and the export that every format goes through."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
import torch

import acqplan
from acqplan.acquisition import Acquisition
from acqplan.errors import InstrumentError
from acqplan.files import atomic_folder
from acqplan.pattern import Pattern
from acqplan.plan import Plan
from acqplan.sensing.base import SensingModel

MANIFEST = "manifest.json"


@dataclass(frozen=True, eq=False)
class Exported:
    """What an exported folder says, read back from its files.

    Parameters
    ----------
    pattern
        The pattern that the files play, order and calibration included.
    plan_id
        Identity of the plan that was exported.
    details
        Format-specific, from the manifest.
    """

    pattern: Pattern
    plan_id: str
    details: dict[str, Any] = field(default_factory=dict)


class Instrument(ABC):
    """A file format of an instrument: a plan out, acquired data back in.

    A subclass's constructor takes JSON-ready options with defaults (a device's size, for instance).
    """

    kind: ClassVar[str]
    summary: ClassVar[str]
    """One line for ``acqplan formats``."""
    modalities: ClassVar[tuple[str, ...]]
    """Kinds of sensing models that it can take."""
    exports: ClassVar[bool] = True
    """Whether it writes patterns."""
    acquired_suffixes: ClassVar[tuple[str, ...]] = ()
    """File name suffixes of acquired data that it can write and read; the first is the default."""

    @abstractmethod
    def check(self, plan: Plan) -> list[str]:
        """Every reason why this plan can't be played, one sentence each; empty if it can."""

    @abstractmethod
    def write(self, plan: Plan, folder: Path) -> dict[str, Any]:
        """Write the pattern's files into ``folder``; return format-specific JSON-ready details for the manifest."""

    @abstractmethod
    def read(self, folder: Path) -> Exported:
        """Read the pattern back from the *files* that hardware loads, not from the manifest alone."""

    def play(self, folder: Path, sensing: SensingModel, image: torch.Tensor) -> torch.Tensor:
        """Expected readings[n, *reading_shape] of image[*image_shape] when the exported files are played."""
        order = torch.as_tensor(self.read(folder).pattern.order, dtype=torch.int64)
        expected: torch.Tensor = sensing(image[None])[0].index_select(0, order)
        return expected

    def write_acquired(self, acquisition: Acquisition, plan: Plan, path: Path) -> None:
        """Write acquired data as this instrument would (used by the virtual instrument)."""
        raise InstrumentError(f"The format {self.kind!r} holds no acquired data.", "See acqplan formats.")

    def read_acquired(self, path: Path, plan: Plan) -> Acquisition:
        """Read acquired data; ``plan`` tells what to expect."""
        raise InstrumentError(f"The format {self.kind!r} holds no acquired data.", "See acqplan formats.")


def export(plan: Plan, instrument: Instrument, folder: Path, *, overwrite: bool = False) -> None:
    """Check, write, read back, compare bit for bit, and only then rename into place.

    Raises
    ------
    InstrumentError
        The plan can't be played (every reason is listed), or what was read back differs.
    OutputError
        ``folder`` exists (without ``overwrite``) or can't be written.
    """
    if plan.sensing.kind not in instrument.modalities:
        raise InstrumentError(
            f"The format {instrument.kind!r} can't hold a {plan.sensing.kind} plan.",
            "acqplan formats lists what each format is for.",
        )
    problems = instrument.check(plan)
    if problems:
        raise InstrumentError(" ".join(problems), "Change the device's settings or design a plan that fits it.")
    with atomic_folder(folder, overwrite=overwrite) as temporary:
        details = instrument.write(plan, temporary)
        manifest = {
            "format": instrument.kind,
            "software": f"acqplan {acqplan.__version__}",
            "plan_id": plan.plan_id,
            "pattern_digest": plan.pattern.digest,
            "sensing": {"kind": plan.sensing.kind, **plan.sensing.spec()},
            "n_readings": plan.pattern.n_readings,
            "n_units": plan.pattern.n_units,
            "unit": plan.sensing.unit_name,
            "calibration": plan.pattern.calibration.tolist(),
            **details,
        }
        (temporary / MANIFEST).write_text(json.dumps(manifest, indent=2) + "\n")
        back = instrument.read(temporary)
        if back.pattern != plan.pattern or back.plan_id != plan.plan_id:
            raise InstrumentError(
                f"The files written as {instrument.kind!r} don't read back as the plan's pattern.",
                "This is a fault of acqplan or of the disk; nothing was left under the final name.",
            )


def read_manifest(folder: Path) -> dict[str, Any]:
    """The manifest of an exported folder; `InstrumentError` if there is none or it can't be read."""
    path = folder / MANIFEST
    try:
        manifest = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise InstrumentError(f"{path} can't be read: {error}.", "Pass a folder made by acqplan export.") from error
    if not isinstance(manifest, dict) or "format" not in manifest:
        raise InstrumentError(f"{path} is no manifest of acqplan.", "Pass a folder made by acqplan export.")
    return manifest


def pattern_from(order: npt.NDArray[np.integer[Any]], manifest: dict[str, Any], source: str) -> Pattern:
    """The pattern of an order read from files and the manifest's calibration; `InstrumentError` if they don't fit."""
    try:
        return Pattern(order.astype(np.int32), int(manifest["n_units"]), np.asarray(manifest["calibration"], np.int32))
    except (KeyError, ValueError, TypeError) as error:
        raise InstrumentError(f"{source} doesn't fit its manifest: {error}.", "Export the plan again.") from error
