"""Losses that training can minimise, alone or weighted against each other, and what they compare."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

import torch
from torch.nn import functional

from acqplan.core import registry
from acqplan.core.math.total_variation import total_variation
from acqplan.core.registry import register
from acqplan.reconstructors.reconstructor import image_scale, mean_power
from acqplan.reconstructors.sparsity import analyse, detail_norm
from acqplan.sensing.model import SensingModel

_TINY = torch.finfo(torch.float32).tiny
_SSIM_WINDOW = 7
_WAVELET_LEVELS = 3


@dataclass(frozen=True, eq=False)
class Target:
    """What is known of the images that a batch of reconstructions stands for.

    Parameters
    ----------
    coefficients, counts, sensing
        What was measured, as a `Reconstructor` takes it.
    truth
        [B, *image_shape] in the same units, or None: only what was measured is known.
    held_back
        float32[B or 1, K]: repeats of the units that the network wasn't shown, or None.
    """

    coefficients: torch.Tensor
    counts: torch.Tensor
    sensing: SensingModel
    truth: torch.Tensor | None = None
    held_back: torch.Tensor | None = None

    @cached_property
    def scale(self) -> torch.Tensor:
        """float32[B, 1, 1]: root mean square of the zero-filled image, the unit of losses that don't see the truth."""
        return image_scale(self.sensing.adjoint(self.coefficients.detach()))


class Loss(ABC):
    """How far a reconstruction is from what is known of its image. Scaling images and data together changes nothing.

    Attributes
    ----------
    needs_truth
        Whether it compares with fully sampled images.
    typical
        Its size for a good reconstruction at a quarter of the readings; what weighs losses against each other on
        an even footing.
    """

    kind: ClassVar[str]
    summary: ClassVar[str]
    reference: ClassVar[str]
    needs_truth: ClassVar[bool]
    typical: ClassVar[float]

    @abstractmethod
    def __call__(self, image: torch.Tensor, target: Target) -> torch.Tensor:
        """float32[B] of image[B, *image_shape]; differentiable in it."""


def loss_named(kind: str) -> Loss:
    """The loss registered as ``kind``; `RecipeError` if there is none."""
    loss: Loss = registry.find("losses", kind)()
    return loss


def relative(error: torch.Tensor, reference: torch.Tensor) -> torch.Tensor:
    """error / reference, both [B] and at least 0; the reference is kept from 0."""
    return error / reference.clamp(min=_TINY)


def truth_of(target: Target) -> torch.Tensor:
    """The truth, for losses that need it."""
    if target.truth is None:
        raise ValueError("this loss compares with the truth, which isn't there")
    return target.truth


@register("losses", "mse")
class MeanSquaredError(Loss):
    """‖x − truth‖² / ‖truth‖²: a dim image counts as much as a bright one."""

    summary = "squared error over the truth's energy"
    reference = "NMSE as in fastMRI, arXiv 1811.08839"
    needs_truth = True
    typical = 1e-3

    def __call__(self, image: torch.Tensor, target: Target) -> torch.Tensor:
        truth = truth_of(target)
        return relative(mean_power(image - truth), mean_power(truth))


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
        return dissimilarity(image, truth_of(target))


def dissimilarity(image: torch.Tensor, truth: torch.Tensor) -> torch.Tensor:
    """float32[B]: 1 − mean SSIM of the magnitudes of images[B, H, W], as of `StructuralDissimilarity`."""
    data_range = truth.abs().amax((-2, -1)).clamp(min=_TINY)[:, None, None]
    # In units of the data range: squares of photo-electron counts would cost digits.
    x, y = image.abs() / data_range, truth.abs() / data_range
    window = min(_SSIM_WINDOW, *image.shape[-2:])
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


@register("losses", "tv")
class TotalVariation(Loss):
    """TV(x) / (pixels · rms), isotropic; rms is that of the zero-filled image."""

    summary = "total variation of the image"
    reference = "Rudin, Osher and Fatemi 1992, doi 10.1016/0167-2789(92)90242-F"
    needs_truth = False
    typical = 0.15

    def __call__(self, image: torch.Tensor, target: Target) -> torch.Tensor:
        return total_variation(image) / (image[0].numel() * target.scale[:, 0, 0])


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
        levels = min(_WAVELET_LEVELS, min(image.shape[-2:]).bit_length() - 1)
        norm = detail_norm(analyse(image, levels), levels).float()
        return norm / (image[0].numel() * target.scale[:, 0, 0])
