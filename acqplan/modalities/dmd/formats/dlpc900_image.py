"""Images for the TI DLPC900: 24 planes of one bit in a composite, with the controller's header and compressions.

A composite is uint32[height, width]; bit k of a pixel is plane k. On the wire a pixel is three bytes: bits 23–16, 15–8,
7–0, top row first. Enhanced run-length encoding (ERLE), with n below 128 as one byte, otherwise as
``(n & 127) | 128, n >> 7``:

    n pixel           n times this pixel
    00 n pixel…       n pixels, n at least 2
    00 01 n           n pixels as on the line above
    00 00             end of the line
    00 01 00          end of the image

The plain run-length encoding (RLE) has n of one byte, no lines from above, and ends with ``00 01``. Of ERLE's grammar
there are public descriptions and drivers; of RLE's only the part that it shares with ERLE, so it is never chosen by
itself.
"""

from __future__ import annotations

import struct

import numpy as np
import numpy.typing as npt

Composite = npt.NDArray[np.uint32]

COMPRESSIONS = {"none": 0, "rle": 1, "erle": 2}
_HEADER = struct.Struct("<4sHHI8sIBBB21s")  # 48 bytes
_SIGNATURE = b"Spld"
_LONGEST = {1: 255, 2: (1 << 15) - 1}
PLANES = 24


def blob(composite: Composite, compression: str = "auto") -> bytes:
    """Header and data of a composite; ``auto`` is the shorter of ERLE and none.

    The header counts the bytes of the data alone; the load command counts the header too.
    """
    if compression == "auto":
        data, kind = encoded(composite, 2), 2
        if len(data) >= 3 * composite.size:
            data, kind = encoded(composite, 0), 0
    else:
        kind = COMPRESSIONS[compression]
        data = encoded(composite, kind)
    height, width = composite.shape
    header = _HEADER.pack(_SIGNATURE, width, height, len(data), b"\xff" * 8, 0, 0, kind, 1, bytes(21))
    return header + data


def composite_of(data: bytes) -> Composite:
    """The composite of a blob; `ValueError` if it is none, or damaged."""
    if len(data) < _HEADER.size:
        raise ValueError("no image of a DLPC900")
    signature, width, height, size, ones, background, zero, kind, one, rest = _HEADER.unpack_from(data)
    fixed = (signature, ones, background, zero, one, rest)
    if fixed != (_SIGNATURE, b"\xff" * 8, 0, 0, 1, bytes(21)) or kind not in COMPRESSIONS.values():
        raise ValueError("no image of a DLPC900")
    if size != len(data) - _HEADER.size:
        raise ValueError(f"{len(data) - _HEADER.size} bytes of data, the header tells of {size}")
    return decoded(data[_HEADER.size :], width, height, kind)


def encoded(composite: Composite, kind: int) -> bytes:
    """The data of a composite: 0 uncompressed, 1 RLE, 2 ERLE."""
    wire = _wire(composite)
    if kind == 0:
        return wire.tobytes()
    height, width = composite.shape
    as_above = np.zeros(height, dtype=np.bool_)
    as_above[1:] = (composite[1:] == composite[:-1]).all(1)
    longest, out = _LONGEST[kind], bytearray()
    line = b""
    for row in range(height):
        if kind == 2 and as_above[row]:
            for start in range(0, width, longest):
                out += b"\0\1" + _count(min(longest, width - start), kind)
        else:
            line = line if as_above[row] else _line(composite[row], wire[row], kind)
            out += line
        out += b"\0\0"
    return bytes(out + (b"\0\1" if kind == 1 else b"\0\1\0"))


