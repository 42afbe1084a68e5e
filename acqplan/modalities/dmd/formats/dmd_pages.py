"""Frames as the pages of a TIFF, of 1 bit or of 8 bits (0 and 255) a mirror, written and read page by page."""

from __future__ import annotations

import itertools
import json
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import tifffile

from acqplan.core.errors import InstrumentError
from acqplan.core.files import readable
from acqplan.formats.export import EXPORT_AGAIN
from acqplan.modalities.dmd.formats.dmd_display import Display, batch_name, place_of, stamp_matches
from acqplan.modalities.dmd.formats.dmd_frames import Packed, Placement, unpacked

ZLIB_LEVEL = 6  # a fifth of the size of level 2 for twice the time: 4 ms a frame of 1920x1080
CLASSIC_BYTES = 3 << 30  # a classic TIFF ends at 4 GiB; above this the file is a BigTIFF
_STEM, _SUFFIX = "frames", ".tif"
_ADOBE_DEFLATE = 8


def stack_names(display: Display) -> list[str]:
    """``frames.tif``, or one file a batch."""
    n_batches = len(display.batches)
    return [batch_name(_STEM, batch, n_batches, _SUFFIX) for batch in range(n_batches)]


def page_label(folder: Path, display: Display, frame: int) -> str:
    """What an error calls a frame."""
    batch, number = place_of(display, frame)
    return f"Page {number} of {folder / stack_names(display)[batch]}"


def write_stacks(folder: Path, frames: Iterator[Packed], display: Display, *, bits: int) -> None:
    """Write one TIFF a batch, zlib-compressed; the display's stamp is the description of each first page (JSON)."""
    width = display.placement.width
    for name, count in zip(stack_names(display), display.batches, strict=True):
        batch = itertools.islice(frames, count)
        head = list(itertools.islice(batch, 16))
        big = _estimated_bytes(head, count, bits) > CLASSIC_BYTES
        with tifffile.TiffWriter(folder / name, bigtiff=big) as writer:
            for number, frame in enumerate(itertools.chain(head, batch)):
                mirrors = unpacked(frame, width)
                writer.write(
                    mirrors if bits == 1 else mirrors.view(np.uint8) * np.uint8(255),
                    photometric="minisblack",
                    compression="zlib",
                    compressionargs={"level": ZLIB_LEVEL},
                    rowsperstrip=display.placement.height,
                    contiguous=False,
                    metadata=None,
                    description=json.dumps(display.stamp) if number == 0 else None,
                )


def read_stacks(folder: Path, display: Display, *, bits: int) -> Iterator[Packed]:
    """The mirrors of every page.

    Raises
    ------
    InstrumentError
        A file is missing, damaged, of another plan, or has pages of another kind, or another number of them.
    """
    for name, count in zip(stack_names(display), display.batches, strict=True):
        path, found = folder / name, 0
        for frame in _pages(path, display, bits):
            found += 1
            yield frame
        if found != count:
            raise InstrumentError(f"{path} has {found} pages, its manifest tells of {count}.", EXPORT_AGAIN)


def _pages(path: Path, display: Display, bits: int) -> Iterator[Packed]:
    placement = display.placement
    kind = "mirrors of 1 bit each, 1 is on" if bits == 1 else "mirrors of 8 bits each, 0 or 255"
    with readable(path, InstrumentError, EXPORT_AGAIN), tifffile.TiffFile(path) as file:
        for number, page in enumerate(file.pages):
            if number == 0 and isinstance(page, tifffile.TiffPage) and not stamp_matches(page.description, display):
                raise InstrumentError(f"{path} belongs to another plan than its manifest.", EXPORT_AGAIN)
            frame = _packed(file, page, placement, bits)
            if frame is None:
                raise InstrumentError(
                    f"Page {number} of {path} isn't {placement.width}x{placement.height} {kind}.", EXPORT_AGAIN
                )
            yield frame


def _packed(file: tifffile.TiffFile, page: Any, placement: Placement, bits: int) -> Packed | None:
    """The mirrors of a page, or None if it is of another kind; 1 bit as acqplan writes it without unpacking."""
    if (
        not isinstance(page, tifffile.TiffPage)
        or (page.shape, page.bitspersample) != ((placement.height, placement.width), bits)
        or page.photometric != tifffile.PHOTOMETRIC.MINISBLACK
    ):
        return None
    plain = (page.compression, page.predictor, page.fillorder, len(page.dataoffsets)) == (_ADOBE_DEFLATE, 1, 1, 1)
    if plain and not page.is_tiled and bits == 1:
        file.filehandle.seek(page.dataoffsets[0])
        n_bytes, unpacker = placement.height * -(-placement.width // 8), zlib.decompressobj()
        data = unpacker.decompress(file.filehandle.read(page.databytecounts[0]), n_bytes + 1)
        if len(data) != n_bytes or not unpacker.eof:
            raise ValueError("a page doesn't unpack to the size of its mirrors")
        return np.frombuffer(data, dtype=np.uint8).reshape(page.shape[0], -1)
    values = page.asarray()
    if bits == 8 and not ((values == 0) | (values == 255)).all():
        return None
    return np.packbits(values > 0, axis=1)


def _estimated_bytes(some: list[Packed], count: int, bits: int) -> int:
    """No less than the size of the TIFF: twice the largest of some compressed frames, for every frame."""
    sizes = [len(zlib.compress(frame.tobytes(), ZLIB_LEVEL)) for frame in some]
    return count * (2 * max(sizes) * (1 if bits == 1 else 5) + 1024)
