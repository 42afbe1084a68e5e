"""One plain NumPy array [rows, columns] or [n, rows, columns], without a stamp."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from acqplan.formats.image_files.base import Result


def write(result: Result, path: Path) -> None:
    """``.npy``."""
    with path.open("wb") as stream:
        np.save(stream, result.array, allow_pickle=False)
