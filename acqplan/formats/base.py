"""The contract of an instrument format, and the two ways out that every format goes through.

`export` writes a plan's pattern, `save_acquired` what was measured with it. Both appear whole or not at all.
"""

from __future__ import annotations

import json
import os
from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
import torch

import acqplan
from acqplan.core.errors import AcquisitionError, InstrumentError, OutputError
from acqplan.core.files import atomic_file, atomic_folder, check_writable
from acqplan.core.files import readable as readable
from acqplan.plan.plan import Plan
from acqplan.sensing.acquisition import Acquisition, Scan
from acqplan.sensing.model import SensingModel
from acqplan.sensing.pattern import Pattern

MANIFEST = "manifest.json"
EXPORT_AGAIN = "Export the plan again."


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
    writes_acquired: ClassVar[bool] = True
    """Whether it can write acquired data, and not only read them."""

    @abstractmethod
    def check(self, plan: Plan) -> list[str]:
        """Every reason why this plan can't be played, one sentence each; empty if it can."""

    def remarks(self, plan: Plan) -> list[str]:
        """What a person should know before playing this plan, though it can be played; one sentence each."""
        return []

    @abstractmethod
    def write(self, plan: Plan, folder: Path) -> dict[str, Any]:
        """Write the pattern's files into ``folder``; return format-specific JSON-ready details for the manifest."""

    @abstractmethod
    def read(self, folder: Path) -> Exported:
        """Read the pattern back from the *files* that hardware loads, not from the manifest alone."""

    def play(self, folder: Path, sensing: SensingModel, image: torch.Tensor) -> torch.Tensor:
        """Expected readings[n, *reading_shape] of image[*image_shape] when the exported files are played.

        Raises
        ------
        InstrumentError
            The files are damaged, or were exported for another catalogue or image size.
        """
        pattern = self.read(folder).pattern
        if pattern.n_units != sensing.n_units:
            raise InstrumentError(
                f"{folder} plays a catalogue of {pattern.n_units} units, the sensing model has {sensing.n_units}.",
                "Pass the folder that was exported from this plan.",
            )
        check_image(image, sensing)
        expected: torch.Tensor = sensing(image[None])[0].index_select(
            0, torch.as_tensor(pattern.order.astype(np.int64))
        )
        return expected

    def frames(self, folder: Path) -> Iterator[npt.NDArray[np.bool_]]:
        """What a DMD shows when the exported files are played: bool[height, width], True is on, frame by frame.

        Raises
        ------
        InstrumentError
            The files can't be read, or the format isn't one of frames.
        """
        raise InstrumentError(f"The format {self.kind!r} holds no frames.", "See acqplan formats.")

    @classmethod
    def recognises(cls, path: Path) -> bool:
        """Whether the *content* of the file ``path`` is acquired data of this format; never raises."""
        return False

    def companions(self, path: Path) -> list[Path]:
        """Other files that belong to acquired data at ``path``, whether they exist or not."""
        return []

    def write_acquired(self, acquisition: Acquisition, plan: Plan, path: Path) -> None:
        """Write acquired data as this instrument would, to a new file; `save_acquired` makes it atomic."""
        raise InstrumentError(f"The format {self.kind!r} holds no acquired data.", "See acqplan formats.")

    def read_acquired(self, path: Path, plan: Plan) -> Acquisition:
        """Read acquired data; ``plan`` tells what to expect.

        Whether it was measured with the plan's pattern, in number and shape too, `Plan.reconstruct` checks.

        Raises
        ------
        AcquisitionError
            The file can't be read, is of another kind, or contradicts itself.
        """
        raise InstrumentError(f"The format {self.kind!r} holds no acquired data.", "See acqplan formats.")

    def read_scan(self, path: Path, plan: Plan) -> Scan:
        """Read everything acquired that a file holds, as `read_acquired` does; by default that is one image."""
        acquisition = self.read_acquired(path, plan)
        return Scan([acquisition], acquisition.source, acquisition.geometry, acquisition.facts)

    def write_scan(self, scan: Scan, plan: Plan, path: Path) -> None:
        """Write a scan of several images, as `write_acquired` does; by default only one can be held."""
        if len(scan.acquisitions) != 1:
            raise InstrumentError(
                f"The format {self.kind!r} holds one image, the scan has {len(scan.acquisitions)}.",
                "Write it as hdf5, or one image at a time.",
            )
        self.write_acquired(scan.acquisitions[0], plan, path)


def export(plan: Plan, instrument: Instrument, folder: Path, *, overwrite: bool = False) -> None:
    """Check, write, read back, compare bit for bit, and only then rename into place.

    Raises
    ------
    InstrumentError
        The plan can't be played (every reason is listed), or what was read back differs.
    OutputError
        ``folder`` exists (without ``overwrite``) or can't be written.
    """
    _check_modality(instrument, plan)
    if not instrument.exports:
        raise InstrumentError(f"The format {instrument.kind!r} holds no patterns.", "See acqplan formats.")
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
        (temporary / MANIFEST).write_text(json.dumps(manifest, indent=2) + "\n", encoding="utf-8")
        back = instrument.read(temporary)
        if back.pattern != plan.pattern or back.plan_id != plan.plan_id:
            raise InstrumentError(
                f"The files written as {instrument.kind!r} don't read back as the plan's pattern.",
                "This is a fault of acqplan or of the disk; nothing was left under the final name.",
            )


