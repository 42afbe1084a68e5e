"""The one door for NumPy files, ``.npy`` and ``.npz``: read without trusting them, written without losing anything.

A stranger's file may claim any shape, and may hold Python objects, whose pickle would be run. Here a header is read up
to NumPy's own limit, its claim is checked against what the file holds before anything is allocated, and objects are
refused. `load_array` raises `ValueError` in words, or `OSError`; the others also what `zipfile` raises on a damaged
archive, which is of many kinds: `acqplan.core.files.readable` turns them into one.
"""

from __future__ import annotations

import io
import math
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Any

import numpy as np
import numpy.typing as npt

from acqplan.core.claims import MOST_BYTES, check_claim

MAGIC = b"\x93NUMPY"
ARCHIVE_MAGIC = b"PK\x03\x04"

_SUFFIX = ".npy"  # of an archive's members
_MOST_HEADER = 10_000  # bytes: more isn't safe to parse, says NumPy
_LENGTH_BYTES = {(1, 0): 2, (2, 0): 4, (3, 0): 4}  # by version: how many bytes state the length of the header
_PIECE = 1 << 20
_PACKED_AS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)  # what NumPy writes; the others can't be unpacked in pieces

Array = npt.NDArray[Any]


def is_array(head: bytes) -> bool:
    """Whether a file that starts with these bytes is one plain array (.npy)."""
    return head.startswith(MAGIC)


def is_archive(head: bytes) -> bool:
    """Whether a file that starts with these bytes is a ZIP archive, as an .npz is."""
    return head.startswith(ARCHIVE_MAGIC)


def load_array(path: Path, most: int = MOST_BYTES) -> Array:
    """The array of a ``.npy`` file, of at most ``most`` bytes."""
    with path.open("rb") as stream:
        if is_archive(stream.read(len(ARCHIVE_MAGIC))):
            raise ValueError("it is a ZIP archive like an .npz, one array (.npy) is expected")
        stream.seek(0)
        return _read(stream, path.stat().st_size, "it", most)


def save_array(path: Path, array: npt.ArrayLike) -> None:
    """Write a ``.npy`` file; a full disk is the plain `OSError` of a write.

    NumPy itself writes to a file through a buffer of the C library, and doesn't hear of it when that can't be emptied.
    """
    with path.open("wb") as stream:
        np.save(_Bytes(stream), array, allow_pickle=False)


class _Bytes:
    """A stream that NumPy doesn't take for a file of the system."""

    def __init__(self, stream: IO[bytes]) -> None:
        self.write = stream.write


def names_of(path: Path) -> list[str]:
    """The names of the arrays in a ``.npz`` file, in its order; nothing is unpacked."""
    with zipfile.ZipFile(path) as archive:
        return list(_members(archive))


def load_arrays(path: Path, names: Sequence[str] | None = None, most: int = MOST_BYTES) -> dict[str, Array]:
    """The arrays of a ``.npz`` file, or those among ``names``; unpacked, all of it is at most ``most`` bytes."""
    with zipfile.ZipFile(path) as archive:
        check_claim(sum(entry.file_size for entry in archive.infolist()), path.stat().st_size, "the archive", most)
        found = {}
        for name, entry in _members(archive).items():
            if names is not None and name not in names:
                continue
            if entry.compress_type not in _PACKED_AS:
                raise ValueError(f"its member {entry.filename} is packed in a way that NumPy doesn't know")
            with archive.open(entry) as member:
                found[name] = _read(member, entry.file_size, f"its member {entry.filename}", most)
    return found


def _members(archive: zipfile.ZipFile) -> dict[str, zipfile.ZipInfo]:
    entries = archive.infolist()
    return {entry.filename.removesuffix(_SUFFIX): entry for entry in entries if entry.filename.endswith(_SUFFIX)}


def _read(stream: IO[bytes], n_bytes: int, what: str, most: int) -> Array:
    """The array that a stream of ``n_bytes`` holds, read in pieces; `ValueError` if it holds less than it claims."""
    shape, is_fortran, dtype = _header(stream, what)
    if dtype.hasobject or dtype.itemsize == 0 or min(shape, default=0) < 0:
        kind = "Python objects, which are never loaded" if dtype.hasobject else f"{shape} values of type {dtype}"
        raise ValueError(f"{what} holds {kind}")
    claimed = math.prod(shape) * dtype.itemsize
    if claimed > n_bytes - stream.tell():
        raise ValueError(f"{what} claims the shape {shape} of {dtype}, more than it holds")
    check_claim(claimed, n_bytes, what, most)
    array = np.empty(math.prod(shape), dtype)
    left = array.view(np.uint8).data if array.size else memoryview(b"")
    while left:
        piece = stream.read(min(_PIECE, len(left)))
        if not piece:
            raise ValueError(f"{what} is cut off")
        left[: len(piece)] = piece
        left = left[len(piece) :]
    return array.reshape(shape, order="F" if is_fortran else "C")


def _header(stream: IO[bytes], what: str) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    """(shape, whether the first axis is the fastest, dtype)."""
    start = stream.read(len(MAGIC) + 2)
    if not is_array(start):
        raise ValueError(f"{what} is no NumPy array")
    version = start[-2], start[-1]
    if version not in _LENGTH_BYTES:
        raise ValueError(f"{what} is an array of version {version[0]}.{version[1]}, which isn't known")
    length = stream.read(_LENGTH_BYTES[version])
    n_header = int.from_bytes(length, "little")
    if n_header > _MOST_HEADER:
        raise ValueError(f"{what} has a header of {n_header} bytes, more than {_MOST_HEADER}")
    read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    try:
        return read(io.BytesIO(length + stream.read(n_header)))
    except ValueError:
        raise
    except Exception as error:  # it is parsed as Python, which raises many kinds
        raise ValueError(f"{what} has a header that can't be read") from error
