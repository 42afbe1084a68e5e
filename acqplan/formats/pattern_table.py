"""A pattern as a CSV table with a header that says everything; formats that need the order share it.

Lines that start with ``#`` are the header, ``# key: value``; then the names of the columns; then one row
per reading (MRI) or per shown frame (DMD), in acquisition order. All indices count from 0.

==============  ==========================================================================
sensing         columns
==============  ==========================================================================
MRI lines       shot, ky, calibration (0 or 1), repeat (times measured before)
MRI points      shot, ky, kz, calibration, repeat
Hadamard DMD    frame, unit, row_sequency, column_sequency, sign (1 or -1), calibration, repeat
==============  ==========================================================================

``sign`` is that of the pattern where a frame's mirrors are on; of unit 0 all mirrors are on where it should be.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import numpy.typing as npt

from acqplan.core import registry
from acqplan.core.errors import InstrumentError
from acqplan.core.files import readable
from acqplan.formats.export import EXPORT_AGAIN
from acqplan.modalities.dmd.sensing import HadamardDMD
from acqplan.plan.file import canonical_json
from acqplan.plan.plan import Plan
from acqplan.sensing.model import SensingModel
from acqplan.sensing.pattern import Pattern, earlier_readings

_FORMAT = "acqplan-table 1"
_DECODED = {
    "pairs": "detector signal of each frame in photo-electrons; coefficient = sign 1 minus sign -1",
    "two-detector": "two detectors in each frame, photo-electrons; coefficient = on-arm minus off-arm",
    "dc": "detector signal of each frame in photo-electrons; coefficient = twice it minus the mean of unit 0",
    "s-matrix": "detector signal of each frame in photo-electrons; coefficient = mean of unit 0 minus twice it; "
    "unit 0: all mirrors on but pixel 0",
}


def write_table(plan: Plan, path: Path) -> None:
    """Write the plan's pattern as a table."""
    header = _header(plan.pattern, plan.sensing, plan.plan_id, plan.budget.readings_per_shot)
    lines = [f"# {key}: {value}" for key, value in header.items()]
    lines.append(",".join(_columns(plan.sensing)))
    lines.extend(",".join(map(str, row)) for row in _rows(plan.pattern, plan.sensing).tolist())
    path.write_text("\n".join(lines) + "\n", encoding="utf-8", newline="\n")


def read_table(path: Path) -> tuple[Pattern, str]:
    """(pattern, plan id) from the rows themselves; every row and every line of the header is checked.

    Raises
    ------
    InstrumentError
        No table of acqplan, damaged, or edited.
    """
    with readable(path, InstrumentError, EXPORT_AGAIN):
        text = path.read_text(encoding="utf-8")
    header, names, body = _split(text)
    if header.get("format") != _FORMAT:
        raise InstrumentError(f"{path} is no table of acqplan.", "Pass a folder made by acqplan export.")
    with readable(path, InstrumentError, EXPORT_AGAIN):
        arguments = json.loads(header["sensing"])
        sensing = registry.find("sensing", arguments.pop("kind"))(**arguments)
        rows = np.array([[int(cell) for cell in line.split(",")] for line in body], dtype=np.int64)
        pattern = _pattern(rows, names, sensing)
        echo_train = int(header.get("echo_train", "1"))
    expected = _header(pattern, sensing, header.get("plan_id", ""), echo_train)
    changed = [key for key, value in expected.items() if header.get(key) != value]
    if not np.array_equal(rows, _rows(pattern, sensing)):
        changed.append("rows")
    if changed:
        raise InstrumentError(
            f"{path} contradicts itself: {', '.join(changed)} changed since the export.", EXPORT_AGAIN
        )
    return pattern, header["plan_id"]


def _split(text: str) -> tuple[dict[str, str], list[str], list[str]]:
    """(header, names of the columns, rows)."""
    header: dict[str, str] = {}
    body = []
    for line in text.splitlines():
        if line.startswith("#"):
            key, _, value = line[1:].partition(":")
            header[key.strip()] = value.strip()
        elif line.strip():
            body.append(line)
    return header, body[0].split(",") if body else [], body[1:]


def _columns(sensing: SensingModel) -> tuple[str, ...]:
    if isinstance(sensing, HadamardDMD):
        return ("frame", "unit", "row_sequency", "column_sequency", "sign", "calibration", "repeat")
    return ("shot", *("ky", "kz")[: len(sensing.grid_shape)], "calibration", "repeat")


def _rows(pattern: Pattern, sensing: SensingModel) -> npt.NDArray[np.int64]:
    """int64[rows, columns] of the table."""
    order = pattern.order.astype(np.int64)
    positions = np.unravel_index(order, sensing.grid_shape)
    calibration = np.isin(order, pattern.calibration).astype(np.int64)
    columns = [*positions, calibration, earlier_readings(order).astype(np.int64)]
    if isinstance(sensing, HadamardDMD):
        columns = [np.repeat(column, sensing.frames_per_unit) for column in (order, *columns)]
        columns.insert(3, np.tile(sensing.frame_signs, order.size))
    return np.stack([np.arange(columns[0].size), *columns], axis=1)


def _pattern(rows: npt.NDArray[np.int64], names: list[str], sensing: SensingModel) -> Pattern:
    """The pattern that the rows name; `ValueError` where they can't be one."""
    columns = _columns(sensing)
    if tuple(names) != columns or rows.ndim != 2 or rows.shape[1] != len(columns):
        raise ValueError(f"the columns aren't {', '.join(columns)}")
    column = dict(zip(columns, rows[:: sensing.frames_per_unit].T, strict=True))
    if "unit" in column:
        order = column["unit"]
    else:
        order = np.ravel_multi_index([column[name] for name in columns[1:-2]], sensing.grid_shape)
    return Pattern(order, sensing.n_units, np.unique(order[column["calibration"] != 0]))


def _header(pattern: Pattern, sensing: SensingModel, plan_id: str, echo_train: int) -> dict[str, str]:
    sizes = " ".join(f"{name}={size}" for name, size in zip(("ky", "kz"), sensing.grid_shape, strict=False))
    centre = " ".join(f"{name}={size // 2}" for name, size in zip(("ky", "kz"), sensing.grid_shape, strict=False))
    header = {
        "format": _FORMAT,
        "plan_id": plan_id,
        "pattern_digest": pattern.digest,
        "sensing": canonical_json({"kind": sensing.kind, **sensing.spec()}),
        "unit": sensing.unit_name,
        "n_units": str(pattern.n_units),
        "n_readings": str(pattern.n_readings),
        "n_calibration": str(pattern.calibration.size),
    }
    if isinstance(sensing, HadamardDMD):
        rows, columns = sensing.grid_shape
        return header | {
            "grid": f"row_sequency 0 to {rows - 1}, column_sequency 0 to {columns - 1}",
            "indices": f"from 0; unit = row_sequency * {columns} + column_sequency; a sequency counts sign changes",
            "rows": "one per shown frame, in order; sign 1: mirrors on where the pattern is +1; -1: where it is -1",
            "readings": _DECODED[sensing.scheme],
        }
    rows_are = "one per shot (one excitation and readout), in order of acquisition"
    if echo_train > 1:
        header["echo_train"] = str(echo_train)
        rows_are = f"one per readout, in order of acquisition; every {echo_train} follow one excitation"
    return header | {
        "grid": sizes,
        "centre": centre,
        "indices": "from 0; the centre is frequency zero, so index minus centre is the step in 1/FOV",
        "rows": rows_are,
        "readings": "complex, prewhitened; repeat counts earlier measurements of the same position",
    }
