"""PNG images through Pillow: 1 to 16 bits of grey, or colour."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from acqplan.images.readers.base import RawImages, grey, unreadable

_MAGIC = b"\x89PNG\r\n\x1a\n"
_BIT_DEPTH_BYTE = 24  # of the IHDR chunk, which is always the first


def matches(path: Path, head: bytes) -> bool:
    """PNG's magic number; ``path`` is not used."""
    return head.startswith(_MAGIC)


def read(path: Path) -> RawImages:
    """One image [1, H, W]; colour becomes one grey value a pixel (`base.grey`), with a warning."""
    warnings: tuple[str, ...] = ()
    try:
        with Image.open(path, formats=["PNG"]) as image:
            image.load()
            mode = "RGBA" if "transparency" in image.info else "RGB"
            pixels = np.asarray(image.convert(mode) if image.mode == "P" else image)
        bit_depth = path.read_bytes()[_BIT_DEPTH_BYTE]
    except Exception as error:
        raise unreadable(path, "PNG", error) from error
    if pixels.ndim == 3:
        pixels, warnings = grey(pixels)
        if bit_depth == 16:
            warnings = (*warnings, "its 16-bit colours are read with 8 bits")
    return RawImages(pixels[None], warnings=warnings)
