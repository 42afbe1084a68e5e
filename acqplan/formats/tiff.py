"""TIFF, BigTIFF and OME-TIFF through tifffile; Pillow unpacks what tifffile can't (LZW and others).

Out: one page for each image, with the size of a pixel where it is known.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import tifffile
from PIL import Image, ImageSequence

from acqplan.core.errors import ImageError
from acqplan.core.registry import register
from acqplan.formats.contracts import ImageWriter, Result
from acqplan.images.grey import grey
from acqplan.images.reading import ImageReader, RawImages, unreadable

_MAGICS = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_SIGNS_OF_DAMAGE = ("page offset", "corrupted", "reshape", "failed to read", "missing data", "truncated")

PIXEL_SIZE = "pixel_size_um"
"""Entry of the stamp: side of a pixel in micrometres."""


@register("image_readers", "tiff")
@register("image_writers", "tiff")
class Tiff(ImageReader, ImageWriter):
    """``.tif`` and ``.tiff``."""

    title, asked = "TIFF", 2
    image_suffixes, offered = (".tif", ".tiff"), 2

    def matches(self, path: Path, head: bytes) -> bool:
        """One of TIFF's four magic numbers; ``path`` is not used."""
        return head.startswith(_MAGICS)

    def read_images(self, path: Path) -> RawImages:
        """All pages of the one image series [n, H, W]; time, depth and page axes become n.

        Colour becomes one grey value a pixel (`grey`), with a warning. Several channels or
        several series of different size are refused: which one to train on is the user's choice.
        """
        warnings: tuple[str, ...] = ()
        try:
            with _logged() as messages, tifffile.TiffFile(path) as file:
                _refuse_what_is_not_grey(file, path)
                series = file.series[0]
                axes = str(series.axes)
                try:
                    pixels = series.asarray()
                except ValueError as error:
                    if "imagecodecs" not in str(error) or axes.startswith("S"):
                        raise
                    pixels = _pages_by_pillow(path).reshape(series.shape)
                if "JPEG" in str(file.pages.first.compression):
                    warnings = ("JPEG-compressed inside the TIFF",)
            damage = [m for m in messages if any(sign in m for sign in _SIGNS_OF_DAMAGE)]
            if damage:  # tifffile only logs it and returns the pages before the damage
                raise ValueError(damage[0])
        except ImageError:
            raise
        except Exception as error:
            raise unreadable(path, "TIFF", error) from error
        if pixels.size == 0:
            raise unreadable(path, "TIFF", ValueError(f"its pages have the shape {pixels.shape}"))
        if "S" in axes:
            pixels, notes = grey(np.moveaxis(pixels, axes.index("S"), -1))
            axes = axes.replace("S", "")
            warnings += notes
        if not axes.endswith("YX"):
            raise ImageError(f"{path} has the axes {axes}; they must end with Y and X.", "Save plain pages.")
        return RawImages(pixels.reshape(-1, *pixels.shape[-2:]), warnings=warnings)

    def write_images(self, result: Result, path: Path) -> None:
        """The stamp is the description of the first page."""
        tifffile.imwrite(
            path,
            result.array,
            photometric="minisblack",
            description=json.dumps(result.stamp),
            metadata=None,
            **_resolution(result),
        )


@register("image_writers", "ome-tiff")
class OmeTiff(ImageWriter):
    """``.ome.tif`` and ``.ome.tiff``; read as any other TIFF."""

    image_suffixes, offered = (".ome.tif", ".ome.tiff"), 1

    def write_images(self, result: Result, path: Path) -> None:
        """The stamp is the description of the OME image, as JSON; its pixel size is stated in OME's terms besides."""
        array = result.array
        size: dict[str, Any] = {}
        if PIXEL_SIZE in result.stamp:
            for axis in "XY":
                size |= {f"PhysicalSize{axis}": result.stamp[PIXEL_SIZE], f"PhysicalSize{axis}Unit": "µm"}
        metadata = {
            "axes": "YX" if array.ndim == 2 else "ZYX",
            "Name": f"acqplan {result.stamp['plan_id'][:12]}",
            "Description": json.dumps(result.stamp),
            **size,
        }
        tifffile.imwrite(path, array, ome=True, photometric="minisblack", metadata=metadata, **_resolution(result))


@contextmanager
def _logged() -> Iterator[list[str]]:
    """What tifffile logs as a warning or worse, which is how it reports damage."""
    messages: list[str] = []
    handler = logging.Handler(logging.WARNING)
    handler.emit = lambda record: messages.append(record.getMessage())  # type: ignore[method-assign]
    logger = logging.getLogger("tifffile")
    propagate, logger.propagate = logger.propagate, False
    logger.addHandler(handler)
    try:
        yield messages
    finally:
        logger.removeHandler(handler)
        logger.propagate = propagate


def _refuse_what_is_not_grey(file: tifffile.TiffFile, path: Path) -> None:
    n_series = len(file.series)
    if n_series != 1:
        raise ImageError(
            f"{path} holds {n_series} image series of different size.", "Save the one to train on to a file of its own."
        )
    page = file.pages.first
    for name in ("PALETTE", "MINISWHITE"):
        if page.photometric == tifffile.PHOTOMETRIC[name]:
            raise ImageError(
                f"{path} stores {name.lower()} values, not intensities.", "Save it as a grey image (black is zero)."
            )
    axes, shape = file.series[0].axes, file.series[0].shape
    n_channels = shape[axes.index("C")] if "C" in axes else 1
    if n_channels > 1:
        raise ImageError(f"{path} holds {n_channels} channels.", "Save the channel to train on to a file of its own.")


def _pages_by_pillow(path: Path) -> npt.NDArray[Any]:
    with Image.open(path, formats=["TIFF"]) as image:
        return np.stack([np.asarray(page) for page in ImageSequence.Iterator(image)])


def _resolution(result: Result) -> dict[str, Any]:
    """Pixels per centimetre, as TIFF states it."""
    if PIXEL_SIZE not in result.stamp:
        return {}
    per_cm = 1e4 / result.stamp[PIXEL_SIZE]
    return {"resolution": (per_cm, per_cm), "resolutionunit": "CENTIMETER"}
