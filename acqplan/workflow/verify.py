"""How what was acquired differs from the plan."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from acqplan.plan import verification
from acqplan.plan.verification import Finding
from acqplan.workflow.inputs import PlanOrFile, ScanOrFile, plan_of, scan_of


def verify(
    plan: PlanOrFile,
    acquired: ScanOrFile,
    *,
    acquired_format: str | None = None,
    options: Mapping[str, Any] | None = None,
    assume_plan: bool = False,
    use_planned: bool = False,
) -> list[Finding]:
    """All differences between acquired data and the plan, the gravest first; empty if there are none.

    A finding whose ``severity`` is ``error`` means that no reconstruction can be right.

    Parameters
    ----------
    acquired_format, options
        Kind of the file's format (None: what it contains) and settings to read it with, like
        ``{"sample_rate_hz": 1e6}``.
    assume_plan
        Data that don't say their pattern are this plan's: a warning instead of an error.
    use_planned
        Look only at what was planned, of data that hold more.

    Raises
    ------
    PlanFileError, RecipeError, InstrumentError, AcquisitionError
        A file can't be read, or not with these settings.
    """
    plan = plan_of(plan)
    scan = scan_of(plan, acquired, acquired_format, options)
    if use_planned:
        scan = scan.mapped(plan.planned_only)
    return verification.verify(plan, scan, assume_plan=assume_plan)
