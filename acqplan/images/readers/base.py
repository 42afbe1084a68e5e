"""What every reader of an image format offers, and the grey value of a colour image."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from acqplan.core.errors import ImageError
from acqplan.sensing.acquisition import Geometry

HEAD_BYTES = 512  # enough for every magic number that is recognised, NIfTI's at byte 344 included

LUMA = np.array([0.299, 0.587, 0.114])  # ITU-R BT.601


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


class Reader(Protocol):
    """A module of this package: one file format."""

    def matches(self, path: Path, head: bytes) -> bool:
        """Whether the content is of this format; ``head`` holds the first bytes of the file."""
        ...

    def read(self, path: Path) -> RawImages:
        """All the images of the file; `ImageError` where it is damaged or holds something else."""
        ...


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


def grey(colour: npt.NDArray[Any]) -> tuple[npt.NDArray[Any], tuple[str, ...]]:
    """Grey values of ``colour`` [..., H, W, S] with S of 1 to 4 samples a pixel, and what to say about it.

    Samples 2 and 4 are an alpha channel. Equal channels are a grey image saved as colour; a
    single non-empty channel (a fluorophore shown in its colour) keeps its own values; all
    others become luminance.
    """
    warnings: tuple[str, ...] = ()
    n_samples = colour.shape[-1]
    if n_samples in (2, 4):
        alpha = colour[..., -1]
        if alpha.min() != alpha.max():
            warnings = ("its alpha channel is ignored",)
        colour = colour[..., :-1]
    if colour.shape[-1] == 1 or bool((colour == colour[..., :1]).all()):
        return colour[..., 0], warnings
    used = [c for c in range(3) if colour[..., c].any()]
    if len(used) == 1:
        name = ("red", "green", "blue")[used[0]]
        return colour[..., used[0]], (*warnings, f"a colour image: only its {name} channel holds anything and is used")
    luminance: npt.NDArray[np.float64] = colour[..., :3] @ LUMA
    return luminance, (*warnings, "a colour image: its luminance is used, which no detector measured")
