"""The way out of a pattern: checked, written, read back and compared; the folder appears whole or not at all."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

import acqplan
from acqplan.core.claims import check_claim
from acqplan.core.errors import InstrumentError
from acqplan.core.files import atomic_folder, readable
from acqplan.formats.contracts import Exported, FileFormat, check_takes, pattern_format
from acqplan.plan.plan import Plan
from acqplan.sensing.pattern import Pattern

MANIFEST = "manifest.json"
EXPORT_AGAIN = "Export the plan again."
_BYTES = 8  # of a unit while patterns are compared


def export(plan: Plan, form: FileFormat, folder: Path, *, overwrite: bool = False) -> None:
    """Check, write, read back, compare bit for bit, and only then rename into place.

    Raises
    ------
    InstrumentError
        The format holds no patterns or not of such a plan, the plan can't be played (every reason is listed), or what
        was read back differs.
    OutputError
        ``folder`` exists (without ``overwrite``) or can't be written.
    """
    check_takes(form, plan)
    instrument = pattern_format(form)
    problems = instrument.check(plan)
    if problems:
        raise InstrumentError(" ".join(problems), "Change the device's settings or design a plan that fits it.")
    with atomic_folder(folder, overwrite=overwrite) as temporary:
        details = instrument.write(plan, temporary)
        manifest = {
            "format": instrument.kind,
            "software": f"acqplan {acqplan.__version__}",
            "plan_id": plan.plan_id,
            "pattern_digest": plan.pattern.digest,
            "sensing": {"kind": plan.sensing.kind, **plan.sensing.spec()},
            "n_readings": plan.pattern.n_readings,
            "n_units": plan.pattern.n_units,
            "unit": plan.sensing.unit_name,
            "calibration": plan.pattern.calibration.tolist(),
            **details,
        }
        (temporary / MANIFEST).write_text(json.dumps(manifest, indent=2) + "\n", encoding="utf-8")
        back = instrument.read(temporary)
        if back.pattern != plan.pattern or back.plan_id != plan.plan_id:
            raise InstrumentError(
                f"The files written as {instrument.kind!r} don't read back as the plan's pattern.",
                "This is a fault of acqplan or of the disk; nothing was left under the final name.",
            )


def read_manifest(folder: Path, kind: str) -> dict[str, Any]:
    """The manifest of a folder exported as ``kind``; `InstrumentError` if there is none or it's another's."""
    path = folder / MANIFEST
    remedy = "Pass a folder made by acqplan export."
    with readable(path, InstrumentError, remedy):
        manifest = json.loads(path.read_text(encoding="utf-8"))
    if not isinstance(manifest, dict) or not isinstance(manifest.get("plan_id"), str):
        raise InstrumentError(f"{path} is no manifest of acqplan.", remedy)
    if manifest.get("format") != kind:
        raise InstrumentError(f"{folder} was exported as {manifest.get('format')!r}, expected {kind!r}.", remedy)
    return manifest


def exported(
    pattern: Pattern, manifest: dict[str, Any], source: Path, details: dict[str, Any] | None = None
) -> Exported:
    """What a folder plays, once the pattern read from its files is the one that the manifest tells of.

    Raises
    ------
    InstrumentError
        ``source`` was changed since the export, or belongs to another one.
    """
    if pattern.digest != manifest.get("pattern_digest"):
        raise InstrumentError(
            f"{source} doesn't play the pattern that its manifest tells of: it was changed or mixed up.", EXPORT_AGAIN
        )
    return Exported(pattern, manifest["plan_id"], details or {})


def pattern_from(order: npt.NDArray[np.integer[Any]], manifest: dict[str, Any], source: Path) -> Pattern:
    """The pattern of an order read from files and the manifest's calibration; `InstrumentError` if they don't fit."""
    try:
        return pattern_of(order, int(manifest["n_units"]), np.asarray(manifest["calibration"], np.int64))
    except (KeyError, ValueError, TypeError, OverflowError) as error:
        raise InstrumentError(f"{source} doesn't fit its manifest: {error}.", EXPORT_AGAIN) from error


def pattern_of(order: npt.NDArray[np.integer[Any]], n_units: int, calibration: npt.NDArray[Any]) -> Pattern:
    """The pattern that files state; `ValueError` if it is none, or its catalogue is too large for such an ``order``."""
    check_claim(_BYTES * n_units, _BYTES * order.size, f"its catalogue of {n_units} units")
    return Pattern(order.astype(np.int64), n_units, calibration)
