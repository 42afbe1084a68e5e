"""A pattern as text: half blocks where it fits, else dots of braille, thinned out where even those don't."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Mask = npt.NDArray[np.bool_]

_BRAILLE = np.array([[0x01, 0x08], [0x02, 0x10], [0x04, 0x20], [0x40, 0x80]])
_LINE_ROWS = 3  # text rows of the barcode of a line pattern
_DITHER = (  # thresholds of 4 x 4 ordered dithering: keeps the density where dots are merged
    np.array([[0, 8, 2, 10], [12, 4, 14, 6], [3, 11, 1, 9], [15, 7, 13, 5]]) + 0.5
) / 16


def picture(mask: Mask, columns: int, *, unicode: bool = True) -> str:
    """Text of mask[rows, columns] (points) or mask[K] (lines: a barcode from left to right), at most ``columns`` wide.

    The centre of k-space is in the middle, sequency zero top left. Without ``unicode``: # and a dot.
    """
    if mask.ndim == 1:
        return _barcode(mask, columns, unicode)
    if not unicode:
        return "\n".join("".join("#" if on else "." for on in row) for row in _thinned(mask, columns))
    if mask.shape[1] <= columns:
        return _half_blocks(mask)
    return _braille(_thinned(mask, 2 * columns))


def _barcode(mask: Mask, columns: int, unicode: bool) -> str:
    """Lines side by side, two to a character, in as many bars as needed."""
    width = 2 * columns if unicode else columns
    parts = []
    for start in range(0, mask.size, width):
        piece = mask[start : start + width]
        parts.append(f"ky {start} to {start + piece.size - 1}")
        if unicode:
            parts.append(_braille(np.repeat(piece[None], 4 * _LINE_ROWS, axis=0)))
        else:
            parts.append("".join("#" if on else "." for on in piece))
    return "\n".join(parts)


def _half_blocks(mask: Mask) -> str:
    padded = np.pad(mask, ((0, mask.shape[0] % 2), (0, 0)))
    characters = np.array([" ", "▀", "▄", "█"])
    return "\n".join("".join(row) for row in characters[padded[::2] + 2 * padded[1::2]])


def _braille(mask: Mask) -> str:
    rows, columns = mask.shape
    padded = np.pad(mask, ((0, -rows % 4), (0, -columns % 2)))
    cells = padded.reshape(padded.shape[0] // 4, 4, padded.shape[1] // 2, 2)
    codes = 0x2800 + np.einsum("rack,ak->rc", cells.astype(np.int64).transpose(0, 1, 2, 3), _BRAILLE)
    return "\n".join("".join(map(chr, row)) for row in codes)


def _thinned(mask: Mask, columns: int) -> Mask:
    """At most ``columns`` wide: blocks of units become one dot, on as often as the block's share is measured."""
    block = -(-mask.shape[1] // columns)
    if block <= 1:
        return mask
    rows, width = (-(-side // block) for side in mask.shape)
    padded = np.zeros((rows * block, width * block))
    padded[: mask.shape[0], : mask.shape[1]] = mask
    share = padded.reshape(rows, block, width, block).mean(axis=(1, 3))
    threshold = np.tile(_DITHER, (-(-rows // 4), -(-width // 4)))[:rows, :width]
    return np.asarray(share > threshold)
