"""A table that people read, and that sequence code and instrument-control programs load line by line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from acqplan.core.errors import InstrumentError
from acqplan.core.registry import register
from acqplan.formats.contracts import AcquiredReader, AcquiredWriter, Exported, PatternFormat
from acqplan.formats.export import EXPORT_AGAIN, exported, read_manifest
from acqplan.formats.pattern_table import read_table, write_table
from acqplan.modalities.dmd.formats.detector_trace import is_trace, read_trace, write_trace
from acqplan.plan.plan import Plan
from acqplan.sensing.acquisition import Acquisition


@register("instruments", "table")
class Table(PatternFormat, AcquiredReader, AcquiredWriter):
    """``table.csv``: line, point or frame numbers in acquisition order (see `pattern_table`).

    Acquired, for single-pixel detectors only: a CSV with one value per frame (see `detector_trace`).
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
    def recognises(cls, path: Path) -> bool:
        return is_trace(path)

    def write_acquired(self, acquisition: Acquisition, plan: Plan, path: Path) -> None:
        write_trace(acquisition, plan, path)

    def read_acquired(self, path: Path, plan: Plan) -> Acquisition:
        return read_trace(path, plan)
