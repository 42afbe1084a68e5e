"""PNG of one image, 16 bits from black to white."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from PIL import Image, PngImagePlugin

from acqplan.formats.image_files.base import Result, window

_WHITE = 65535


def write(result: Result, path: Path) -> None:
    """Black and white are told in the text chunk ``acqplan``, with the stamp."""
    black, white = window(result)
    levels = np.clip((result.images[0] - black) / (white - black), 0, 1) * _WHITE
    text = PngImagePlugin.PngInfo()
    text.add_text("acqplan", json.dumps({**result.stamp, "black": black, "white": white}))
    Image.fromarray(np.round(levels).astype(np.uint16)).save(path, format="PNG", pnginfo=text)
