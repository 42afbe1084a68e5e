"""What the functions of this package take: a plan or its file, acquired data or their file, someone who follows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from acqplan.core.errors import RecipeError
from acqplan.formats.lookup import acquired_file, for_acquired
from acqplan.plan.plan import Plan
from acqplan.sensing.acquisition import Scan
from acqplan.sensing.noise import NoiseModel

PlanOrFile = Plan | str | Path
"""A plan, or the name of its file."""

ScanOrFile = Scan | str | Path
"""Acquired data, or the name of their file."""


def plan_of(plan: PlanOrFile) -> Plan:
    """The plan itself, or that of a file (`PlanFileError` if it isn't one)."""
    return plan if isinstance(plan, Plan) else Plan.load(plan)


def scan_of(
    plan: Plan,
    acquired: ScanOrFile,
    acquired_format: str | None = None,
    options: Mapping[str, Any] | None = None,
) -> Scan:
    """The scan itself, or that of a file.

    Parameters
    ----------
    acquired
        Of a name without suffix the suffix is found, if one file alone fits.
    acquired_format
        Kind of the file's format; None: what its content, or else its name, says.
    options
        Settings of the format, by name.

    Raises
    ------
    RecipeError, InstrumentError, AcquisitionError
        There is no such format or setting, or the file can't be read; see `for_acquired` and the format's reader.
    """
    if isinstance(acquired, Scan):
        return acquired
    path = acquired_file(Path(acquired))
    return for_acquired(path, acquired_format, options).read_scan(path, plan)


def noise_with(plan: Plan, changed: Mapping[str, float]) -> NoiseModel:
    """The plan's noise with some of its settings changed; `RecipeError` for one that it doesn't have."""
    try:
        model: NoiseModel = replace(plan.noise, **changed)  # type: ignore[type-var]
    except TypeError as error:
        raise RecipeError(
            f"The plan's noise {plan.noise.kind} has no setting {', '.join(changed)}.", "Leave it out."
        ) from error
    return model
