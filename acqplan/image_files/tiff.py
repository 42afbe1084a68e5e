"""TIFF: one page for each image."""

from __future__ import annotations

import json
from pathlib import Path

import tifffile

from acqplan.image_files.base import Result


def write(result: Result, path: Path) -> None:
    """The stamp is the description of the first page."""
    tifffile.imwrite(path, result.array, photometric="minisblack", description=json.dumps(result.stamp), metadata=None)
