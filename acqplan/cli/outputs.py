"""Numbers of a command as JSON: a file, or standard output alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from acqplan.cli import console


def check_json(target: str | None, overwrite: bool) -> None:
    from acqplan.workflow.results import check_result

    if target is not None and target != "-":
        check_result(Path(target), overwrite=overwrite)


def write_json(table: dict[str, Any], target: str | None, overwrite: bool) -> None:
    from acqplan.workflow.results import result_text, write_result

    if target == "-":
        console.output(result_text(table))
    elif target is not None:
        write_result(table, Path(target), overwrite=overwrite)
        console.note(f"Written: {target}")
