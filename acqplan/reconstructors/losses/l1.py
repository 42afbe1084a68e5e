"""Mean absolute error."""

from __future__ import annotations

import torch

from acqplan.core.registry import register
from acqplan.reconstructors.losses.base import Loss, Target, relative, truth_of


@register("losses", "l1")
class MeanAbsoluteError(Loss):
    """‖x − truth‖₁ / ‖truth‖₁, of complex numbers where images are complex."""

    summary = "absolute error over the truth's sum"
    reference = "MAE of LOUPE, arXiv 1907.11374"
    needs_truth = True
    typical = 0.03

    def __call__(self, image: torch.Tensor, target: Target) -> torch.Tensor:
        truth = truth_of(target)
        return relative((image - truth).abs().mean((-2, -1)), truth.abs().mean((-2, -1)))
