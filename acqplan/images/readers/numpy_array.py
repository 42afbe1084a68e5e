"""NumPy arrays: .npy, and .npz with one array or one named ``images``."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt

from acqplan.core.errors import ImageError
from acqplan.images.readers.base import RawImages, as_stack, unreadable

_NPY = b"\x93NUMPY"
_ZIP = b"PK\x03\x04"


def matches(path: Path, head: bytes) -> bool:
    """NumPy's magic number, or a ZIP archive whose members are arrays or whose name says so."""
    if head.startswith(_NPY):
        return True
    if not head.startswith(_ZIP):
        return False
    try:
        with zipfile.ZipFile(path) as archive:
            return any(name.endswith(".npy") for name in archive.namelist())
    except (zipfile.BadZipFile, OSError):
        return path.suffix.lower() == ".npz"  # cut off before its table of contents


def read(path: Path) -> RawImages:
    """An image [H, W] or a stack [n, H, W], real or complex. Pickled objects are never loaded."""
    try:
        with path.open("rb") as file:
            return RawImages(as_stack(_array(file, path), path))
    except ImageError:
        raise
    except Exception as error:
        raise unreadable(path, "a NumPy array", error) from error


def _array(file: BinaryIO, path: Path) -> npt.NDArray[Any]:
    loaded: Any = np.load(file, allow_pickle=False)
    if isinstance(loaded, np.ndarray):
        return loaded
    names = list(loaded.files)
    name = names[0] if len(names) == 1 else "images"
    if name not in names:
        raise ImageError(
            f"{path} holds {len(names)} arrays ({', '.join(names[:8])}) and none is called 'images'.",
            "Save the stack alone, or under the name 'images'.",
        )
    array: npt.NDArray[Any] = loaded[name]
    return array
