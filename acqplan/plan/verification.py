"""How what was acquired differs from the plan: every difference found before anything is reconstructed.

Here is what every instrument's data can be checked for: which units, in which order, and readings that can be right.
What else there is to check, the modality knows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from acqplan.core.errors import AcquisitionError
from acqplan.core.words import named
from acqplan.plan.plan import ASSUME_PLAN, ASSUMING_COSTS, MISSING_AT_MOST, Plan
from acqplan.sensing.acquisition import Acquisition, Scan
from acqplan.sensing.measurement import MISFIT_REMEDY, misfit_text, misfits
from acqplan.sensing.pattern import IntArray

Severity = Literal["note", "warning", "error"]
SEVERITIES: tuple[Severity, ...] = ("error", "warning", "note")


@dataclass(frozen=True)
class Finding:
    """One difference.

    ``error``: a reconstruction can't be right. ``warning``: it is worse than the plan's evidence, or may be.
    ``note``: worth knowing. ``subject`` is a word or two (``missing``, ``order``), ``text`` one sentence with the
    numbers, ``remedy`` what to do about it, or what it costs to go on; only a note may do without.
    """

    severity: Severity
    subject: str
    text: str
    remedy: str = ""

    def __post_init__(self) -> None:
        if not self.remedy and self.severity != "note":
            raise ValueError(f"the finding {self.subject!r} has no remedy")


MISFIT = "misfit"
"""Subject of the finding that some readings can't belong to the rest."""
UNSTATED = "unstated pattern"
"""Subject of the finding that data don't say what they were acquired with."""

Check = Callable[[Plan, Scan], Iterable[Finding]]


def verify(plan: Plan, scan: Scan, *, assume_plan: bool = False) -> list[Finding]:
    """All differences between ``scan`` and ``plan``, the gravest first; empty if there are none.

    With ``assume_plan``, data that don't say what they were acquired with give a warning instead of an error.
    """
    found: list[Finding] = []
    for check in checks_of(plan):
        if any(each.subject == MISFIT for each in found):
            break  # what such readings say of noise or light means nothing
        found += check(plan, scan)
    if assume_plan:
        found = [
            Finding("warning", each.subject, each.text, f"This plan's was assumed. {ASSUMING_COSTS}")
            if each.subject == UNSTATED
            else each
            for each in found
        ]
    return sorted(dict.fromkeys(found), key=lambda each: SEVERITIES.index(each.severity))


def checks_of(plan: Plan) -> tuple[Check, ...]:
    """The checks that every instrument's data go through, and those of this one."""
    return (_pattern, _readings, _order, *plan.modality.checks())


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


def other_numbers(plan: Plan) -> list[Finding]:
    """That the network gives another image here than on the machine that finished the plan, by the plan's test vector.

    With the same version of torch on such a processor nothing is computed; elsewhere one image is, once for a plan.
    """
    if plan.vector is None or plan.vector.is_of_this_machine:
        return []
    found = plan.deviation
    if found is None or found.is_within:
        return []
    return [
        Finding(
            "warning",
            "other numbers",
            f"The plan was finished with {found.made_on}; here, with {found.here}, its images are other ones: its test "
            f"vector deviates by {found.largest:.1e}, where rounding explains {found.tolerance:.1e}.",
            f"Reconstruct with torch {plan.vector.machine['torch']}; acqplan test PLAN compares again.",
        )
    ]


def refuse_errors(findings: Iterable[Finding]) -> None:
    """Raise one `AcquisitionError` that names every finding that is an error."""
    errors = [each for each in findings if each.severity == "error"]
    if errors:
        remedies = dict.fromkeys(each.remedy for each in errors if each.remedy)
        raise AcquisitionError(" ".join(each.text for each in errors), " ".join(remedies))


def _pattern(plan: Plan, scan: Scan) -> Iterator[Finding]:
    """Another pattern, or none stated; units missing, not planned, or measured more or less often than planned."""
    return gathered(scan, _once_an_order(lambda acquisition: list(_of_one(plan, acquisition))))


def _once_an_order(check: Callable[[Acquisition], list[Finding]]) -> Callable[[Acquisition], list[Finding]]:
    """``check``, not repeated for acquisitions that share one order in memory, as the images of a volume do."""
    known: list[tuple[object, tuple[object, ...], list[Finding]]] = []

    def checked(acquisition: Acquisition) -> list[Finding]:
        order, stated = acquisition.order, (acquisition.pattern_digest, acquisition.states_pattern)
        if not (known and known[0][0] is order and known[0][1] == stated):
            known[:] = [(order, stated, check(acquisition))]
        return known[0][2]

    return checked


