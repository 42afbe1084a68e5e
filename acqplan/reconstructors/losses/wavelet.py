"""Sparsity in wavelets."""

from __future__ import annotations

import torch

from acqplan.core.registry import register
from acqplan.reconstructors.losses.base import Loss, Target
from acqplan.reconstructors.objective import analyse, detail_norm

_LEVELS = 3


@register("losses", "wavelet")
class WaveletNorm(Loss):
    """‖Ψx‖₁ / (pixels · rms): db4 wavelets of 3 levels (fewer for an image that is too small), without the coarse part.

    rms is that of the zero-filled image.
    """

    summary = "absolute sum of the wavelet details"
    reference = "second term of eq. 1, arXiv 2007.14979"
    needs_truth = False
    typical = 0.15

    def __call__(self, image: torch.Tensor, target: Target) -> torch.Tensor:
        levels = min(_LEVELS, min(image.shape[-2:]).bit_length() - 1)
        norm = detail_norm(analyse(image, levels), levels).float()
        return norm / (image[0].numel() * target.scale[:, 0, 0])
