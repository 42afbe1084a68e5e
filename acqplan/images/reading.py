"""Images of files: what a reader of a format offers, and the readers, chosen by the content of a file, not its name.

The readers stand with their formats, the shared ones in `acqplan.formats`, those of raw data with their modality.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from acqplan.core import registry
from acqplan.core.errors import ImageError
from acqplan.sensing.acquisition import Geometry

HEAD_BYTES = 512  # enough for every magic number that is recognised, NIfTI's at byte 344 included

_REFUSED = (  # offset, magic number, what it is, what to do
    (
        0,
        b"\xff\xd8\xff",
        "a JPEG picture",
        "Its compression would be learned as anatomy: use the uncompressed original.",
    ),
    (344, b"ni1\0", "one half of a NIfTI pair (.hdr and .img)", "Save it as a single .nii file."),
    (0, b"GIF8", "a GIF picture", "Save it as PNG or TIFF."),
    (0, b"BM", "a BMP picture", "Save it as PNG or TIFF."),
    (0, b"MATLAB 5.0", "a MATLAB 5 file", "Save the array as .npy, or as TIFF."),
)


@dataclass(frozen=True, eq=False)
class RawImages:
    """Images as a file holds them, not yet checked.

    ``images`` is real or complex [n, H, W] of any numeric dtype, ``geometry`` as in `ImageStack`;
    the ``warnings`` don't name the file. ``coil_images``: complex64 [n, C, H, W] of which ``images`` is the root of
    the sum of squares, or None. ``is_2d_scan``: raw data of slices, in which one axis alone was phase-encoded.
    """

    images: npt.NDArray[Any]
    geometry: Geometry | None = None
    warnings: tuple[str, ...] = ()
    coil_images: npt.NDArray[np.complex64] | None = None
    is_2d_scan: bool = False


class ImageReader(ABC):
    """A file format of images to train on, to test with or to measure virtually."""

    kind: ClassVar[str]
    title: ClassVar[str]
    """What its files are called in messages."""
    asked: ClassVar[int] = 100
    """Readers are asked in ascending order of it: those that know their files for certain by a magic number come before
    those that look inside a container, and those that take whatever a container holds come last."""

    @abstractmethod
    def matches(self, path: Path, head: bytes) -> bool:
        """Whether the content is of this format; ``head`` holds the first `HEAD_BYTES` of the file."""

    @abstractmethod
    def read_images(self, path: Path) -> RawImages:
        """All the images of the file; `ImageError` where it is damaged or holds something else."""


class SeriesReader(ImageReader):
    """A format of which several files are the slices of one volume."""

    @abstractmethod
    def series_of(self, path: Path) -> tuple[str, str]:
        """(identity of the series, a name of the patient that tells nobody who it is); `ImageError` if damaged."""

    @abstractmethod
    def read_series(self, paths: Sequence[Path]) -> RawImages:
        """All images of a series as one volume; `ImageError` where they are none."""


def readers() -> list[ImageReader]:
    """All readers, in the order in which they are asked."""
    found: list[ImageReader] = [cls() for cls in registry.kinds("image_readers").values()]
    return sorted(found, key=lambda reader: reader.asked)


def titles() -> str:
    """What can be read, for messages."""
    return ", ".join(reader.title for reader in readers())


def read(path: Path) -> RawImages:
    """The images of one file, by the reader that recognises its content.

    Raises `ImageError` for a file that can't be opened, is empty, is of no known format, or is
    damaged.
    """
    try:
        head = _head(path)
    except OSError as error:
        raise ImageError(f"{path} can't be opened: {error.strerror}.", "Check the path and its permissions.") from error
    if not head:
        raise ImageError(f"{path} is empty (0 bytes).", "Copy or export it again.")
    for reader in readers():
        if reader.matches(path, head):
            return reader.read_images(path)
    for offset, magic, what, remedy in _REFUSED:
        if head[offset : offset + len(magic)] == magic:
            raise ImageError(f"{path} is {what}.", remedy)
    raise ImageError(f"{path} is no image file that acqplan reads.", f"These are read: {titles()}.")


def series_reader(path: Path) -> SeriesReader | None:
    """The reader of a file that may be one slice of several, or None."""
    try:
        head = _head(path)
    except OSError:
        return None  # its reader says why
    found = (reader for reader in readers() if isinstance(reader, SeriesReader) and reader.matches(path, head))
    return next(found, None)


def _head(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(HEAD_BYTES)


def root_sum_of_squares(coil_images: npt.NDArray[np.complex64]) -> npt.NDArray[np.float32]:
    """complex64[n, C, H, W] -> float32[n, H, W]."""
    summed: npt.NDArray[np.float32] = np.zeros((len(coil_images), *coil_images.shape[2:]), np.float32)
    for c in range(coil_images.shape[1]):
        summed += np.square(coil_images[:, c].real) + np.square(coil_images[:, c].imag)
    return np.sqrt(summed)


def unreadable(path: Path, what: str, error: Exception) -> ImageError:
    """The error for a file that its format's own library can't read."""
    cause = " ".join(str(error).split())[:160].rstrip(". ") or type(error).__name__
    return ImageError(
        f"{path} can't be read as {what}: {cause}.", "The file may be truncated or damaged: copy or export it again."
    )


def as_stack(array: npt.NDArray[Any], path: Path) -> npt.NDArray[Any]:
    """A 2D image as [1, H, W], a 3D array as it is; anything else is an `ImageError`."""
    if array.dtype.kind not in "biufc":
        raise ImageError(f"{path} holds data of type {array.dtype}, not numbers.", "Save real or complex numbers.")
    if array.ndim == 2:
        return array[None]
    if array.ndim == 3:
        return array
    raise ImageError(
        f"{path} holds an array of shape {array.shape}; an image [H, W] or a stack [n, H, W] is expected.",
        "Save one stack to a file.",
    )
