"""A microscope's plan and sample, small."""

from __future__ import annotations

from typing import Any

import numpy as np

from acqplan.plan.plan import Plan
from builders.plans import make_plan
from builders.sensing import dmd

SIDE = 16


def low_plan(scheme: str = "pairs", photons: float = 300.0, n: int = 128) -> Plan:
    """The lowest frequencies; the reference unit, where there is one, before every 16th."""
    sensing = dmd(SIDE, SIDE, scheme=scheme)
    order = np.argsort(sensing.distance(), kind="stable")[:n]
    if sensing.reference_unit is not None:
        order = np.insert(order, range(16, n, 16), 0)
    return make_plan(sensing, order, reading_time_s=1e-4, noise={"photons": photons})


def soft_spots(seed: int = 0) -> Any:
    """A few soft spots on a faint ground, at most 1."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:SIDE, :SIDE]
    image = np.full((SIDE, SIDE), 0.05)
    for _ in range(5):
        centre, width = rng.uniform(0, SIDE, 2), rng.uniform(1, 3)
        image += np.exp(-((y - centre[0]) ** 2 + (x - centre[1]) ** 2) / (2 * width**2))
    return (image / image.max()).astype(np.float32)
