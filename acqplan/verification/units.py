"""What every instrument's data can be checked for: which units, in which order, and finite readings."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from acqplan.acquisition import Acquisition, Scan
from acqplan.errors import AcquisitionError
from acqplan.pattern import IntArray
from acqplan.plan import Plan
from acqplan.verification.base import Finding

_NAMED = 8  # units named in one finding


def _each(plan: Plan, scan: Scan) -> Iterator[tuple[str, Acquisition]]:
    """Acquisitions that can differ in what these checks look at, with what to call them."""
    several = len(scan.acquisitions) > 1
    for i, acquisition in enumerate(scan.acquisitions):
        yield (f"{scan.source}, image {i}" if several else scan.source), acquisition


def pattern(plan: Plan, scan: Scan) -> Iterator[Finding]:
    """Another pattern, or none stated; units missing or measured more often than planned."""
    said: set[str] = set()
    planned = plan.pattern.counts
    name = plan.sensing.unit_name
    for source, acquisition in _each(plan, scan):
        for finding in _of_one(plan, planned, name, source, acquisition):
            if finding.text not in said:
                said.add(finding.text)
                yield finding


def _of_one(plan: Plan, planned: IntArray, name: str, source: str, acquisition: Acquisition) -> Iterator[Finding]:
    if not acquisition.states_pattern:
        yield Finding(
            "error",
            "unstated pattern",
            f"{source} doesn't say which pattern it was acquired with.",
            "If you are sure that it was this plan's, pass --assume-plan.",
        )
    try:
        plan.check_acquisition(acquisition, assume_plan=True)
    except AcquisitionError as error:
        yield Finding("error", "pattern", error.problem, error.remedy)
        return
    if acquisition.order is None:
        return
    counts = np.bincount(acquisition.order, minlength=planned.size)
    missing, repeated = np.flatnonzero((counts == 0) & (planned > 0)), np.flatnonzero(counts > planned)
    if missing.size:
        yield Finding(
            "warning",
            "missing",
            f"{source} lacks {missing.size} of the {int((planned > 0).sum())} planned {name}s: {_named(missing)}.",
            "They are reconstructed as not measured.",
        )
    fewer = np.flatnonzero((counts > 0) & (counts < planned))
    if fewer.size:
        yield Finding(
            "note",
            "fewer repeats",
            f"{source} measured {fewer.size} {name}s less often than planned: {_named(fewer)}.",
            "Their readings are noisier.",
        )
    if repeated.size:
        yield Finding(
            "note",
            "repeated",
            f"{source} measured {repeated.size} {name}s more often than planned: {_named(repeated)}.",
            "Repeats are averaged.",
        )


def readings(plan: Plan, scan: Scan) -> Iterator[Finding]:
    """Readings that aren't finite, or are zero everywhere."""
    for source, acquisition in _each(plan, scan):
        values = acquisition.readings
        finite = np.isfinite(values).reshape(len(values), -1).all(1)
        if not finite.all():
            yield Finding(
                "error",
                "not finite",
                f"{source} has {int((~finite).sum())} readings with NaN or infinite values.",
                "Repair or re-acquire them.",
            )
        elif len(values) and not values.any():
            yield Finding("error", "empty", f"{source} is zero everywhere.", "Check that the detector was connected.")


def order(plan: Plan, scan: Scan) -> Iterator[Finding]:
    """The planned units in another order than planned."""
    planned = _once(plan.pattern.order)
    for source, acquisition in _each(plan, scan):
        if acquisition.order is None or not plan.pattern.mask[acquisition.order].all():
            continue
        acquired = _once(acquisition.order)
        if not np.array_equal(acquired, planned[np.isin(planned, acquired)]):
            yield Finding("note", "order", f"{source} was acquired in another order than planned.")
            return


def _once(order: IntArray) -> IntArray:
    """Each unit where it comes first."""
    units: IntArray = order[np.sort(np.unique(order, return_index=True)[1])]
    return units


def _named(units: npt.NDArray[np.integer[Any]]) -> str:
    some = ", ".join(map(str, units[:_NAMED].tolist()))
    return f"{some}, …" if units.size > _NAMED else some
