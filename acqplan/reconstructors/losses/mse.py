"""Mean squared error."""

from __future__ import annotations

import torch

from acqplan.core.registry import register
from acqplan.reconstructors.losses.base import Loss, Target, relative, truth_of


@register("losses", "mse")
class MeanSquaredError(Loss):
    """‖x − truth‖² / ‖truth‖²: a dim image counts as much as a bright one."""

    summary = "squared error over the truth's energy"
    reference = "NMSE as in fastMRI, arXiv 1811.08839"
    needs_truth = True
    typical = 1e-3

    def __call__(self, image: torch.Tensor, target: Target) -> torch.Tensor:
        truth = truth_of(target)
        return relative((image - truth).abs().square().mean((-2, -1)), truth.abs().square().mean((-2, -1)))
