"""The one door for HDF5 files: made in memory and written in one go; read without trusting them.

A stranger's file may point to other files (links, external storage, virtual datasets), which would be read in its name,
and may claim any size. It is opened by `opened`, and `dataset_of`, `datasets_of` and `group_of` give only what lies in
the file itself, and can be that large.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt

from acqplan.core.claims import MOST_BYTES, check_claim
from acqplan.core.hdf5_lengths import check_lengths

MAGIC = b"\x89HDF\r\n\x1a\n"
"""The first bytes of an HDF5 file without a user block."""

_FREE_CHUNKS = 1 << 15  # claimed without suspicion, however small the file
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


@contextmanager
def opened(path: Path) -> Iterator[h5py.File]:
    """A file to be read; what is in it is asked of the functions below alone, which follow nothing out of it.

    HDF5 raises many kinds on a damaged file: see `acqplan.core.files.readable`.
    """
    with h5py.File(path, "r") as file:
        yield file


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


def names(group: h5py.Group) -> set[str]:
    """The names in a group that are in the file itself: no soft and no external links."""
    return {name for name in group if isinstance(group.get(name, getlink=True), h5py.HardLink)}


def group_of(file: h5py.Group, name: str) -> h5py.Group | None:
    """A group in the file itself, or None."""
    found = _found(file, name)
    return found if isinstance(found, h5py.Group) else None


def dtype_of(group: h5py.Group, name: str) -> np.dtype[Any] | None:
    """The type of a dataset in the file itself, or None; none of its claims is checked."""
    found = _found(group, name)
    return found.dtype if isinstance(found, h5py.Dataset) else None


def dataset_of(group: h5py.Group, name: str, most: int = MOST_BYTES) -> h5py.Dataset | None:
    """A plain dataset in the file itself, or None; nothing of it is read yet but lengths that vary.

    Raises
    ------
    ValueError
        Its data lie outside the file, it or a chunk of it claims more than ``most`` bytes or more than is believed of
        the file, or its values of variable length claim more than the file has.
    """
    found = _found(group, name)
    if not isinstance(found, h5py.Dataset):
        return None
    if not _is_inside(found):
        raise ValueError(f"{name} isn't stored in the file")
    for size in (found.size, math.prod(found.chunks or ())):  # HDF5 allocates a whole chunk for one value of it
        check_claim((size or 0) * found.dtype.itemsize, found.file.id.get_filesize(), name, most)
    _check_chunks(found, name)
    check_lengths(found, name)
    return found


def _check_chunks(dataset: h5py.Dataset, name: str) -> None:
    """Raise `ValueError` if there are more chunks than the file has bytes: HDF5 takes a kilobyte and time for each."""
    sides = zip(dataset.shape or (), dataset.chunks or dataset.shape or (), strict=True)
    n_chunks = math.prod(-(-side // max(1, chunk)) for side, chunk in sides)
    if n_chunks > max(_FREE_CHUNKS, dataset.file.id.get_filesize()):
        raise ValueError(f"{name} claims {n_chunks} chunks, more than its file can hold")


def datasets_of(group: h5py.Group, passed_over: str = "") -> Iterator[str]:
    """Paths of the datasets that lie in the file itself, by name; groups called ``passed_over`` are left out.

    Each object is met once, however many names it has.
    """
    met: set[Any] = {group.id}

    def walked(node: h5py.Group, prefix: str) -> Iterator[str]:
        for name in sorted(names(node)):
            found = node[name]
            if name == passed_over or found.id in met:
                continue
            met.add(found.id)
            if isinstance(found, h5py.Group):
                yield from walked(found, f"{prefix}{name}/")
            elif isinstance(found, h5py.Dataset) and _is_inside(found):
                yield prefix + name

    return walked(group, "")


def _is_inside(dataset: h5py.Dataset) -> bool:
    """Whether the data are stored in the dataset's own file."""
    return not dataset.is_virtual and not dataset.external


def numbers_of(group: h5py.Group, name: str, kinds: str = "fciu", most: int = MOST_BYTES) -> npt.NDArray[Any]:
    """The whole of a plain dataset of numbers (`dataset_of`), whose dtype is one of ``kinds``.

    Raises
    ------
    ValueError
        It is missing, a link, stored elsewhere, too large, or no array of numbers.
    """
    found = dataset_of(group, name, most)
    if found is None:
        raise ValueError(f"{name} is a link or missing")
    if found.dtype.kind not in kinds:
        raise ValueError(f"{name} of type {found.dtype} is no array of numbers")
    return np.asarray(found[()])


def _found(group: h5py.Group, name: str) -> Any:
    """What a path names, if every part of it is in the file itself."""
    node: Any = group
    for part in name.split("/"):
        if not isinstance(node, h5py.Group) or part not in names(node):
            return None
        node = node[part]
    return node
