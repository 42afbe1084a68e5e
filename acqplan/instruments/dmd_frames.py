"""Frames on a mirror array: where the pattern lies, and which Hadamard unit a page of a TIFF shows.

A page is recovered from its mirrors alone: sign changes along its first row and column name the unit,
and then every mirror, border included, must be that of the unit's frame.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import tifffile

from acqplan.errors import InstrumentError
from acqplan.instruments.base import EXPORT_AGAIN, readable
from acqplan.sensing.hadamard_dmd import HadamardDMD

Bits = npt.NDArray[np.bool_]
Packed = npt.NDArray[np.uint8]
"""uint8[height, ceil(width / 8)]: eight mirrors a byte, the leftmost in the highest bit, as TIFF stores them."""

_ADOBE_DEFLATE = 8


@dataclass(frozen=True)
class Placement:
    """Where the pattern lies on the mirror array; all in mirrors but ``rows`` and ``columns`` (pattern pixels)."""

    width: int
    height: int
    rows: int
    columns: int
    scale: int
    left: int
    top: int

    def problems(self) -> list[str]:
        """Every reason why it doesn't fit, one sentence each."""
        if self.scale < 1:
            return [f"A scale of {self.scale} mirrors per pixel is less than 1."]
        found = []
        extents = (
            ("wide", self.columns, self.width, self.left),
            ("high", self.rows, self.height, self.top),
        )
        for word, pixels, mirrors, start in extents:
            size = pixels * self.scale
            at_most = mirrors // pixels
            if size > mirrors:
                hint = f"a scale of at most {at_most}" if at_most else "a smaller pattern"
                found.append(f"The pattern is {size} mirrors {word}, the device has {mirrors}: it needs {hint}.")
            elif start < 0 or start + size > mirrors:
                found.append(
                    f"The pattern, {size} mirrors {word}, is moved to mirrors {start} to {start + size - 1}, "
                    f"outside 0 to {mirrors - 1}."
                )
        return found

    def region(self, frame: Bits) -> Bits:
        """The mirrors of the pattern in frame[height, width], as a view."""
        return frame[
            self.top : self.top + self.rows * self.scale,
            self.left : self.left + self.columns * self.scale,
        ]

    def enlarged(self, pixels: Bits) -> Bits:
        """pixels[rows, columns] -> mirrors[rows * scale, columns * scale]."""
        return np.repeat(np.repeat(pixels, self.scale, axis=1), self.scale, axis=0)

    def packed(self, pixels: Bits) -> Packed:
        """The whole frame that shows pixels[rows, columns], eight mirrors a byte."""
        lines = np.zeros((self.rows, self.width), dtype=np.bool_)
        lines[:, self.left : self.left + self.columns * self.scale] = np.repeat(pixels, self.scale, axis=1)
        frame = np.zeros((self.height, -(-self.width // 8)), dtype=np.uint8)
        frame[self.top : self.top + self.rows * self.scale] = np.repeat(np.packbits(lines, axis=1), self.scale, axis=0)
        return frame

    def pixels(self, frame: Packed) -> Bits:
        """pixels[rows, columns] that a frame shows at the first mirror of each pixel."""
        lines = frame[self.top :: self.scale][: self.rows]
        return np.unpackbits(lines, axis=1, count=self.width)[:, self.left :: self.scale][:, : self.columns] > 0


def shown_units(path: Path, placement: Placement, sensing: HadamardDMD) -> Iterator[tuple[int, int, Bits]]:
    """(unit, 0 for + or 1 for −, pixels bool[rows, columns]) of each page of a TIFF, one by one.

    Raises
    ------
    InstrumentError
        A page isn't a Hadamard frame mirror by mirror, isn't of the pair that is due, or can't be read.
    """
    previous, sign = -1, 1
    for number, frame in enumerate(_pages(path, placement)):
        sign = number % 2
        pixels = placement.pixels(frame)
        unit = _sequency(pixels[:, 0]) * placement.columns + _sequency(pixels[0])
        wrong = np.unpackbits(frame ^ placement.packed(sensing.frames(unit)[sign]), axis=1, count=placement.width)
        if wrong.any():
            row, column = np.argwhere(wrong)[0]
            raise InstrumentError(
                f"Page {number} of {path} isn't the {'+-'[sign]} frame of a Hadamard pattern: "
                f"mirror {column} of row {row} is wrong.",
                EXPORT_AGAIN,
            )
        if sign and unit != previous:
            raise InstrumentError(f"Pages {number - 1} and {number} of {path} are no pair.", EXPORT_AGAIN)
        previous = unit
        yield unit, sign, pixels
    if sign != 1:
        raise InstrumentError(f"{path} ends in the middle of a pair.", EXPORT_AGAIN)


def first_description(path: Path) -> str:
    """The description of a TIFF's first page."""
    with readable(path, InstrumentError, EXPORT_AGAIN), tifffile.TiffFile(path) as file:
        page = file.pages.first
        return page.description if isinstance(page, tifffile.TiffPage) else ""


def _sequency(side: Bits) -> int:
    """Number of sign changes along one row or column."""
    return int(np.count_nonzero(side[1:] != side[:-1]))


def _pages(path: Path, placement: Placement) -> Iterator[Packed]:
    shape = (placement.height, placement.width)
    with readable(path, InstrumentError, EXPORT_AGAIN), tifffile.TiffFile(path) as file:
        for number, page in enumerate(file.pages):
            if (
                not isinstance(page, tifffile.TiffPage)
                or (page.shape, page.bitspersample) != (shape, 1)
                or page.photometric != tifffile.PHOTOMETRIC.MINISBLACK
            ):
                raise InstrumentError(
                    f"Page {number} of {path} isn't {shape[1]}x{shape[0]} mirrors of 1 bit each, 1 is on.", EXPORT_AGAIN
                )
            yield _packed(file, page)


def _packed(file: tifffile.TiffFile, page: tifffile.TiffPage) -> Packed:
    """The mirrors of a page; as acqplan writes them without unpacking the bits, otherwise by tifffile."""
    plain = (page.compression, page.predictor, page.fillorder, len(page.dataoffsets)) == (_ADOBE_DEFLATE, 1, 1, 1)
    if plain and not page.is_tiled:
        file.filehandle.seek(page.dataoffsets[0])
        data = zlib.decompress(file.filehandle.read(page.databytecounts[0]))
        return np.frombuffer(data, dtype=np.uint8).reshape(page.shape[0], -1)
    return np.packbits(page.asarray(), axis=1)