def save_acquired(
    instrument: Instrument, acquisition: Acquisition, plan: Plan, path: Path, *, overwrite: bool = False
) -> None:
    """Write acquired data of one image; see `save_scan`."""
    save_scan(
        instrument,
        Scan([acquisition], acquisition.source, acquisition.geometry),
        plan,
        path,
        overwrite=overwrite,
    )


def save_scan(instrument: Instrument, scan: Scan, plan: Plan, path: Path, *, overwrite: bool = False) -> None:
    """Write acquired data with all its files, which appear whole or not at all.

    A kill at any moment leaves the old data or the new. Of a format with several files it may leave
    neither (``path`` itself comes last), but never a mixture.

    Raises
    ------
    OutputError
        ``path`` has a suffix that the format doesn't write, exists (without ``overwrite``), or can't be written.
    InstrumentError
        The format isn't for this kind of plan, holds no acquired data, or only one image.
    AcquisitionError
        The number of readings isn't the plan's.
    """
    _check_modality(instrument, plan)
    if not instrument.writes_acquired:
        raise InstrumentError(
            f"The format {instrument.kind!r} is only read, not written.", "Choose another; acqplan formats lists them."
        )
    suffixes = instrument.acquired_suffixes
    if suffixes and path.suffix.lower() not in suffixes:
        raise OutputError(
            f"The format {instrument.kind!r} doesn't write {path.suffix or 'files without suffix'}: {path}.",
            f"Choose a name that ends in {' or '.join(suffixes)}.",
        )
    for acquisition in scan.acquisitions:
        n_readings = len(acquisition.readings)
        if n_readings != plan.pattern.n_readings:
            raise AcquisitionError(
                f"{acquisition.source} has {n_readings} readings, the plan's pattern {plan.pattern.n_readings}.",
                "Pass the plan that it was acquired with.",
            )
    companions = instrument.companions(path)
    for file in [path, *companions]:
        check_writable(file, overwrite=overwrite)
    with atomic_file(path, overwrite=overwrite) as temporary:
        if len(scan.acquisitions) == 1:
            instrument.write_acquired(scan.acquisitions[0], plan, temporary)
        else:
            instrument.write_scan(scan, plan, temporary)
        if companions:
            path.unlink(missing_ok=True)
        for companion in companions:
            _move_or_remove(temporary.with_name(companion.name), companion)


def _check_modality(instrument: Instrument, plan: Plan) -> None:
    if plan.sensing.kind not in instrument.modalities:
        raise InstrumentError(
            f"The format {instrument.kind!r} can't hold a {plan.sensing.kind} plan.",
            "acqplan formats lists what each format is for.",
        )


def _move_or_remove(fresh: Path, target: Path) -> None:
    """Put ``fresh`` at ``target``; without it, an older ``target`` isn't true any more."""
    if fresh.exists():
        with fresh.open("rb") as stream:
            os.fsync(stream.fileno())
        os.replace(fresh, target)
    else:
        target.unlink(missing_ok=True)


def check_image(image: torch.Tensor, sensing: SensingModel) -> None:
    """Raise `InstrumentError` unless image[*image_shape] fits ``sensing``."""
    if tuple(image.shape) != sensing.image_shape:
        raise InstrumentError(
            f"The image is {tuple(image.shape)}, the plan is for {sensing.image_shape}.",
            "Bring the image to the plan's size.",
        )


def read_manifest(folder: Path, kind: str) -> dict[str, Any]:
    """The manifest of a folder exported as ``kind``; `InstrumentError` if there is none or it's another's."""
    path = folder / MANIFEST
    remedy = "Pass a folder made by acqplan export."
    with readable(path, InstrumentError, remedy):
        manifest = json.loads(path.read_text(encoding="utf-8"))
    if not isinstance(manifest, dict) or not isinstance(manifest.get("plan_id"), str):
        raise InstrumentError(f"{path} is no manifest of acqplan.", remedy)
    if manifest.get("format") != kind:
        raise InstrumentError(f"{folder} was exported as {manifest.get('format')!r}, expected {kind!r}.", remedy)
    return manifest


def exported(
    pattern: Pattern, manifest: dict[str, Any], source: Path, details: dict[str, Any] | None = None
) -> Exported:
    """What a folder plays, once the pattern read from its files is the one that the manifest tells of.

    Raises
    ------
    InstrumentError
        ``source`` was changed since the export, or belongs to another one.
    """
    if pattern.digest != manifest.get("pattern_digest"):
        raise InstrumentError(
            f"{source} doesn't play the pattern that its manifest tells of: it was changed or mixed up.", EXPORT_AGAIN
        )
    return Exported(pattern, manifest["plan_id"], details or {})


def pattern_from(order: npt.NDArray[np.integer[Any]], manifest: dict[str, Any], source: Path) -> Pattern:
    """The pattern of an order read from files and the manifest's calibration; `InstrumentError` if they don't fit."""
    try:
        return Pattern(order.astype(np.int64), int(manifest["n_units"]), np.asarray(manifest["calibration"], np.int64))
    except (KeyError, ValueError, TypeError, OverflowError) as error:
        raise InstrumentError(f"{source} doesn't fit its manifest: {error}.", EXPORT_AGAIN) from error
