"""A pattern as a CSV table that people read, and that sequence code and instrument-control programs load line by line.

Lines that start with ``#`` are the header, ``# key: value``, which says everything; then the names of the columns; then
one row per reading, or per part of one that is played for itself, in acquisition order. All indices count from 0. What
a row is, and which columns there are, says the sensing model (`SensingModel.table_terms`); ``calibration`` is 0 or 1,
``repeat`` counts how often the unit was measured before. Other formats that need the order write such a table too.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from acqplan.core import registry
from acqplan.core.errors import AcqplanError, AcquisitionError, InstrumentError
from acqplan.core.files import readable
from acqplan.core.registry import register
from acqplan.formats.contracts import AcquiredReader, AcquiredTable, AcquiredWriter, Exported, PatternFormat
from acqplan.formats.export import EXPORT_AGAIN, exported, pattern_of, read_manifest
from acqplan.plan.file import canonical_json
from acqplan.plan.plan import Plan
from acqplan.sensing.acquisition import Acquisition
from acqplan.sensing.model import SensingModel
from acqplan.sensing.pattern import Pattern, earlier_readings
from acqplan.sensing.table_terms import TableTerms

_FORMAT = "acqplan-table 1"


@register("instruments", "table")
class Table(PatternFormat, AcquiredReader, AcquiredWriter):
    """``table.csv``: line, point or frame numbers in acquisition order.

    Acquired: the CSV of the instrument, where it has one (`AcquiredTable`); a single-pixel detector's trace is one.
    """

    summary = "CSV table of lines, points or frames in acquisition order; detector traces as .csv."
    acquired_suffixes = (".csv",)

    def check(self, plan: Plan) -> list[str]:
        return []

    def write(self, plan: Plan, folder: Path) -> dict[str, Any]:
        write_table(plan, folder / "table.csv")
        return {}

    def read(self, folder: Path) -> Exported:
        manifest = read_manifest(folder, self.kind)
        pattern, plan_id = read_table(folder / "table.csv")
        if plan_id != manifest["plan_id"]:
            raise InstrumentError(f"{folder / 'table.csv'} belongs to another plan than its manifest.", EXPORT_AGAIN)
        return exported(pattern, manifest, folder / "table.csv")

    @classmethod
    def acquired_kinds(cls) -> list[str]:
        return list(registry.kinds("acquired_tables"))

    @classmethod
    def recognises(cls, path: Path) -> bool:
        return any(each.recognises(path) for each in registry.kinds("acquired_tables").values())

    def write_acquired(self, acquisition: Acquisition, plan: Plan, path: Path) -> None:
        _acquired_table(plan, InstrumentError).write(acquisition, plan, path)

    def read_acquired(self, path: Path, plan: Plan) -> Acquisition:
        return _acquired_table(plan, AcquisitionError).read(path, plan)


def _acquired_table(plan: Plan, error: type[AcqplanError]) -> AcquiredTable:
    known = registry.kinds("acquired_tables")
    if plan.sensing.kind not in known:
        raise error(
            f"A detector trace holds one real value per frame, not the readings of a {plan.sensing.kind} plan.",
            "Use a format that acqplan formats lists for it.",
        )
    table: AcquiredTable = known[plan.sensing.kind]()
    return table


def write_table(plan: Plan, path: Path) -> None:
    """Write the plan's pattern as a table."""
    per_shot = plan.budget.readings_per_shot
    terms = plan.sensing.table_terms(per_shot)
    header = _header(plan.pattern, plan.sensing, plan.plan_id, terms, per_shot)
    lines = [f"# {key}: {value}" for key, value in header.items()]
    lines.append(",".join(terms.columns))
    lines.extend(",".join(map(str, row)) for row in _rows(plan.pattern, plan.sensing, terms).tolist())
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
        terms = sensing.table_terms()
        pattern = _pattern(rows, names, sensing, terms)
        per_shot = 1 if terms.per_shot is None else int(header.get(terms.per_shot, "1"))
        terms = sensing.table_terms(per_shot)
    expected = _header(pattern, sensing, header.get("plan_id", ""), terms, per_shot)
    changed = [key for key, value in expected.items() if header.get(key) != value]
    if not np.array_equal(rows, _rows(pattern, sensing, terms)):
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


def _rows(pattern: Pattern, sensing: SensingModel, terms: TableTerms) -> npt.NDArray[np.int64]:
    """int64[rows, columns] of the table."""
    order = pattern.order.astype(np.int64)
    places = [order] if terms.states_unit else []
    places += np.unravel_index(order, sensing.grid_shape)
    calibration = np.isin(order, pattern.calibration).astype(np.int64)
    of_readings = [*places, calibration, earlier_readings(order).astype(np.int64)]
    columns = [np.repeat(column, terms.rows_per_reading) for column in of_readings]
    columns[len(places) : len(places)] = [np.tile(values, order.size) for values in terms.of_rows.values()]
    return np.stack([np.arange(columns[0].size), *columns], axis=1)


def _pattern(rows: npt.NDArray[np.int64], names: list[str], sensing: SensingModel, terms: TableTerms) -> Pattern:
    """The pattern that the rows name; `ValueError` where they can't be one."""
    columns = terms.columns
    if tuple(names) != columns or rows.ndim != 2 or rows.shape[1] != len(columns):
        raise ValueError(f"the columns aren't {', '.join(columns)}")
    column = dict(zip(columns, rows[:: terms.rows_per_reading].T, strict=True))
    if terms.states_unit:
        order = column["unit"]
    else:
        order = np.ravel_multi_index([column[name] for name in terms.axes], sensing.grid_shape)
    return pattern_of(order, sensing.n_units, np.unique(order[column["calibration"] != 0]))


def _header(pattern: Pattern, sensing: SensingModel, plan_id: str, terms: TableTerms, per_shot: int) -> dict[str, str]:
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
    if per_shot > 1 and terms.per_shot is not None:
        header[terms.per_shot] = str(per_shot)
    return header | dict(terms.header)
