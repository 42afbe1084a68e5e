"""Numbers out of the files that detectors' programs write: CSV, NumPy, HDF5, MATLAB.

A file is a table of named arrays; nothing in it is ever run, no link is followed, and a size that it claims is
checked before it costs memory.

=================  ============================================================================
suffix             arrays
=================  ============================================================================
.csv .txt .tsv     columns by name (or by number, from 0); ``#`` lines with ``key: value`` are texts
.npy               one array; of two dimensions, columns by number
.npz               its members
.h5 .hdf5          datasets by path; attributes of the file that are texts
.mat               variables: MATLAB 5 by `scipy.io`, MATLAB 7.3 as HDF5
=================  ============================================================================
"""

from __future__ import annotations

import io
import struct
import zlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt
import scipy

from acqplan.core import npy
from acqplan.core.claims import most_of
from acqplan.core.errors import AcquisitionError
from acqplan.core.files import readable
from acqplan.core.hdf5 import MAGIC, dataset_of, datasets_of, dtype_of, hdf5_file, opened, set_text, text_of
from acqplan.formats.acquired import FRESH_COPY

MAX_BYTES = 4 << 30
FORMAT = "acqplan-trace"
SUFFIXES = (".csv", ".npy", ".h5", ".mat")
"""What `write_table` writes."""
TITLE = "# acqplan detector signal"

_MAT5, _MAT73 = b"MATLAB 5.0 MAT-file", b"MATLAB 7.3 MAT-file"
_MAT_NUMBERS = ("double", "single", "logical", *(f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)))
_MAT_HEADER, _MAT_COMPRESSED = 128, 15
_CHUNK = 1 << 20
_LISTED = 12
_MATLAB_CELLS = "#refs#"

Array = npt.NDArray[Any]


@dataclass(frozen=True, eq=False)
class Table:
    """What a file holds: arrays by name, in the file's order, and texts.

    ``named``: the arrays have names, not only the numbers of columns. ``whole``: the file's one array, if it is one.
    """

    arrays: dict[str, Array]
    texts: dict[str, str] = field(default_factory=dict)
    named: bool = True
    whole: Array | None = None


def kind_of(path: Path) -> str:
    """``npy``, ``npz``, ``hdf5``, ``mat5``, ``mat73`` or ``text``, from the file's first bytes.

    Raises `AcquisitionError` if the file can't be read or is empty.
    """
    with readable(path, AcquisitionError, "Check the name."), path.open("rb") as stream:
        head = stream.read(520)
    if not head:
        raise AcquisitionError(f"{path} is empty.", FRESH_COPY)
    known = {npy.MAGIC: "npy", npy.ARCHIVE_MAGIC: "npz", MAGIC: "hdf5", _MAT5: "mat5", _MAT73: "mat73"}
    return next((kind for magic, kind in known.items() if head.startswith(magic)), "text")


def read_table(path: Path, names: tuple[str, ...] = ()) -> Table:
    """The arrays called ``names`` of a file, or every array of numbers that it holds.

    Raises
    ------
    AcquisitionError
        The file can't be read or is damaged, has no array of that name, or it isn't one of real numbers.
    """
    kind = kind_of(path)
    if kind == "npy":
        table = _columns(_load_npy(path))
    elif kind == "text":
        table = _read_text(path)
    else:
        read = {"npz": _read_npz, "hdf5": _read_hdf5, "mat73": _read_hdf5, "mat5": _read_mat5}[kind]
        with readable(path, AcquisitionError, FRESH_COPY):
            table = read(path, names)
    for name in names:
        if name not in table.arrays:
            raise AcquisitionError(
                f"{path} has no array of numbers called {name!r}; it has {_listed(read_table(path).arrays)}.",
                "Name one that it has.",
            )
    for name in names or table.arrays:
        if table.arrays[name].size == 0:
            raise AcquisitionError(f"{path} holds no values in {name!r}.", FRESH_COPY)
    return table


