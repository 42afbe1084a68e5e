"""PNG through Pillow: 1 to 16 bits of grey, or colour, in; one image of 16 bits from black to white out."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from PIL import Image, PngImagePlugin

from acqplan.core.registry import register
from acqplan.formats.contracts import ImageWriter, Result
from acqplan.images.grey import grey
from acqplan.images.reading import ImageReader, RawImages, unreadable

_MAGIC = b"\x89PNG\r\n\x1a\n"
_BIT_DEPTH_BYTE = 24  # of the IHDR chunk, which is always the first
_WHITE = 65535


@register("image_readers", "png")
@register("image_writers", "png")
class Png(ImageReader, ImageWriter):
    """``.png``."""

    title, asked = "PNG", 3
    image_suffixes, offered = (".png",), 3
    holds_volume = False
    holds_complex = False

    def matches(self, path: Path, head: bytes) -> bool:
        """PNG's magic number; ``path`` is not used."""
        return head.startswith(_MAGIC)

    def read_images(self, path: Path) -> RawImages:
        """One image [1, H, W]; colour becomes one grey value a pixel (`grey`), with a warning."""
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

    def write_images(self, result: Result, path: Path) -> None:
        """Black and white are told in the text chunk ``acqplan``, with the stamp."""
        black, white = result.window
        levels = np.clip((result.images[0] - black) / (white - black), 0, 1) * _WHITE
        text = PngImagePlugin.PngInfo()
        text.add_text("acqplan", json.dumps({**result.stamp, "black": black, "white": white}))
        Image.fromarray(np.round(levels).astype(np.uint16)).save(path, format="PNG", pnginfo=text)
