"""What a file format can do: a class implements the contracts that it can fulfil, and callers ask which they are."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
import torch

from acqplan.core import registry
from acqplan.core.errors import InstrumentError
from acqplan.plan.plan import Plan
from acqplan.sensing.acquisition import Acquisition, Geometry, Scan
from acqplan.sensing.model import SensingModel
from acqplan.sensing.pattern import Pattern


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


class FileFormat(ABC):
    """A format of an instrument's files, registered as ``instruments``: of patterns, of acquired data, or of both.

    A subclass's constructor takes JSON-ready options with defaults (a device's size, for instance).
    """

    kind: ClassVar[str]
    summary: ClassVar[str]
    """One line for ``acqplan formats``."""
    modalities: ClassVar[tuple[str, ...] | None] = None
    """Kinds of sensing models that it can take; None of a format that no instrument owns: it takes every one."""

    @classmethod
    def sensing_kinds(cls) -> list[str]:
        """Kinds of sensing models that it can take."""
        return list(registry.kinds("sensing")) if cls.modalities is None else list(cls.modalities)


class PatternFormat(FileFormat):
    """A plan's pattern out, and back from the files."""

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


class AcquiredReader(FileFormat):
    """Acquired data in."""

    acquired_suffixes: ClassVar[tuple[str, ...]]
    """File name suffixes of its acquired data; the first is the default."""

    @classmethod
    def acquired_kinds(cls) -> list[str]:
        """Kinds of sensing models of which it reads acquired data."""
        return cls.sensing_kinds()

    @classmethod
    def recognises(cls, path: Path) -> bool:
        """Whether the *content* of the file ``path`` is acquired data of this format; never raises.

        By default its files can't be told from others, and are read as this format only where it is named.
        """
        return False

    @abstractmethod
    def read_acquired(self, path: Path, plan: Plan) -> Acquisition:
        """Read acquired data of one image; ``plan`` tells what to expect.

        Whether it was measured with the plan's pattern, in number and shape too, `Plan.reconstruct` checks.

        Raises
        ------
        AcquisitionError
            The file can't be read, is of another kind, or contradicts itself.
        """

    def read_scan(self, path: Path, plan: Plan) -> Scan:
        """Read everything acquired that a file holds, as `read_acquired` does; by default that is one image."""
        acquisition = self.read_acquired(path, plan)
        return Scan([acquisition], acquisition.source, acquisition.geometry, acquisition.facts)


class AcquiredWriter(FileFormat):
    """Acquired data of one image out; `acqplan.formats.save` makes what it writes atomic."""

    acquired_suffixes: ClassVar[tuple[str, ...]]
    """File name suffixes of its acquired data; the first is the default."""

    def companions(self, path: Path) -> list[Path]:
        """Other files that belong to acquired data at ``path``, whether they exist or not."""
        return []

    @abstractmethod
    def write_acquired(self, acquisition: Acquisition, plan: Plan, path: Path) -> None:
        """Write acquired data as this instrument would, to a new file."""


class ScanWriter(AcquiredWriter):
    """Acquired data of several images out, in one file."""

    @abstractmethod
    def write_scan(self, scan: Scan, plan: Plan, path: Path) -> None:
        """Write a scan of several images, as `write_acquired` does one."""


class AcquiredTable(ABC):
    """An instrument's acquired data as the CSV of the format ``table``.

    Registered as ``acquired_tables``, under the kind of its sensing model.
    """

    kind: ClassVar[str]

    @classmethod
    @abstractmethod
    def recognises(cls, path: Path) -> bool:
        """Whether the *content* of the file ``path`` is such a table; never raises."""

    @abstractmethod
    def read(self, path: Path, plan: Plan) -> Acquisition:
        """As `AcquiredReader.read_acquired`."""

    @abstractmethod
    def write(self, acquisition: Acquisition, plan: Plan, path: Path) -> None:
        """As `AcquiredWriter.write_acquired`."""


def pattern_format(form: FileFormat) -> PatternFormat:
    """The format as one of patterns; `InstrumentError` if it is none."""
    if not isinstance(form, PatternFormat):
        raise InstrumentError(f"The format {form.kind!r} holds no patterns.", "See acqplan formats.")
    return form


def check_takes(form: FileFormat, plan: Plan) -> None:
    """Raise `InstrumentError` unless the format is for plans of this kind."""
    if plan.sensing.kind not in form.sensing_kinds():
        raise InstrumentError(
            f"The format {form.kind!r} can't hold a {plan.sensing.kind} plan.",
            "acqplan formats lists what each format is for.",
        )


def check_image(image: torch.Tensor, sensing: SensingModel) -> None:
    """Raise `InstrumentError` unless image[*image_shape] fits ``sensing``."""
    if tuple(image.shape) != sensing.image_shape:
        raise InstrumentError(
            f"The image is {tuple(image.shape)}, the plan is for {sensing.image_shape}.",
            "Bring the image to the plan's size.",
        )


PARTS = ("magnitude", "phase", "complex")
"""Parts of complex images that can be written."""


@dataclass(frozen=True, eq=False)
class Result:
    """Images to write.

    Parameters
    ----------
    images
        float32 or complex64 [n, rows, columns]: the part of them that is written.
    stamp
        JSON-ready; at least ``plan_id``, ``part`` (one of `PARTS`) and ``pattern_digest``.
    geometry
        Voxel index (row, column, image) to millimetres, right–anterior–superior; None where unknown.
    """

    images: npt.NDArray[Any]
    stamp: dict[str, Any]
    geometry: Geometry | None = None

    @property
    def array(self) -> npt.NDArray[Any]:
        """[rows, columns] of one image, else [n, rows, columns]."""
        return self.images[0] if len(self.images) == 1 else self.images

    @property
    def window(self) -> tuple[float, float]:
        """The values that become the lowest and the highest whole number: ±π for a phase, else 0 and the maximum."""
        if self.stamp["part"] == "phase":
            return -np.pi, np.pi
        return 0.0, float(self.images.max()) or 1.0


class ImageWriter(ABC):
    """A file format of reconstructed images, each stamped with the plan that made it.

    `acqplan.formats.results` makes what it writes atomic.
    """

    kind: ClassVar[str]
    image_suffixes: ClassVar[tuple[str, ...]]
    """Of file names; without any, the images are written into a folder."""
    offered: ClassVar[int] = 100
    """Of several formats with the same suffix, the one with the lowest number is what the suffix alone stands for."""
    holds_volume: ClassVar[bool] = True
    """Several images."""
    holds_complex: ClassVar[bool] = True
    """Complex values."""
    is_whole: ClassVar[bool] = False
    """Complex values unless a part of them is asked for."""
    is_stamped: ClassVar[bool] = True
    """It has a place for the plan's identity."""
    folder_mark: ClassVar[str] = ""
    """Name of the file that tells such a folder from others, which are never overwritten."""

    def check_installed(self) -> None:
        """Raise `OutputError` if a package that it writes with is missing."""
        return

    @abstractmethod
    def write_images(self, result: Result, path: Path) -> None:
        """Write a new file at ``path``, or files into the empty folder ``path``."""
