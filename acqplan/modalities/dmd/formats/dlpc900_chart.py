"""A test chart of 24 planes: plane k shows the number k, to see in which order a controller plays the planes."""

from __future__ import annotations

import numpy as np

from acqplan.modalities.dmd.formats.dlpc900_image import PLANES, Composite
from acqplan.modalities.dmd.formats.dmd_frames import Bits

_DIGITS = (
    "###/#.#/#.#/#.#/###",
    ".#./##./.#./.#./###",
    "###/..#/###/#../###",
    "###/..#/###/..#/###",
    "#.#/#.#/###/..#/..#",
    "###/#../###/..#/###",
    "###/#../###/#.#/###",
    "###/..#/..#/..#/..#",
    "###/#.#/###/#.#/###",
    "###/#.#/###/..#/###",
)
_ROWS, _COLUMNS = 5, 7  # two digits of 3 columns, and one between


def chart(width: int, height: int) -> Composite:
    """The composite uint32[height, width] of the 24 planes."""
    composite = np.zeros((height, width), dtype=np.uint32)
    for plane in range(PLANES):
        composite |= chart_plane(plane, width, height).astype(np.uint32) << np.uint32(plane)
    return composite


def chart_plane(plane: int, width: int, height: int) -> Bits:
    """bool[height, width]: the plane's number in two digits in the middle, and a square in the top left corner."""
    digits = [_DIGITS[int(letter)].split("/") for letter in f"{plane:02d}"]
    text = np.array([[letter == "#" for letter in f"{tens}.{ones}"] for tens, ones in zip(*digits, strict=True)])
    scale = max(1, min(width // (_COLUMNS + 2), height // (_ROWS + 4)))
    large = np.kron(text, np.ones((scale, scale), dtype=np.bool_)).astype(np.bool_)[:height, :width]
    frame = np.zeros((height, width), dtype=np.bool_)
    top, left = (height - large.shape[0]) // 2, (width - large.shape[1]) // 2
    frame[top : top + large.shape[0], left : left + large.shape[1]] = large
    frame[:scale, :scale] = True
    return frame
