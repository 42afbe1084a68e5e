"""Numbers of an evaluation or a comparison in a JSON file."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

from acqplan.core.files import atomic_file, check_writable

RESULT_FORMAT = "acqplan-result"


def json_ready(value: Any) -> Any:
    """``value`` with numbers that JSON can't hold (a PSNR of equal images is infinite) as None."""
    if isinstance(value, dict):
        return {str(key): json_ready(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [json_ready(entry) for entry in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def result_text(table: dict[str, Any]) -> str:
    """JSON of a table of results."""
    return json.dumps(json_ready(table), indent=2, allow_nan=False) + "\n"


def check_result(path: Path, *, overwrite: bool = False) -> None:
    """Raise `OutputError` if ``path`` can't be written; an earlier result may be replaced."""
    check_writable(path, overwrite=overwrite or _is_result(path))


def write_result(table: dict[str, Any], path: Path, *, overwrite: bool = False) -> None:
    """Write a table of results; `OutputError` as of `check_result`."""
    with atomic_file(path, overwrite=overwrite or _is_result(path)) as temporary:
        temporary.write_text(result_text(table), encoding="utf-8")


def _is_result(path: Path) -> bool:
    try:
        table = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return isinstance(table, dict) and table.get("format") == RESULT_FORMAT
