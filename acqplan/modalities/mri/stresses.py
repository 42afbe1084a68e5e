"""What may be otherwise than planned at an MRI scanner."""

from __future__ import annotations

import numpy as np

from acqplan.modalities.mri.settings import MRISettings
from acqplan.plan.plan import Plan
from acqplan.plan.stress import Stress
from acqplan.sensing.pattern import Pattern


def stresses(plan: Plan) -> tuple[Stress, ...]:
    """Of several coils: a calibration region of half the width, from which their maps are then estimated."""
    own = plan.recipe.instrument
    if not isinstance(own, MRISettings) or (own.coils or 1) == 1:
        return ()
    narrow = with_narrow_calibration(plan)
    if narrow is None:
        return ()
    words = "half the width of the calibration region"
    return (Stress("narrow-calibration", words, pattern=narrow),)


def with_narrow_calibration(plan: Plan) -> Pattern | None:
    """The plan's pattern without the outer part of its calibration region; None where there is nothing to leave out."""
    pattern, sensing = plan.pattern, plan.sensing
    width = sensing.measured_width(pattern.calibration)
    inner = sensing.calibration_units(width // 2)
    outer = np.setdiff1d(pattern.calibration, inner)
    if inner.size == 0 or outer.size == 0:
        return None
    return Pattern(pattern.order[~np.isin(pattern.order, outer)], pattern.n_units, inner)