def write_table(table: Table, path: Path) -> None:
    """Write arrays of equal length and texts to a new file, in the form of its suffix (.csv, .npy, .h5, .mat).

    ``.npy`` and ``.mat`` have no place for the texts; ``.npy`` holds the arrays as columns.
    """
    suffix = path.suffix.lower()
    if suffix == ".npy":
        columns = list(table.arrays.values())
        npy.save_array(path, columns[0] if len(columns) == 1 else np.stack(columns, axis=1))
    elif suffix in (".h5", ".hdf5"):
        with hdf5_file(path) as file:
            set_text(file, "format", FORMAT)
            for name, text in table.texts.items():
                set_text(file, name, text)
            for name, array in table.arrays.items():
                file.create_dataset(name, data=array)
    elif suffix == ".mat":
        content = io.BytesIO()
        scipy.io.savemat(content, dict(table.arrays), do_compression=True, oned_as="column")
        path.write_bytes(content.getvalue())
    else:
        lines = [TITLE, *(f"# {name}: {' '.join(text.split())}" for name, text in table.texts.items())]
        lines.append(",".join(table.arrays))
        rows = zip(*(array.tolist() for array in table.arrays.values()), strict=True)
        lines.extend(",".join(f"{value:.9g}" for value in row) for row in rows)
        path.write_text("\n".join(lines) + "\n", encoding="utf-8", newline="\n")


def _load_npy(path: Path) -> Array:
    with readable(path, AcquisitionError, FRESH_COPY):
        array = npy.load_array(path, MAX_BYTES)
    _check_numbers(array, "it", path)
    return array


def _columns(array: Array) -> Table:
    flat = array.reshape(-1) if array.ndim < 2 or min(array.shape) == 1 else array
    if flat.ndim == 1:
        return Table({"0": flat}, named=False, whole=array)
    columns = np.moveaxis(flat, -1, 0).reshape(flat.shape[-1], -1)
    return Table({str(i): column for i, column in enumerate(columns)}, named=False, whole=array)


def _check_numbers(array: Array, name: str, path: Path) -> None:
    if array.dtype.kind not in "fiub":
        raise AcquisitionError(
            f"{path} holds values of type {array.dtype} in {name}, expected real numbers.", "Save them as numbers."
        )


def _read_npz(path: Path, names: tuple[str, ...]) -> Table:
    arrays = npy.load_arrays(path, names or None, MAX_BYTES)
    return Table({name: np.squeeze(array) for name, array in arrays.items() if array.dtype.kind in "fiub"})


def _read_hdf5(path: Path, names: tuple[str, ...]) -> Table:
    """Datasets of numbers inside the file; other links and data outside of it are passed over."""
    left = MAX_BYTES
    with opened(path) as file:
        texts = {name: _text(file, name) for name in file.attrs}
        found = {}
        for name in datasets_of(file, passed_over=_MATLAB_CELLS):
            kind = dtype_of(file, name)
            if (not names or name in names) and kind is not None and kind.kind in "fiub":
                dataset = dataset_of(file, name, left)
                assert dataset is not None
                left -= dataset.size * dataset.dtype.itemsize
                found[name] = dataset
        is_matlab = kind_of(path) == "mat73"  # which stores the last axis first
        arrays = {name: np.squeeze(dataset[()].T if is_matlab else dataset[()]) for name, dataset in found.items()}
    return Table(arrays, {name: text for name, text in texts.items() if text is not None})


def _text(file: h5py.File, name: str) -> str | None:
    try:
        return text_of(file, name)
    except (ValueError, UnicodeDecodeError):
        return None


def _read_mat5(path: Path, names: tuple[str, ...]) -> Table:
    """Numeric variables; cells, structures, objects and functions are passed over unread."""
    _check_mat5_size(path)
    listed = {name: (shape, kind) for name, shape, kind in scipy.io.whosmat(path)}
    wanted = [name for name, (_, kind) in listed.items() if kind in _MAT_NUMBERS and (not names or name in names)]
    for name in wanted:
        if any(side < 0 for side in listed[name][0]) or 8 * float(np.prod(listed[name][0], dtype=float)) > MAX_BYTES:
            raise ValueError(f"{name} claims the shape {listed[name][0]}")
    stored = scipy.io.loadmat(path, variable_names=wanted, struct_as_record=True) if wanted else {}
    arrays = {name: np.squeeze(np.asarray(stored[name])) for name in wanted if name in stored}
    return Table({name: array for name, array in arrays.items() if array.dtype.kind in "fiub"})


