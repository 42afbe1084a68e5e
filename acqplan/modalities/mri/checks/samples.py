"""Samples of k-space and how far out they are: what several checks look at."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from acqplan.plan.plan import Plan
from acqplan.sensing.acquisition import Acquisition, Scan

SHELL = 0.125  # share of the samples that each shell holds

_LOOKED_AT = 16  # images, evenly over a scan, first and last included

Array = npt.NDArray[Any]


def looked_at(scan: Scan) -> Sequence[int]:
    """Numbers of the images that are enough to know what is true of all."""
    n = len(scan.acquisitions)
    chosen: list[int] = np.unique(np.linspace(0, n - 1, min(n, _LOOKED_AT)).round().astype(int)).tolist()
    return chosen


def distances(plan: Plan, acquisition: Acquisition) -> Array | None:
    """float64[m]: distance from the centre of k-space of each sample, as of `power_of`; None if the data don't fit."""
    sensing, readings = plan.sensing, acquisition.readings
    order = acquisition.units(plan.pattern)
    fits = readings.ndim == 1 + len(sensing.reading_shape) and len(readings) == order.size > 0
    if not fits or readings.shape[2:] != sensing.reading_shape[1:] or order.min() < 0 or order.max() >= sensing.n_units:
        return None
    distance = sensing.distance()[order]
    if readings.ndim == 3:
        n = readings.shape[2]
        distance = np.hypot(distance[:, None], (np.arange(n) - n // 2) / (n / 2)).ravel()
    return np.asarray(distance)


def power_of(acquisition: Acquisition) -> Array:
    """float64[coils, m]: |reading|² of each sample."""
    power = np.square(np.abs(acquisition.readings).astype(np.float64))
    return np.asarray(np.moveaxis(power, 1, 0).reshape(power.shape[1], -1))


def outermost(distance: Array, start: float, stop: float) -> npt.NDArray[np.bool_]:
    """bool[m]: samples whose rank from the outside is from the share ``start`` to the share ``stop`` of all."""
    ranks = np.empty(distance.size, int)
    ranks[np.argsort(-distance, kind="stable")] = np.arange(distance.size)
    return (ranks >= start * distance.size) & (ranks < max(stop * distance.size, 1))