def decoded(data: bytes, width: int, height: int, kind: int) -> Composite:
    """The composite of such data; `ValueError` if they aren't exactly that many pixels."""
    if kind == 0:
        if len(data) != 3 * width * height:
            raise ValueError(f"{len(data)} bytes aren't {width}x{height} pixels")
        return _from_wire(np.frombuffer(data, dtype=np.uint8).reshape(height, width, 3))
    image = np.zeros((height, width), dtype=np.uint32)
    place = row = column = 0
    while True:
        code = _byte(data, place)
        if code == 0:
            code = _byte(data, place + 1)
            if code == 0:
                if column != width:
                    raise ValueError(f"line {row} ends after {column} pixels")
                row, column, place = row + 1, 0, place + 2
                continue
            if code == 1 and kind == 1:
                break
            n, after = _length(data, place + (2 if code == 1 else 1), kind)
            if code == 1 and n == 0:
                place = after - 2
                break
            _check(row, column + n, width, height)
            if code == 1:
                if row == 0:
                    raise ValueError("the first line has no line above")
                image[row, column : column + n] = image[row - 1, column : column + n]
                place = after
            else:
                pixels = data[after : after + 3 * n]
                if len(pixels) != 3 * n:
                    raise ValueError("the data end within a line")
                image[row, column : column + n] = _from_wire(np.frombuffer(pixels, np.uint8).reshape(n, 3))
                place = after + 3 * n
        else:
            n, after = _length(data, place, kind)
            _check(row, column + n, width, height)
            pixel = _byte(data, after) << 16 | _byte(data, after + 1) << 8 | _byte(data, after + 2)
            image[row, column : column + n] = pixel
            place = after + 3
        column += n
    if (row, column) != (height, 0) or place + 2 != len(data):
        raise ValueError(f"the image ends on line {row} of {height}, with {len(data) - place - 2} bytes left")
    return image


def _check(row: int, end: int, width: int, height: int) -> None:
    if row >= height or end > width:
        raise ValueError(f"line {row} is longer than {width} pixels, or one of more than {height}")


def _byte(data: bytes, place: int) -> int:
    if place >= len(data):
        raise ValueError("the data end within the image")
    return data[place]


def _count(n: int, kind: int) -> bytes:
    return bytes([n]) if kind == 1 or n < 128 else bytes([n & 127 | 128, n >> 7])


def _length(data: bytes, place: int, kind: int) -> tuple[int, int]:
    """(n, place after it)."""
    first = _byte(data, place)
    if kind == 1 or first < 128:
        return first, place + 1
    return first & 127 | _byte(data, place + 1) << 7, place + 2


def _line(values: Composite, wire: npt.NDArray[np.uint8], kind: int) -> bytes:
    """One line as repeated pixels, and single ones together."""
    starts = np.concatenate([[0], np.flatnonzero(values[1:] != values[:-1]) + 1])
    ends = np.append(starts[1:], values.size)
    single = ends - starts == 1
    groups = np.concatenate([[0], np.flatnonzero(single[1:] != single[:-1]) + 1, [starts.size]])
    longest, out = _LONGEST[kind], bytearray()
    for first, last in zip(groups[:-1].tolist(), groups[1:].tolist(), strict=True):
        if single[first]:
            for start in range(int(starts[first]), int(ends[last - 1]), longest):
                end = min(start + longest, int(ends[last - 1]))
                # A single pixel alone is a run of one: 00 01 means something else.
                out += b"\1" if end - start == 1 else b"\0" + _count(end - start, kind)
                out += wire[start:end].tobytes()
            continue
        for begin, end in zip(starts[first:last].tolist(), ends[first:last].tolist(), strict=True):
            for start in range(begin, end, longest):
                out += _count(min(longest, end - start), kind) + wire[start].tobytes()
    return bytes(out)


def _wire(composite: Composite) -> npt.NDArray[np.uint8]:
    """uint8[height, width, 3]: bits 23–16, 15–8, 7–0."""
    return np.stack([composite >> 16, composite >> 8 & 255, composite & 255], axis=-1).astype(np.uint8)


def _from_wire(wire: npt.NDArray[np.uint8]) -> Composite:
    parts = wire.astype(np.uint32)
    return np.asarray(parts[..., 0] << 16 | parts[..., 1] << 8 | parts[..., 2], dtype=np.uint32)
