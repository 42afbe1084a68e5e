"""HDF5 files that are sound but strange: links, storage elsewhere, other types and shapes, huge claims."""

from __future__ import annotations

import atexit
import io
import os
import shutil
import tempfile
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import h5py
import numpy as np

Random = np.random.Generator

_DTYPES = ("int8", "uint16", "int64", "float16", "float64", "complex64", "complex128", "bool", "S7")


@cache
def outside() -> str:
    """A file that isn't the stranger's: a pipe without a writer, so that whoever opens it hangs and is found."""
    folder = tempfile.mkdtemp(prefix="outside-")
    owner = os.getpid()
    atexit.register(lambda: os.getpid() == owner and shutil.rmtree(folder, ignore_errors=True))
    path = Path(folder) / "pipe"
    os.mkfifo(path)
    return str(path)


def restructured(content: bytes, random: Random) -> bytes:
    """One dataset, group or attribute changed in its structure."""
    buffer = io.BytesIO(content)
    with h5py.File(buffer, "r+") as file:
        datasets: list[str] = []
        nodes: list[str] = ["/"]

        def collect(name: str, node: Any) -> None:
            nodes.append(name)
            if isinstance(node, h5py.Dataset):
                datasets.append(name)

        file.visititems(collect)
        has_attributes = [name for name in nodes if len(file[name].attrs)]
        if has_attributes and (not datasets or random.random() < 0.3):
            _change_attribute(file[has_attributes[int(random.integers(len(has_attributes)))]], random)
        elif datasets:
            name = datasets[int(random.integers(len(datasets)))]
            _WAYS[int(random.integers(len(_WAYS)))](file, name, random)
    return buffer.getvalue()


def _change_attribute(node: Any, random: Random) -> None:
    names = sorted(node.attrs)
    name = names[int(random.integers(len(names)))]
    values: tuple[Any, ...] = (0, -1, 2**62, np.nan, 1e300, "text", b"\xff\xfe\0", np.zeros((0, 3)), np.arange(4.0))
    value = values[int(random.integers(len(values)))]
    if random.random() < 0.3:
        del node.attrs[name]
    else:
        node.attrs[name] = np.bytes_(value) if isinstance(value, bytes) else value


def _replaced(file: h5py.File, name: str, data: Any) -> None:
    attributes = dict(file[name].attrs)
    del file[name]
    made = file.create_dataset(name, data=data)
    for key, value in attributes.items():
        made.attrs[key] = value


def _removed(file: h5py.File, name: str, random: Random) -> None:
    del file[name]


def _group(file: h5py.File, name: str, random: Random) -> None:
    del file[name]
    file.create_group(name)


def _soft_link(file: h5py.File, name: str, random: Random) -> None:
    file.move(name, "elsewhere")
    file[name] = h5py.SoftLink("/elsewhere" if random.random() < 0.5 else f"/{name}")


def _external_link(file: h5py.File, name: str, random: Random) -> None:
    del file[name]
    file[name] = h5py.ExternalLink(outside(), "data")


def _external_storage(file: h5py.File, name: str, random: Random) -> None:
    shape, dtype = file[name].shape, file[name].dtype
    del file[name]
    file.create_dataset(name, shape, dtype, external=[(outside(), 0, h5py.h5f.UNLIMITED)])


def _virtual(file: h5py.File, name: str, random: Random) -> None:
    shape, dtype = file[name].shape or (1,), file[name].dtype
    del file[name]
    layout = h5py.VirtualLayout(shape, dtype)
    layout[...] = h5py.VirtualSource(outside(), "data", shape)
    file.create_virtual_dataset(name, layout)


def _claim(file: h5py.File, name: str, random: Random) -> None:
    """A size that the file doesn't hold; packed, nothing of it is stored."""
    shape, dtype = file[name].shape or (1,), file[name].dtype
    del file[name]
    factor = int(10 ** random.integers(2, 9))
    shape = (max(1, shape[0]) * factor, *shape[1:])
    file.create_dataset(name, shape, dtype, chunks=(1, *[max(1, side) for side in shape[1:]]), compression="gzip")


def _other_dtype(file: h5py.File, name: str, random: Random) -> None:
    _replaced(file, name, np.ones(file[name].shape, _DTYPES[int(random.integers(len(_DTYPES)))]))


def _text(file: h5py.File, name: str, random: Random) -> None:
    _replaced(file, name, "a text" if random.random() < 0.5 else [b"some", b"texts"])


def _other_shape(file: h5py.File, name: str, random: Random) -> None:
    shape, dtype = list(file[name].shape), file[name].dtype
    match int(random.integers(5)):
        case 0:
            shape = [1, *shape]
        case 1:
            shape = shape[1:]
        case 2:
            shape = [*shape[:-1], 0] if shape else [0]
        case 3:
            shape = shape[::-1]
        case _:
            shape = [side + int(random.integers(-1, 3)) for side in shape]
    del file[name]
    file.create_dataset(name, [max(0, side) for side in shape], dtype)


def _strange_values(file: h5py.File, name: str, random: Random) -> None:
    values = np.array(file[name][()])
    if values.dtype.kind in "iufc" and values.size:
        flat, place = values.reshape(-1), int(random.integers(values.size))
        if values.dtype.kind in "fc":
            flat[place] = random.choice([np.nan, np.inf, 1e20, -1e-30, 0])
        else:
            bounds = np.iinfo(values.dtype)
            flat[place] = random.choice([bounds.min, bounds.max, 0])
        _replaced(file, name, values)


_WAYS: tuple[Callable[[h5py.File, str, Random], None], ...] = (
    *(_removed, _group, _soft_link, _external_link, _external_storage, _virtual, _claim, _other_dtype, _text),
    *(_other_shape, _strange_values),
)
