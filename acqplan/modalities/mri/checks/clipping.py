"""Readings at the end of the receiver's range."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from acqplan.core.words import named
from acqplan.modalities.mri.sensing import CartesianMRI
from acqplan.plan.plan import Plan
from acqplan.plan.verification import Finding
from acqplan.sensing.acquisition import Acquisition, Scan

_TIES = 4  # equal extremes that are no accident; two are, of a real image


def clipping(plan: Plan, scan: Scan) -> Iterator[Finding]:
    """Readings that the file calls saturated, or whose largest value comes several times."""
    if not isinstance(plan.sensing, CartesianMRI):
        return
    saturated = scan.facts.saturated
    remedy = "Lower the receiver gain and acquire again; clipped readings make streaks and shading."
    if saturated:
        yield Finding(
            "warning",
            "saturation",
            f"{scan.source} has {len(saturated)} saturated readings: {named(list(saturated))}.",
            remedy,
        )
        return
    clipped = [i for i, each in enumerate(scan.acquisitions) if _is_clipped(each)]
    if clipped:
        where = "" if len(scan.acquisitions) == 1 else f" in {len(clipped)} images ({named(clipped)})"
        yield Finding("warning", "saturation", f"{scan.source} reaches its largest value several times{where}.", remedy)


def _is_clipped(acquisition: Acquisition) -> bool:
    """Whether the largest real or imaginary part of different units is the same number several times."""
    values = acquisition.readings
    if values.dtype.kind != "c" or not values.size:
        return False
    if acquisition.order is not None and acquisition.order.size == len(values):
        values = values[np.unique(acquisition.order, return_index=True)[1]]  # repeats may well be equal
    parts = np.ascontiguousarray(values).view(values.real.dtype)
    size = np.abs(parts)
    largest = float(size.max())
    return largest > 0 and math.isfinite(largest) and int((size == largest).sum()) >= _TIES
