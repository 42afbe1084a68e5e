"""A difference between a plan and what was acquired, and the list of all of them.

Each module of this package holds checks of one kind; `CHECKS` names them. What a scan's `facts` may state:

======================  ==================================================================
name                    value
======================  ==================================================================
``matrix``              [readout, ky, kz] of the acquired grid
``field_of_view_mm``    [readout, ky, kz]
``channels``            number of receive coils
``noise_std``           √E|n|² of a reading, in the units of the readings
``saturated``           int list: positions in the order of acquisition of clipped readings
======================  ==================================================================
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Literal

from acqplan.acquisition import Scan
from acqplan.plan import Plan

Severity = Literal["note", "warning", "error"]
SEVERITIES: tuple[Severity, ...] = ("error", "warning", "note")


@dataclass(frozen=True)
class Finding:
    """One difference.

    ``error``: a reconstruction can't be right. ``warning``: it is worse than the plan's evidence, or may be.
    ``note``: worth knowing. ``subject`` is a word or two (``missing``, ``order``), ``text`` one sentence with the
    numbers, ``remedy`` what to do about it or "".
    """

    severity: Severity
    subject: str
    text: str
    remedy: str = ""


Check = Callable[[Plan, Scan], Iterable[Finding]]


def verify(plan: Plan, scan: Scan, *, assume_plan: bool = False) -> list[Finding]:
    """All differences between ``scan`` and ``plan``, the gravest first; empty if there are none.

    With ``assume_plan``, data that don't say what they were acquired with give a warning instead of an error.
    """
    from acqplan.verification.checks import CHECKS

    found = [finding for check in CHECKS for finding in check(plan, scan)]
    if assume_plan:
        found = [
            Finding("warning", each.subject, each.text) if each.subject == "unstated pattern" else each
            for each in found
        ]
    return sorted(found, key=lambda each: SEVERITIES.index(each.severity))
