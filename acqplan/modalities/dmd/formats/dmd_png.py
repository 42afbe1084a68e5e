"""PNG files of frames: written bit by bit as the PNG specification says, read back with Pillow."""

from __future__ import annotations

import json
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from acqplan.core.errors import InstrumentError
from acqplan.core.files import readable
from acqplan.formats.export import EXPORT_AGAIN
from acqplan.modalities.dmd.formats.dmd_display import Display, stamp_matches
from acqplan.modalities.dmd.formats.dmd_frames import Packed

_ZLIB_LEVEL = 6
_STAMP = "Description"
_MODES = {"1": (1, 0), "L": (8, 0), "RGB": (8, 2)}  # Pillow's mode: (bits per sample, PNG colour type)


def write_png(path: Path, rows: npt.NDArray[np.uint8], width: int, mode: str, stamp: dict[str, Any]) -> None:
    """Write uint8[height, bytes per row] as a PNG of Pillow's ``mode`` 1, L or RGB; the stamp is its description."""
    bits, colour = _MODES[mode]
    lines = np.zeros((rows.shape[0], rows.shape[1] + 1), dtype=np.uint8)  # the first byte of a line: filter 0
    lines[:, 1:] = rows
    text = _STAMP.encode("latin-1") + b"\0" + json.dumps(stamp).encode("latin-1")
    with path.open("wb") as stream:
        stream.write(b"\x89PNG\r\n\x1a\n")
        stream.write(_chunk(b"IHDR", struct.pack(">IIBBBBB", width, rows.shape[0], bits, colour, 0, 0, 0)))
        stream.write(_chunk(b"tEXt", text))
        stream.write(_chunk(b"IDAT", zlib.compress(lines.tobytes(), _ZLIB_LEVEL)))
        stream.write(_chunk(b"IEND", b""))


def read_image(path: Path, width: int, height: int, mode: str, display: Display) -> npt.NDArray[np.uint8]:
    """uint8[height, bytes per row] of an image of that size and mode.

    Raises
    ------
    InstrumentError
        The file is missing, damaged, of another size or kind, or of another plan than the manifest's.
    """
    with readable(path, InstrumentError, EXPORT_AGAIN), Image.open(path, formats=("PNG", "BMP")) as image:
        found = (image.width, image.height, image.mode)
        data = image.tobytes() if found == (width, height, mode) else b""
        text = str(getattr(image, "text", {}).get(_STAMP, ""))
    if found != (width, height, mode):
        kind = {"1": "of 1 bit", "L": "of 8 bits", "RGB": "of 24 bits"}[mode]
        raise InstrumentError(f"{path} isn't an image of {width}x{height} mirrors {kind}.", EXPORT_AGAIN)
    if not stamp_matches(text, display):
        raise InstrumentError(f"{path} belongs to another plan than its manifest.", EXPORT_AGAIN)
    return np.frombuffer(data, dtype=np.uint8).reshape(height, -1)


def write_frame(path: Path, frame: Packed, display: Display) -> None:
    """Write a frame as a PNG of 1 bit a mirror, 1 (white) is on."""
    write_png(path, frame, display.placement.width, "1", _short(display))


def read_frame(path: Path, display: Display) -> Packed:
    """A frame written as 1 bit a mirror; `InstrumentError` as for `read_image`."""
    return read_image(path, display.placement.width, display.placement.height, "1", display)


def frame_name(frame: int, suffix: str = ".png") -> str:
    """``frame_000000.png``: numbered in the order in which they are shown, over all batches."""
    return f"frame_{frame:06d}{suffix}"


def _short(display: Display) -> dict[str, Any]:
    return {name: display.stamp[name] for name in ("plan_id", "pattern_digest")}


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
