"""HDF5 files made in memory and written in one go."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import h5py
import numpy as np

MAGIC = b"\x89HDF\r\n\x1a\n"
"""The first bytes of an HDF5 file without a user block."""

_LAYOUT = "v110"  # of HDF5: the oldest whose structures carry checksums


@contextmanager
def hdf5_file(path: Path) -> Iterator[h5py.File]:
    """Yield an HDF5 file in memory; its bytes are written to ``path`` if the block succeeds.

    HDF5 itself doesn't survive a full disk: it fails again, differently, when it closes the file. Here that is the
    plain `OSError` of one write. Not atomic: use it inside `acqplan.core.files.atomic_file`.
    """
    with h5py.File("memory", "w", driver="core", backing_store=False, libver=_LAYOUT) as file:
        yield file
        file.flush()
        image: bytes = file.id.get_file_image()
    path.write_bytes(image)


def set_text(node: h5py.Group | h5py.Dataset, name: str, text: str) -> None:
    """Set a text attribute of fixed length: HDF5 keeps texts of variable length outside its checksums."""
    node.attrs[name] = np.bytes_(text.encode() or b"\0")  # HDF5 knows no text of length 0


def text_of(node: h5py.Group | h5py.Dataset, name: str) -> str:
    """A text attribute, of fixed or variable length; `KeyError` if missing, `ValueError` if it is no text."""
    value = node.attrs[name]
    if isinstance(value, bytes):
        return value.decode()
    if not isinstance(value, str):
        raise ValueError(f"the attribute {name} is no text")
    return value
