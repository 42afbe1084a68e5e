"""Total variation."""

from __future__ import annotations

import torch

from acqplan.core.math.total_variation import total_variation
from acqplan.core.registry import register
from acqplan.reconstructors.losses.base import Loss, Target


@register("losses", "tv")
class TotalVariation(Loss):
    """TV(x) / (pixels · rms), isotropic; rms is that of the zero-filled image."""

    summary = "total variation of the image"
    reference = "Rudin, Osher and Fatemi 1992, doi 10.1016/0167-2789(92)90242-F"
    needs_truth = False
    typical = 0.15

    def __call__(self, image: torch.Tensor, target: Target) -> torch.Tensor:
        return total_variation(image) / (image[0].numel() * target.scale[:, 0, 0])
