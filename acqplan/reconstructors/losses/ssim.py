"""Structural dissimilarity."""

from __future__ import annotations

import torch
from torch.nn import functional

from acqplan.core.registry import register
from acqplan.reconstructors.losses.base import Loss, Target, truth_of

_WINDOW = 7


@register("losses", "ssim")
class StructuralDissimilarity(Loss):
    """1 − mean SSIM of magnitudes: `metrics.ssim`, differentiable, with the truth's maximum as data range.

    Images of less than 7 pixels a side are compared in a window as large as the image.
    """

    summary = "1 − structural similarity of magnitudes"
    reference = "Wang et al. 2004, doi 10.1109/TIP.2003.819861"
    needs_truth = True
    typical = 0.02

    def __call__(self, image: torch.Tensor, target: Target) -> torch.Tensor:
        truth = truth_of(target)
        data_range = truth.abs().amax((-2, -1)).clamp(min=torch.finfo(torch.float32).tiny)[:, None, None]
        # In units of the data range: squares of photo-electron counts would cost digits.
        x, y = image.abs() / data_range, truth.abs() / data_range
        window = min(_WINDOW, *image.shape[-2:])
        unbiased = window**2 / (window**2 - 1) if window > 1 else 1.0

        def mean(values: torch.Tensor) -> torch.Tensor:
            return functional.avg_pool2d(values[:, None], window, stride=1)[:, 0]

        mean_x, mean_y = mean(x), mean(y)
        variance = unbiased * (mean(x * x) + mean(y * y) - mean_x.square() - mean_y.square())
        covariance = unbiased * (mean(x * y) - mean_x * mean_y)
        c1, c2 = 0.01**2, 0.03**2
        similarity = ((2 * mean_x * mean_y + c1) * (2 * covariance + c2)) / (
            (mean_x.square() + mean_y.square() + c1) * (variance + c2)
        )
        return 1 - similarity.mean((-2, -1))
