"""A difference between a plan and what was acquired, and the list of all of them.

Checks that every instrument needs are in `units`, others are the modality's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from acqplan.core.errors import AcquisitionError
from acqplan.plan.plan import Plan
from acqplan.sensing.acquisition import Acquisition, Scan

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


UNSTATED = "unstated pattern"
"""Subject of the finding that data don't say what they were acquired with."""

_NAMED = 8  # numbers named in one finding

Check = Callable[[Plan, Scan], Iterable[Finding]]


def verify(plan: Plan, scan: Scan, *, assume_plan: bool = False) -> list[Finding]:
    """All differences between ``scan`` and ``plan``, the gravest first; empty if there are none.

    With ``assume_plan``, data that don't say what they were acquired with give a warning instead of an error.
    """
    found = [finding for check in checks_of(plan) for finding in check(plan, scan)]
    if assume_plan:
        found = [Finding("warning", each.subject, each.text) if each.subject == UNSTATED else each for each in found]
    return sorted(found, key=lambda each: SEVERITIES.index(each.severity))


def checks_of(plan: Plan) -> tuple[Check, ...]:
    """The checks that every instrument's data go through, and those of this one."""
    from acqplan.plan.verification import units

    return (units.pattern, units.readings, units.order, *plan.modality.checks())


def gathered(scan: Scan, check: Callable[[Acquisition], Iterable[Finding]]) -> Iterator[Finding]:
    """What ``check`` finds in each image of a scan, told once for all the images that it is true of.

    The findings of ``check`` have texts without a subject (``lacks 3 lines.``); here they get the scan's.
    """
    images: dict[Finding, list[int]] = {}
    for i, acquisition in enumerate(scan.acquisitions):
        for finding in check(acquisition):
            images.setdefault(finding, []).append(i)
    n = len(scan.acquisitions)
    for finding, where in images.items():
        place = "" if len(where) == n else f", in {len(where)} of {n} images ({named(where)}),"
        yield replace(finding, text=f"{scan.source}{place} {finding.text}")


def named(numbers: Sequence[int]) -> str:
    """``1, 2, 3``, of many only the first few."""
    some = ", ".join(map(str, numbers[:_NAMED]))
    return f"{some}, …" if len(numbers) > _NAMED else some


def refuse_errors(findings: Iterable[Finding]) -> None:
    """Raise one `AcquisitionError` that names every finding that is an error."""
    errors = [each for each in findings if each.severity == "error"]
    if errors:
        remedies = dict.fromkeys(each.remedy for each in errors if each.remedy)
        raise AcquisitionError(" ".join(each.text for each in errors), " ".join(remedies))
