"""Values of variable length in HDF5 files: what they claim is checked before HDF5 reads it.

Such a value is stored as its length, the place of a heap in the file and its number in it. HDF5 allocates and clears
what the length claims, and only then looks at the heap: four changed bytes cost 16 GiB. A changed heap may hold it up
for ever, and a chunk that is stored as nothing leaves it with whatever the memory held. So all three are read here
first, from the bytes of the file (HDF5 File Format Specification 3.0, III.E and VIII.A).
"""

from __future__ import annotations

import math
import mmap
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt

_VALUE = np.dtype([("length", "<u4"), ("heap", "<u8"), ("number", "<u4")])
_HEAP_HEADER = _OBJECT_HEADER = 16  # bytes
_DEFLATE, _SHUFFLE, _CHECKSUM = h5py.h5z.FILTER_DEFLATE, h5py.h5z.FILTER_SHUFFLE, h5py.h5z.FILTER_FLETCHER32

Bytes = npt.NDArray[np.uint8]


def check_lengths(dataset: h5py.Dataset, name: str) -> None:
    """Raise `ValueError` unless HDF5 can read the values of variable length in a dataset at the cost of its file.

    Each value lies in the file once, so that together they can't be larger. A dataset without such values passes.
    """
    places, row_bytes = _places(dataset.id.get_type())
    if not places or not dataset.size:
        return
    if dataset.file.userblock_size:
        raise ValueError(f"{name} holds values of variable length behind a user block")
    with (
        Path(dataset.file.filename).open("rb") as stream,
        mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as content,
    ):
        claimed, heaps = 0, set[int]()
        for rows in _stored(dataset, row_bytes, content, name):
            for offset, n_bytes in places:
                values = np.ascontiguousarray(rows[:, offset : offset + _VALUE.itemsize]).view(_VALUE)
                claimed += int(values["length"].sum(dtype=np.uint64)) * n_bytes
                heaps.update(np.unique(values["heap"]).tolist())
        if claimed > len(content):
            raise ValueError(f"the values in {name} claim {claimed} bytes, more than the {len(content)} of the file")
        for heap in heaps - {0}:  # 0 stands for no value
            _check_heap(content, heap, name)


def _places(kind: Any, offset: int = 0) -> tuple[list[tuple[int, int]], int]:
    """([(offset in a stored row, bytes of one element)] of the values of variable length, bytes of a stored row).

    ``kind`` is a datatype of HDF5 as it is in memory, where a text of variable length is a pointer.
    """
    if kind.get_class() == h5py.h5t.STRING and kind.is_variable_str():
        return [(offset, 1)], _VALUE.itemsize
    if kind.get_class() == h5py.h5t.COMPOUND:
        places, grown = [], 0
        for i in sorted(range(kind.get_nmembers()), key=kind.get_member_offset):
            member = kind.get_member_type(i)
            found, n_bytes = _places(member, offset + kind.get_member_offset(i) + grown)
            places += found
            grown += n_bytes - member.get_size()
        return places, kind.get_size() + grown
    if kind.get_class() in (h5py.h5t.VLEN, h5py.h5t.ARRAY):
        inner = kind.get_super()
        if _places(inner)[0]:
            raise ValueError("it has values of variable length within others")
        if kind.get_class() == h5py.h5t.VLEN:
            return [(offset, inner.get_size())], _VALUE.itemsize
    return [], kind.get_size()


def _stored(dataset: h5py.Dataset, row_bytes: int, content: mmap.mmap, name: str) -> Iterator[Bytes]:
    """uint8[rows, row_bytes] as they lie in the file, part by part."""
    if dataset.chunks is None:
        n_bytes, place = dataset.size * row_bytes, dataset.id.get_offset()
        if place is None:
            raise ValueError(f"{name} isn't stored as one block or in chunks")
        yield _rows(content[place : place + n_bytes], n_bytes, row_bytes, name)
        return
    n_bytes, settings = math.prod(dataset.chunks) * row_bytes, dataset.id.get_create_plist()
    chunks: list[Any] = []
    dataset.id.chunk_iter(chunks.append)
    if len(chunks) != math.prod(-(-side // step) for side, step in zip(dataset.shape, dataset.chunks, strict=True)):
        raise ValueError(f"{name} lacks a part")
    for chunk in chunks:
        data = content[chunk.byte_offset : chunk.byte_offset + chunk.size]
        rows = _rows(_unfiltered(data, settings, chunk.filter_mask, n_bytes), n_bytes, row_bytes, name)
        used = tuple(slice(side - start) for side, start in zip(dataset.shape, chunk.chunk_offset, strict=True))
        yield rows.reshape(*dataset.chunks, row_bytes)[used].reshape(-1, row_bytes)


def _rows(data: bytes, n_bytes: int, row_bytes: int, name: str) -> Bytes:
    if len(data) != n_bytes:
        raise ValueError(f"{name} is cut off")
    return np.frombuffer(data, np.uint8).reshape(-1, row_bytes)


def _unfiltered(data: bytes, settings: Any, skipped: int, n_bytes: int) -> bytes:
    """A chunk's bytes without its filters, which were applied in their order; ``skipped``: a bit for each left out."""
    for i in reversed(range(settings.get_nfilters())):
        code, _, values, _ = settings.get_filter(i)
        if skipped >> i & 1:
            continue
        if code == _DEFLATE:
            data = zlib.decompressobj().decompress(data, n_bytes + 4)  # a checksum may have been added before
        elif code == _SHUFFLE:
            data = np.frombuffer(data, np.uint8).reshape(values[0], -1).T.tobytes()
        elif code == _CHECKSUM:
            data = data[:-4]
        else:
            raise ValueError("it is packed by a filter of HDF5 that isn't known")
    return data


def _check_heap(content: mmap.mmap, place: int, name: str) -> None:
    """Walk the objects of a global heap: each must end within it, where the next one begins."""
    end = place + int.from_bytes(content[place + 8 : place + _HEAP_HEADER], "little")
    if content[place : place + 4] != b"GCOL" or end > len(content):
        raise ValueError(f"{name} points to a heap that isn't there")
    place += _HEAP_HEADER
    while place + _OBJECT_HEADER <= end:
        number = int.from_bytes(content[place : place + 2], "little")
        size = int.from_bytes(content[place + 8 : place + _OBJECT_HEADER], "little")
        length = _OBJECT_HEADER + -(-size // 8) * 8 if number else size  # number 0 is the free rest, header included
        if not _OBJECT_HEADER <= length <= end - place:
            raise ValueError(f"{name} points to a heap that is damaged")
        place += length