def _check_mat5_size(path: Path) -> None:
    """Walk the elements: each must end within the file, and all together unpack to no more than `MAX_BYTES`."""
    content = path.read_bytes()
    order = {b"IM": "<", b"MI": ">"}.get(content[126:128])
    if order is None:
        raise ValueError("it is no MATLAB 5 file")
    position, total, most = _MAT_HEADER, 0, most_of(len(content), MAX_BYTES)
    while position + 8 <= len(content):
        kind, n_bytes = struct.unpack_from(order + "II", content, position)
        position += 8
        if position + n_bytes > len(content):
            raise ValueError("it is cut off")
        if kind == _MAT_COMPRESSED:
            total += _unpacked_size(memoryview(content)[position : position + n_bytes], most - total)
        else:
            total += n_bytes
        position += n_bytes
    if position == _MAT_HEADER or position != len(content):
        raise ValueError("it is cut off")


def _unpacked_size(packed: memoryview, at_most: int) -> int:
    unpacker = zlib.decompressobj()
    total, rest = 0, bytes(packed)
    while rest and not unpacker.eof:
        total += len(unpacker.decompress(rest, _CHUNK))
        rest = unpacker.unconsumed_tail
        if total > at_most:
            raise ValueError("it unpacks to too much")
    return total


def _read_text(path: Path) -> Table:
    """Columns of numbers, separated by commas, semicolons, tabs or spaces, after one row of names if there is one."""
    with readable(path, AcquisitionError, "Pass a detector trace: a table of numbers."):
        if path.stat().st_size > MAX_BYTES:
            raise ValueError("it is too large for a text")
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    texts: dict[str, str] = {}
    names: list[str] | None = None
    rows: list[list[float]] = []
    for number, line in enumerate(lines, start=1):
        if line.startswith("#"):
            key, _, value = line[1:].partition(":")
            texts[key.strip()] = value.strip()
            continue
        cells = [cell.strip() for cell in _split(line)]
        if not any(cells):
            continue
        try:
            rows.append([float(cell) for cell in cells])
        except ValueError as error:
            if rows or names is not None:
                raise AcquisitionError(
                    f"Line {number} of {path} is {line[:60]!r}, expected numbers.", "Give one row of numbers a reading."
                ) from error
            names = cells
    widths = sorted({len(row) for row in rows})
    if not rows:
        raise AcquisitionError(f"{path} holds no readings.", FRESH_COPY)
    if len(widths) > 1 or (names is not None and len(names) != widths[0]):
        under = "" if names is None else f" under {len(names)} names"
        raise AcquisitionError(
            f"{path} has rows of {' and '.join(map(str, widths))} numbers{under}.", "Give every row as many columns."
        )
    values = np.array(rows)
    if len(rows) == 1 and widths[0] != 2 and names is None:
        values = values.T  # all values on one line
    columns = {names[i] if names else str(i): values[:, i] for i in range(values.shape[1])}
    if names is not None and len(columns) < len(names):
        raise AcquisitionError(f"{path} has two columns of one name.", "Give each column a name of its own.")
    return Table(columns, texts, named=names is not None)


def _split(line: str) -> list[str]:
    for separator in (",", ";", "\t"):
        if separator in line:
            return line.strip().rstrip(separator).split(separator)
    return line.split()


def _listed(arrays: dict[str, Array]) -> str:
    names = [f"{name} {array.shape}" for name, array in list(arrays.items())[:_LISTED]]
    return (", ".join(names) or "none") + (", …" if len(arrays) > _LISTED else "")
