"""Prediction of readings that the network wasn't shown."""

from __future__ import annotations

import torch

from acqplan.core.registry import register
from acqplan.reconstructors.losses.base import Loss, Target, relative


@register("losses", "held-back")
class HeldBack(Loss):
    """‖Ax − y‖₂/‖y‖₂ + ‖Ax − y‖₁/‖y‖₁ over measured units that were held back from the network.

    Training draws anew, at every step, the share ``hold_back`` of each image's measured units (never of its
    calibration region, and more where the pattern is sparse), hands the network the rest, and compares its prediction
    with them: a network learns from under-sampled scans alone, with no prior written by hand.
    """

    summary = "prediction of measured units that were held back from the network (self-supervised, SSDU)"
    reference = "SSDU, Yaman et al. 2020, arXiv 1912.07669, eq. 5"
    needs_truth = False
    typical = 0.5

    def __call__(self, image: torch.Tensor, target: Target) -> torch.Tensor:
        if target.held_back is None:
            raise ValueError("nothing was held back")
        sensing = target.sensing
        weight = sensing.per_unit(target.held_back)
        difference = (sensing.coefficients(image) - target.coefficients).abs()
        size = target.coefficients.abs()

        def total(values: torch.Tensor) -> torch.Tensor:
            return (weight * values).flatten(1).sum(1)

        squared = relative(total(difference.square()), total(size.square()))
        # The root's slope at 0 has no bound: nothing held back of an empty image gives 0.
        return squared.clamp(min=1e-12).sqrt() + relative(total(difference), total(size))
