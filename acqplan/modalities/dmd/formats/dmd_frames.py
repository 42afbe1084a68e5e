"""Frames on a mirror array: where the pattern lies, how eight mirrors make a byte, and which unit a frame shows.

A frame is recovered from its mirrors alone: the sensing model names the unit that its pixels show, and then every
mirror, border included, must be that of the unit's frame. Frames are made, read and compared one by one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from acqplan.core.errors import InstrumentError
from acqplan.core.math.transforms import walsh_sequency
from acqplan.formats.export import EXPORT_AGAIN
from acqplan.modalities.dmd.sensing import HadamardDMD

Bits = npt.NDArray[np.bool_]
Packed = npt.NDArray[np.uint8]
"""uint8[height, ceil(width / 8)]: eight mirrors a byte, the leftmost in the highest bit, spare bits 0."""
Mirrors = tuple[tuple[int, int], ...]
"""(column, row) of each mirror, from the top left, counted from 0."""

ROTATIONS = (0, 90, 180, 270)


@dataclass(frozen=True)
class Placement:
    """Where the pattern lies on the mirror array, and what the mirrors around it do.

    Pixels of the pattern are turned, then mirrored, then enlarged.

    Parameters
    ----------
    width, height
        Size of the mirror array.
    rows, columns
        Size of the pattern in its own pixels.
    scale
        Mirrors per pixel along each axis.
    left, top
        First mirror column and row of the pattern as it is shown.
    rotation
        Counter-clockwise, in degrees: one of `ROTATIONS`.
    flip_x, flip_y
        Exchange left and right, top and bottom, after the rotation.
    border
        State of the mirrors around the pattern; True is on.
    dead
        Mirrors that are forced off in every frame.
    """

    width: int
    height: int
    rows: int
    columns: int
    scale: int
    left: int
    top: int
    rotation: int = 0
    flip_x: bool = False
    flip_y: bool = False
    border: bool = False
    dead: Mirrors = field(default=())

    @property
    def shown_shape(self) -> tuple[int, int]:
        """(rows, columns) of the pattern in its own pixels, as it stands on the mirrors."""
        return (self.columns, self.rows) if self.rotation in (90, 270) else (self.rows, self.columns)

    def problems(self) -> list[str]:
        """Every reason why it doesn't fit, one sentence each."""
        found = []
        if self.rotation not in ROTATIONS:
            found.append(f"A rotation by {self.rotation} degrees isn't one of {', '.join(map(str, ROTATIONS))}.")
        outside = sum(not (0 <= x < self.width and 0 <= y < self.height) for x, y in self.dead)
        if outside:
            found.append(f"{outside} of the {len(self.dead)} dead mirrors lie outside {self.width}x{self.height}.")
        if self.scale < 1:
            return [*found, f"A scale of {self.scale} mirrors per pixel is less than 1."]
        rows, columns = self.shown_shape
        extents = (("wide", columns, self.width, self.left), ("high", rows, self.height, self.top))
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

    def turned(self, pixels: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """pixels[rows, columns] -> [*shown_shape] as they stand on the mirrors."""
        turned = np.rot90(pixels, self.rotation // 90)
        if self.flip_x:
            turned = turned[:, ::-1]
        return turned[::-1] if self.flip_y else turned

    def packed(self, pixels: Bits) -> Packed:
        """The whole frame that shows pixels[rows, columns], eight mirrors a byte."""
        rows, columns = self.shown_shape
        lines = np.full((rows, self.width), self.border)
        lines[:, self.left : self.left + columns * self.scale] = np.repeat(self.turned(pixels), self.scale, axis=1)
        frame = self._around.copy()
        frame[self.top : self.top + rows * self.scale] = np.repeat(np.packbits(lines, axis=1), self.scale, axis=0)
        if self._alive is not None:
            frame &= self._alive
        return frame

    def pixels(self, frame: Packed) -> Bits:
        """pixels[rows, columns] that a frame shows, each at its first working mirror; False where there is none."""
        rows, columns, shifts = self._samples
        return (frame[rows, columns] >> shifts & 1).astype(np.bool_)

    def shares(self, frame: Bits) -> npt.NDArray[np.float64]:
        """frame[height, width] -> float64[rows, columns]: the share of each pixel's mirrors that are on.

        What a detector sees of an image that is spread over the pattern's mirrors: ``(shares(frame) * image).sum()``.
        """
        rows, columns = self.shown_shape
        inside = frame[self.top : self.top + rows * self.scale, self.left : self.left + columns * self.scale]
        shown = inside.reshape(rows, self.scale, columns, self.scale).mean((1, 3))
        if self.flip_y:
            shown = shown[::-1]
        if self.flip_x:
            shown = shown[:, ::-1]
        return np.ascontiguousarray(np.rot90(shown, -(self.rotation // 90)))

    @cached_property
    def working(self) -> npt.NDArray[np.float64]:
        """float64[rows, columns]: the share of each pixel's mirrors that aren't dead."""
        if not self.dead:
            return np.ones((self.rows, self.columns))
        return self.shares(~self._dead_mirrors)

    @cached_property
    def _dead_mirrors(self) -> Bits:
        mirrors = np.zeros((self.height, self.width), dtype=np.bool_)
        for column, row in self.dead:
            mirrors[row, column] = True
        return mirrors

    @cached_property
    def _alive(self) -> Packed | None:
        """1 where a mirror works; None if all do."""
        return np.packbits(~self._dead_mirrors, axis=1) if self.dead else None

    @cached_property
    def _around(self) -> Packed:
        """The border's frame, without dead mirrors."""
        return np.packbits(np.full((self.height, self.width), self.border), axis=1)

    @cached_property
    def _samples(self) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp], npt.NDArray[np.uint8]]:
        """Row, byte column and right shift [rows, columns] of a mirror that works, for each pixel of the pattern."""
        shown_rows, shown_columns = self.shown_shape
        inside = (
            slice(self.top, self.top + shown_rows * self.scale),
            slice(self.left, self.left + shown_columns * self.scale),
        )
        first = np.zeros((shown_rows, shown_columns), dtype=np.intp)
        if self.dead:
            works = ~self._dead_mirrors[inside].reshape(shown_rows, self.scale, shown_columns, self.scale)
            first = works.transpose(0, 2, 1, 3).reshape(shown_rows, shown_columns, -1).argmax(-1)
        row = self.top + np.arange(shown_rows)[:, None] * self.scale + first // self.scale
        column = self.left + np.arange(shown_columns) * self.scale + first % self.scale
        pixel = self.turned(np.arange(self.rows * self.columns).reshape(self.rows, self.columns))
        rows, columns = np.empty(pixel.size, np.intp), np.empty(pixel.size, np.intp)
        rows[pixel], columns[pixel] = row, column
        shape = (self.rows, self.columns)
        shifts = (7 - columns % 8).astype(np.uint8)
        return rows.reshape(shape), (columns // 8).reshape(shape), shifts.reshape(shape)


def frames_of(units: Iterable[int], sensing: HadamardDMD, placement: Placement) -> Iterator[Packed]:
    """The frames of units in acquisition order, as they stand on the mirrors, one by one."""
    for unit in units:
        for pixels in sensing.frames(int(unit)):
            yield placement.packed(pixels)


def unpacked(frame: Packed, width: int) -> Bits:
    """Packed mirrors -> bool[height, width]."""
    return np.unpackbits(frame, axis=1, count=width).view(np.bool_)


def shown_units(
    frames: Iterable[Packed], placement: Placement, sensing: HadamardDMD, label: Callable[[int], str]
) -> Iterator[tuple[int, int, Bits]]:
    """(unit, number within the unit, pixels bool[rows, columns]) of each frame, one by one.

    ``label(number)`` names a frame in errors. Dead mirrors hide pixels from the recognition; the
    pixels that are returned are those of the sensing model's frame, whatever the mirrors hide.

    Raises
    ------
    InstrumentError
        A frame isn't that of a unit, mirror by mirror, or isn't the one that is due.
    """
    n_frames = sensing.frames_per_unit
    unit, due = -1, np.zeros((0,), dtype=np.bool_)
    number = -1
    for count, frame in enumerate(frames):
        number = count % n_frames
        if number == 0:
            unit = _unit_of(placement.pixels(frame), placement, sensing)
            due = sensing.frames(unit)
        wrong = frame ^ placement.packed(due[number])
        if wrong.any():
            row, column = np.argwhere(unpacked(wrong, placement.width))[0]
            raise InstrumentError(
                f"{label(count)} isn't {_frame_name(number, n_frames)} of a Hadamard pattern: "
                f"mirror {column} of row {row} is wrong.",
                EXPORT_AGAIN,
            )
        yield unit, number, due[number]
    if number != n_frames - 1:
        raise InstrumentError(f"The frames end after {label(count)}, in the middle of a unit's.", EXPORT_AGAIN)


def _frame_name(number: int, n_frames: int) -> str:
    return f"the {'+-'[number]} frame" if n_frames == 2 else f"frame {number + 1} of {n_frames}"


def _unit_of(pixels: Bits, placement: Placement, sensing: HadamardDMD) -> int:
    """The unit that pixels show; pixels without a working mirror are filled in from the Walsh function next to it."""
    seen = placement.working > 0
    if not seen.all():
        signs = torch.from_numpy(np.where(seen, np.where(pixels, 1.0, -1.0), 0.0))
        spectrum = walsh_sequency(signs)
        largest = torch.zeros_like(spectrum).flatten()
        index = int(spectrum.abs().flatten().argmax())
        largest[index] = spectrum.flatten()[index]
        nearest = walsh_sequency(largest.reshape(spectrum.shape)).numpy() > 0
        pixels = np.where(seen, pixels, nearest)
    return sensing.unit_of(pixels)[0]
