"""What any plan may meet that it wasn't trained for."""

from __future__ import annotations

import numpy as np

from acqplan.core.seeding import numpy_generator
from acqplan.learning.evaluation import Scene
from acqplan.plan.plan import Plan
from acqplan.plan.stress import Stress
from acqplan.sensing.pattern import Pattern

NOISE_FACTORS = (0.5, 2.0, 4.0)
SHARE = 0.25  # of the readings, dropped or added


def scene_of(plan: Plan, stress: Stress | None = None) -> Scene:
    """The plan as it was meant, or under a stress."""
    if stress is None:
        return Scene(plan.sensing, plan.pattern, plan.noise)
    return Scene(plan.sensing, stress.pattern or plan.pattern, stress.noise or plan.noise, stress.spoil)


def shared_stresses(plan: Plan, seed: int = 0) -> tuple[Stress, ...]:
    """Those that every instrument may meet: more and less noise, readings dropped and added."""
    found = [
        Stress(f"noise-{factor:g}x", f"noise × {factor:g}", noise=plan.noise.times(factor)) for factor in NOISE_FACTORS
    ]
    fewer, more = with_fewer(plan.pattern, plan.sensing.reference_unit, seed), with_more(plan)
    if fewer is not None:
        found.append(Stress("readings-dropped", f"{SHARE:.0%} of the readings dropped", pattern=fewer))
    if more is not None:
        found.append(Stress("readings-added", f"{SHARE:.0%} more readings", pattern=more))
    return tuple(found)


def with_fewer(pattern: Pattern, reference: int | None, seed: int) -> Pattern | None:
    """The pattern without `SHARE` of its readings, at random; the calibration region and the reference unit stay."""
    free = np.flatnonzero(~np.isin(pattern.order, pattern.fixed(reference)))
    n = round(SHARE * pattern.n_readings)
    if n == 0 or n > free.size:
        return None
    lost = numpy_generator(seed, "dropped readings").choice(free, n, replace=False)
    return Pattern(np.delete(pattern.order, lost), pattern.n_units, pattern.calibration)


def with_more(plan: Plan) -> Pattern | None:
    """The plan's pattern and `SHARE` more readings: of the units that it doesn't measure, the nearest to the centre."""
    pattern = plan.pattern
    unmeasured = np.flatnonzero(~pattern.mask)
    n = round(SHARE * pattern.n_readings)
    if n == 0 or n > unmeasured.size:
        return None
    nearest = unmeasured[np.argsort(plan.sensing.distance()[unmeasured], kind="stable")[:n]]
    return Pattern(np.concatenate([pattern.order, nearest]), pattern.n_units, pattern.calibration)
