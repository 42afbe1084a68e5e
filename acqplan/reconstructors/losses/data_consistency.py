"""Distance to what was measured."""

from __future__ import annotations

import torch

from acqplan.core.registry import register
from acqplan.reconstructors.losses.base import Loss, Target


@register("losses", "data-consistency")
class DataConsistency(Loss):
    """Σ counts|Ax − y|² / (pixels · rms²), rms that of the zero-filled image.

    With weight 1 beside `wavelet` and `tv`, the sum is the objective of the classical solver ``hqs`` of the same
    weights, over pixels · rms².
    """

    summary = "squared distance to the measured coefficients"
    reference = "first term of eq. 1, arXiv 2007.14979"
    needs_truth = False
    typical = 2e-4

    def __call__(self, image: torch.Tensor, target: Target) -> torch.Tensor:
        sensing = target.sensing
        misfit = (sensing.coefficients(image) - target.coefficients).abs().square()
        weighted = (sensing.per_unit(target.counts) * misfit).flatten(1).sum(1)
        return weighted / (image[0].numel() * target.scale[:, 0, 0].square())