def _of_one(plan: Plan, acquisition: Acquisition) -> Iterator[Finding]:
    order = acquisition.order
    if not acquisition.states_pattern:
        yield Finding(
            "error",
            UNSTATED,
            "doesn't say which pattern it was acquired with.",
            ASSUME_PLAN,
        )
    name = plan.sensing.unit_name
    mask, planned = plan.pattern.mask, plan.pattern.counts
    if order is not None:
        extra = _extra(order, plan)
        missing_share = 1 - np.intersect1d(order, np.flatnonzero(mask)).size / int(mask.sum())
        if extra.size and missing_share <= MISSING_AT_MOST:
            yield Finding(
                "error",
                "extra",
                f"holds {extra.size} {name}s that the plan doesn't measure, besides the plan's own.",
                "Take the planned ones alone with --use-planned, or pass the plan that it was acquired with.",
            )
            return
    try:
        plan.check_acquisition(acquisition, assume_plan=True)
    except AcquisitionError as error:
        yield Finding("error", "pattern", error.problem.removeprefix(f"{acquisition.source} "), error.remedy)
        return
    if order is None:
        return
    counts = np.bincount(order, minlength=planned.size)
    missing, repeated = np.flatnonzero((counts == 0) & (planned > 0)), np.flatnonzero(counts > planned)
    if missing.size:
        yield Finding(
            "warning",
            "missing",
            f"lacks {missing.size} of the {int((planned > 0).sum())} planned {name}s: {named(missing.tolist())}.",
            "They are reconstructed as not measured.",
        )
    fewer = np.flatnonzero((counts > 0) & (counts < planned))
    if fewer.size:
        yield Finding(
            "note",
            "fewer repeats",
            f"measured {fewer.size} {name}s less often than planned: {named(fewer.tolist())}.",
            "Their readings are noisier.",
        )
    if repeated.size:
        yield Finding(
            "note",
            "repeated",
            f"measured {repeated.size} {name}s more often than planned: {named(repeated.tolist())}.",
            "Repeats are averaged.",
        )


def _extra(order: IntArray, plan: Plan) -> IntArray:
    """int32: units of an order that the plan's pattern doesn't hold, each once."""
    units = np.unique(order)
    mask = plan.pattern.mask
    known = (units >= 0) & (units < mask.size)
    known[known] = mask[units[known]]
    found: IntArray = units[~known]
    return found


def _readings(plan: Plan, scan: Scan) -> Iterator[Finding]:
    """Readings of another number or shape than planned, not finite, or zero everywhere."""
    yield from gathered(scan, lambda acquisition: _of_readings(plan, acquisition))
    is_zero = [not each.readings.any() for each in scan.acquisitions]
    if all(is_zero):
        yield Finding("error", "empty", f"{scan.source} is zero everywhere.", "Check that the detector was connected.")
    elif any(is_zero):
        zero = [i for i, is_one in enumerate(is_zero) if is_one]
        yield Finding("note", "empty", f"{scan.source} is zero everywhere in {len(zero)} images: {named(zero)}.")


def _of_readings(plan: Plan, acquisition: Acquisition) -> Iterator[Finding]:
    values = acquisition.readings
    n = acquisition.units(plan.pattern).size
    expected = plan.sensing.acquired_shape(tuple(values.shape[1:]))
    if values.shape != (n, *expected):
        yield Finding(
            "error",
            "shape",
            f"holds readings of shape {values.shape}, the plan's pattern gives {(n, *expected)}.",
            "Pass the plan that it was acquired with.",
        )
        return
    bad = int((~np.isfinite(values).reshape(len(values), -1).all(1)).sum())
    if bad:
        yield Finding(
            "error", "not finite", f"has {bad} readings with NaN or infinite values.", "Repair or re-acquire them."
        )
        return
    far = misfits(values, plan.sensing)
    if far.size:
        yield Finding("error", MISFIT, misfit_text(values, far), MISFIT_REMEDY)


def _order(plan: Plan, scan: Scan) -> Iterator[Finding]:
    """The planned units in another order than planned."""
    planned = _once(plan.pattern.order)

    def check(acquisition: Acquisition) -> list[Finding]:
        if acquisition.order is None or _extra(acquisition.order, plan).size:
            return []
        acquired = _once(acquisition.order)
        if np.array_equal(acquired, planned[np.isin(planned, acquired)]):
            return []
        return [Finding("note", "order", "was acquired in another order than planned.")]

    return gathered(scan, _once_an_order(check))


def _once(order: IntArray) -> IntArray:
    """Each unit where it comes first."""
    units: IntArray = order[np.sort(np.unique(order, return_index=True)[1])]
    return units
