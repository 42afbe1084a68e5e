"""The table, the NumPy arrays and the HDF5 file of a pattern: what they say, and that changes are noticed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from builders.plans import make_plan
from builders.sensing import dmd, mri

from acqplan.core.errors import InstrumentError
from acqplan.formats.contracts import FileFormat
from acqplan.formats.export import export
from acqplan.formats.hdf5_files import Hdf5Files
from acqplan.formats.numpy_files import NumpyFiles
from acqplan.formats.table import Table
from acqplan.plan.plan import Plan

LINES, POINTS, HADAMARD = mri("lines", 6, 4), mri("points", 6, 4), dmd(2, 4)


def table_of(plan: Plan, folder: Path) -> tuple[dict[str, str], list[str]]:
    """(header, columns and rows)."""
    export(plan, Table(), folder)
    lines = (folder / "table.csv").read_text().splitlines()
    header = dict(line[2:].split(": ", 1) for line in lines if line.startswith("#"))
    return header, [line for line in lines if not line.startswith("#")]


def test_lines(tmp_path: Path) -> None:
    plan = make_plan(LINES, [5, 3, 2, 5], [2, 3])
    header, rows = table_of(plan, tmp_path / "out")
    assert rows == ["shot,ky,calibration,repeat", "0,5,0,0", "1,3,1,0", "2,2,1,0", "3,5,0,1"]
    assert header["plan_id"] == plan.plan_id
    assert header["pattern_digest"] == plan.pattern.digest
    assert header["sensing"] == '{"encoding":"lines","image_shape":[6,4],"kind":"cartesian_mri"}'
    assert (header["n_units"], header["n_readings"], header["n_calibration"]) == ("6", "4", "2")
    assert header["grid"] == "ky=6"
    assert header["centre"] == "ky=3"


def test_points(tmp_path: Path) -> None:
    header, rows = table_of(make_plan(POINTS, [23, 0, 14, 23, 23], [14]), tmp_path / "out")
    assert rows == [
        "shot,ky,kz,calibration,repeat",
        "0,5,3,0,0",
        "1,0,0,0,0",
        "2,3,2,1,0",
        "3,5,3,0,1",
        "4,5,3,0,2",
    ]
    assert header["centre"] == "ky=3 kz=2"


def test_dmd_has_one_row_per_frame(tmp_path: Path) -> None:
    _, rows = table_of(make_plan(HADAMARD, [6, 0, 6], [0]), tmp_path / "out")
    assert rows == [
        "frame,unit,row_sequency,column_sequency,sign,calibration,repeat",
        "0,6,1,2,1,0,0",
        "1,6,1,2,-1,0,0",
        "2,0,0,0,1,1,0",
        "3,0,0,0,-1,1,0",
        "4,6,1,2,1,0,1",
        "5,6,1,2,-1,0,1",
    ]


@pytest.mark.parametrize("sensing", [LINES, POINTS, HADAMARD], ids=["lines", "points", "hadamard"])
def test_any_changed_line_is_noticed(sensing: tuple[str, dict[str, Any]], tmp_path: Path) -> None:
    table_of(make_plan(sensing, [5, 3, 2, 5], [2, 3]), tmp_path / "out")
    path = tmp_path / "out" / "table.csv"
    lines = path.read_text().splitlines()
    for number, line in enumerate(lines):
        removed = lines[:number] + lines[number + 1 :]
        doubled = lines[: number + 1] + lines[number:]
        swapped = [*lines[:number], *reversed(lines[number : number + 2]), *lines[number + 2 :]]
        digits = [place for place, letter in enumerate(line) if letter.isdigit()]
        place = digits[-1] if digits else len(line) - 1
        changed = line[:place] + ("1" if line[place] == "0" else "0") + line[place + 1 :]
        edits = [removed, [*lines[:number], changed, *lines[number + 1 :]]]
        if not line.startswith("#"):
            edits.append(doubled)
            edits += [swapped] if number + 1 < len(lines) else []
        for edited in edits:
            path.write_text("\n".join(edited) + "\n")
            with pytest.raises(InstrumentError):
                Table().read(tmp_path / "out")
    path.write_text("\n".join(lines) + "\n# bought at: the market\n\n")
    Table().read(tmp_path / "out")


def test_numpy_arrays_have_the_shape_of_the_grid(tmp_path: Path) -> None:
    plan = make_plan(POINTS, [23, 0, 14, 23], [14])
    export(plan, NumpyFiles(), tmp_path / "out")
    mask = np.load(tmp_path / "out" / "mask.npy")
    counts = np.load(tmp_path / "out" / "counts.npy")
    order = np.load(tmp_path / "out" / "order.npy")
    assert (mask.shape, mask.dtype, counts.dtype, order.dtype) == ((6, 4), np.bool_, np.int32, np.int32)
    assert [tuple(place) for place in np.argwhere(mask)] == [(0, 0), (3, 2), (5, 3)]
    assert counts[5, 3] == 2
    assert order.tolist() == [23, 0, 14, 23]
    export(make_plan(LINES, [5, 3], []), NumpyFiles(), tmp_path / "lines")
    assert np.load(tmp_path / "lines" / "mask.npy").tolist() == [False, False, False, True, False, True]


def test_hdf5_layout(tmp_path: Path) -> None:
    plan = make_plan(POINTS, [23, 0, 14, 23], [14])
    export(plan, Hdf5Files(), tmp_path / "out")
    with h5py.File(tmp_path / "out" / "pattern.h5") as file:
        assert file["order"][()].tolist() == [23, 0, 14, 23]
        assert file["calibration"][()].tolist() == [14]
        assert np.argwhere(file["mask"][()]).tolist() == [[0, 0], [3, 2], [5, 3]]
        assert file["counts"][5, 3] == 2
        assert file.attrs["pattern_digest"].decode() == plan.pattern.digest


@pytest.mark.parametrize("name", ["order", "counts", "mask"])
@pytest.mark.parametrize("instrument", [NumpyFiles(), Hdf5Files()], ids=["numpy", "hdf5"])
def test_any_changed_number_is_noticed(instrument: FileFormat, name: str, tmp_path: Path) -> None:
    export(make_plan(POINTS, [23, 0, 14, 23], [14]), instrument, tmp_path / "out")
    values = np.load(tmp_path / "out" / f"{name}.npy") if isinstance(instrument, NumpyFiles) else None
    if values is None:
        with h5py.File(tmp_path / "out" / "pattern.h5") as file:
            values = file[name][()]
    for place in range(values.size):
        changed = values.copy()
        changed.flat[place] = not changed.flat[place]
        if isinstance(instrument, NumpyFiles):
            np.save(tmp_path / "out" / f"{name}.npy", changed)
        else:
            with h5py.File(tmp_path / "out" / "pattern.h5", "r+") as file:
                file[name][...] = changed
        with pytest.raises(InstrumentError):
            instrument.read(tmp_path / "out")


def test_changed_calibration_is_noticed(tmp_path: Path) -> None:
    export(make_plan(POINTS, [23, 0, 14, 23], [14]), Hdf5Files(), tmp_path / "out")
    with h5py.File(tmp_path / "out" / "pattern.h5", "r+") as file:
        file["calibration"][0] = 23
    with pytest.raises(InstrumentError, match="changed"):
        Hdf5Files().read(tmp_path / "out")


def test_folder_of_another_format_is_refused(tmp_path: Path) -> None:
    export(make_plan(POINTS, [23, 0], []), NumpyFiles(), tmp_path / "out")
    with pytest.raises(InstrumentError, match="exported as 'numpy', expected 'table'"):
        Table().read(tmp_path / "out")
    with pytest.raises(InstrumentError, match=r"manifest\.json can't be read"):
        Table().read(tmp_path)
