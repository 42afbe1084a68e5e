"""The trace of a single-pixel detector: one value per shown frame, as CSV or as a NumPy array."""

from __future__ import annotations

import codecs
from pathlib import Path

import numpy as np
import numpy.typing as npt

from acqplan.acquisition import Acquisition
from acqplan.errors import AcquisitionError, InstrumentError
from acqplan.instruments.acquired import (
    FRESH_COPY,
    OTHER_FILE,
    TEXTS,
    acquisition_from,
    fields_of,
    first_bytes,
    is_npy,
    load_npy,
)
from acqplan.instruments.base import readable
from acqplan.plan import Plan

_TITLE = "# acqplan detector trace"
_ONE_COLUMN = "Give one value per frame, one per line, in the order in which the frames were shown."


def is_trace(path: Path) -> bool:
    """Whether a file is a detector trace as text: acqplan's own, or one that starts with a number."""
    try:
        text = codecs.getincrementaldecoder("utf-8-sig")().decode(first_bytes(path, 4096))  # may end within a letter
    except (AcquisitionError, UnicodeDecodeError):
        return False
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith("#")]
    return text.startswith(_TITLE) or (bool(lines) and _number(lines[0].split(",")[0]) is not None)


def write_trace(acquisition: Acquisition, plan: Plan, path: Path) -> None:
    """Write readings[n, frames_per_unit] as one value per frame; ``.npy`` float32[frames], anything else CSV."""
    _check_detector(plan, InstrumentError)
    values = np.asarray(acquisition.readings, dtype=np.float32).ravel()
    if path.suffix.lower() == ".npy":
        with path.open("wb") as stream:
            np.save(stream, values, allow_pickle=False)
        return
    _, texts = fields_of(acquisition, plan)
    header = {
        **{name: " ".join(text.split()) for name, text in texts.items()},
        "frames": str(values.size),
        "unit": "photo-electrons per frame, dark signal subtracted",
        "rows": "one per shown frame; the + and then the - frame of each reading",
    }
    lines = [_TITLE, *(f"# {name}: {text}" for name, text in header.items()), "frame,photo_electrons"]
    lines.extend(f"{frame},{value:.9g}" for frame, value in enumerate(values.tolist()))  # 9 digits: float32 exactly
    path.write_text("\n".join(lines) + "\n", encoding="utf-8", newline="\n")


def read_trace(path: Path, plan: Plan) -> Acquisition:
    """Read a trace: acqplan's CSV, a bare CSV of one value per line (or all on one line), or a ``.npy``.

    A bare trace can't say which pattern it was acquired with.

    Raises
    ------
    AcquisitionError
        Not such a file, a value that is no number, or frames that are missing or out of order.
    """
    _check_detector(plan, AcquisitionError)
    if is_npy(first_bytes(path, 8)):
        return acquisition_from({"readings": load_npy(path)}, {}, path, plan)
    with readable(path, AcquisitionError, OTHER_FILE):
        text = path.read_text(encoding="utf-8-sig")
    header: dict[str, str] = {}
    values = _values(text, header, path)
    if "frames" in header and header["frames"] != str(values.size):
        raise AcquisitionError(f"{path} holds {values.size} of {header['frames']} frames.", FRESH_COPY)
    texts: dict[str, str] = {name: header[name] for name in TEXTS if name in header}
    return acquisition_from({"readings": values}, texts, path, plan)


def _values(text: str, header: dict[str, str], path: Path) -> npt.NDArray[np.float64]:
    """float64[frames] of the text; its header lines go into ``header``."""
    rows = _rows(text, header, path)
    if not rows:
        return np.zeros(0)
    if len(rows) == 1 and len(rows[0]) != 2:
        return np.array(rows[0])
    widths = {len(row) for row in rows}
    if widths not in ({1}, {2}):
        raise AcquisitionError(f"{path} has rows of {max(widths)} values.", _ONE_COLUMN)
    table = np.array(rows)
    wrong = np.flatnonzero(table[:, 0] != np.arange(len(rows)))
    if widths == {2} and wrong.size:
        raise AcquisitionError(
            f"{path} has frame {table[wrong[0], 0]:g} where frame {wrong[0]} is due, counted from 0.", _ONE_COLUMN
        )
    return np.asarray(table[:, -1])


def _rows(text: str, header: dict[str, str], path: Path) -> list[list[float]]:
    """The rows of numbers, after one row of names if there is one."""
    rows: list[list[float]] = []
    named = False
    for number, line in enumerate(text.splitlines(), start=1):
        if line.startswith("#"):
            key, _, value = line[1:].partition(":")
            header[key.strip()] = value.strip()
        elif line.strip():
            cells = [_number(cell) for cell in line.split(",")]
            row = [cell for cell in cells if cell is not None]
            if not row and not rows and not named:
                named = True
            elif len(row) != len(cells):
                raise AcquisitionError(f"Line {number} of {path} is {line[:60]!r}, expected a number.", _ONE_COLUMN)
            else:
                rows.append(row)
    return rows


def _number(cell: str) -> float | None:
    try:
        return float(cell)
    except ValueError:
        return None


def _check_detector(plan: Plan, error: type[AcquisitionError] | type[InstrumentError]) -> None:
    if plan.sensing.is_complex or len(plan.sensing.reading_shape) != 1:
        raise error(
            f"A detector trace holds one real value per frame, not the readings of a {plan.sensing.kind} plan.",
            "Use a format that acqplan formats lists for it.",
        )
