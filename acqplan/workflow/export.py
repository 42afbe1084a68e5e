"""A plan's pattern as the files that an instrument loads."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from acqplan.core import registry
from acqplan.core.errors import InstrumentError, RecipeError
from acqplan.core.files import check_writable
from acqplan.formats.contracts import FileFormat, PatternFormat, pattern_format
from acqplan.formats.export import MANIFEST
from acqplan.formats.export import export as export_files
from acqplan.plan.components import Component, check_options
from acqplan.workflow.inputs import PlanOrFile, plan_of


@dataclass(frozen=True)
class Export:
    """What was written.

    Parameters
    ----------
    folder
        Where.
    files
        All files in it, sorted.
    manifest
        JSON-ready: format, plan and pattern, and what else the format states (``scan_time_s``, …).
    remarks
        What a person should know before playing the files; one sentence each.
    """

    folder: Path
    files: list[Path]
    manifest: dict[str, Any] = field(default_factory=dict)
    remarks: list[str] = field(default_factory=list)


def export(
    plan: PlanOrFile,
    to: str,
    folder: str | Path,
    *,
    options: Mapping[str, Any] | None = None,
    overwrite: bool = False,
) -> Export:
    """Write a plan's pattern as the files that an instrument loads; read back and compared before they appear.

    Parameters
    ----------
    to
        Kind of the format, like ``bart`` or ``dmd-tiff``.
    options
        Settings of the format, by name, like ``{"device": "1920x1080", "scale": 8}``.
    overwrite
        Replace a folder that is an export.

    Raises
    ------
    RecipeError
        There is no such format, or it doesn't take these settings.
    InstrumentError
        The plan can't be played (every reason is named).
    OutputError
        The folder exists (without ``overwrite``), is no export, or can't be written.
    """
    target = Path(folder)
    check_writable(target, overwrite=overwrite)
    instrument = format_with(to, options)
    plan = plan_of(plan)
    export_files(plan, instrument, target, overwrite=overwrite)
    files = sorted(path for path in target.rglob("*") if path.is_file())
    manifest = json.loads((target / MANIFEST).read_text(encoding="utf-8"))
    return Export(target, files, manifest, pattern_format(instrument).remarks(plan))


def format_with(kind: str, settings: Mapping[str, Any] | None = None) -> FileFormat:
    """The format ``kind`` with these settings; `RecipeError` if it doesn't know or take one of them."""
    given = dict(settings or {})
    check_options("instruments", Component(kind, given))
    try:
        instrument: FileFormat = registry.find("instruments", kind)(**given)
    except (TypeError, ValueError) as error:
        raise RecipeError(f"The settings {given} don't fit the format {kind!r}: {error}.", "Correct them.") from error
    return instrument


def format_of(folder: Path) -> PatternFormat:
    """The format that an exported folder's manifest names; `InstrumentError` if it is no exported folder."""
    try:
        kind = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))["format"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InstrumentError(f"{folder} is no exported folder.", "Pass a folder made by acqplan export.") from error
    return pattern_format(format_with(str(kind)))
