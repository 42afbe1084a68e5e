"""More noise than the plan was made for, or far less."""

from __future__ import annotations

import math
from collections.abc import Iterator

from acqplan.modalities.mri.checks.acquired_noise import acquired_noise
from acqplan.modalities.mri.noise import ComplexGaussian
from acqplan.plan.plan import Plan
from acqplan.plan.verification import Finding
from acqplan.sensing.acquisition import Scan

_NOISE_FACTOR = 2.0  # of the plan's noise, beyond which its evidence is too good
_LEAST_NOISE = 0.001  # of the image's peak: what a plan without noise is taken to stand
_FAR_LESS = 4.0  # how many times less noise than the plan's is told


def noise(plan: Plan, scan: Scan) -> Iterator[Finding]:
    """More noise, in relation to the image, than the plan was made for, or far less."""
    level = acquired_noise(scan, plan)
    if level is None or not isinstance(plan.noise, ComplexGaussian):
        return
    how = "it states" if level.is_stated else "by its outermost readings"
    least, most = _prepared_for(plan)
    if math.isfinite(level.std) and level.std > _NOISE_FACTOR * max(most, _LEAST_NOISE):
        yield Finding(
            "warning",
            "noise",
            f"{scan.source} has noise of {level.std:.2g} of the image's peak ({how}), the plan was made for "
            f"{plan.noise.std:.2g}.",
            f"Expect more noise than the plan's evidence shows, or design one with --noise {level.std:.2g}.",
        )
    elif level.at_most < least / _FAR_LESS and least > _FAR_LESS * _LEAST_NOISE:
        wanted = max(level.at_most, _LEAST_NOISE)
        yield Finding(
            "warning",
            "less noise",
            f"{scan.source} has noise of at most {level.at_most:.2g} of the image's peak ({how}), the plan was made "
            f"for {plan.noise.std:.2g}: its network smooths detail away that these data hold.",
            f"Expect no better an image than the plan's evidence shows, or design one with --noise {wanted:.2g}.",
        )


def _prepared_for(plan: Plan) -> tuple[float, float]:
    """Least and most noise of the plan's training, where its network knows which it is; else the plan's own."""
    assert isinstance(plan.noise, ComplexGaussian)
    span = plan.recipe.training.noise_range
    if span is None or not plan.reconstructor.knows_noise:
        return plan.noise.std, plan.noise.std
    return plan.noise.std * min(1, *span), plan.noise.std * max(1, *span)
