"""A quick classical start for learned reconstructors: sparse Haar wavelets, no training."""

from __future__ import annotations

import math

import torch

from acqplan.reconstructors.reconstructor import image_scale, pad
from acqplan.sensing.model import SensingModel

_LEVELS = 2
_BLOCK = 2**_LEVELS
_FIRST_THRESHOLD = 0.1  # of the image's root mean square
_LAST_THRESHOLD = 0.005
_FALL = 0.8  # from one iteration to the next


def sparse_start(
    coefficients: torch.Tensor, counts: torch.Tensor, sensing: SensingModel, iterations: int
) -> torch.Tensor:
    """An image[B, *image_shape] near argmin ½Σ|Ax − y|² + t‖Ψx‖₁, Ψ two-level Haar wavelets on all shifts.

    Accelerated proximal gradients (FISTA, doi 10.1137/080716542) with a threshold that falls from iteration to
    iteration and a Haar grid that shifts with it (cycle spinning). Scaling the data scales the image. With 0
    iterations this is the zero-filled image. Differentiable in ``counts``; the scale counts as given.
    """
    zero_filled = sensing.adjoint(coefficients)
    if iterations == 0:
        return zero_filled
    scale = image_scale(zero_filled.detach())
    data = coefficients / scale.reshape(-1, *(1,) * (coefficients.ndim - 1))
    image = previous = zero_filled / scale
    weights = counts.clamp(max=1)
    available = sensing.per_unit(weights)
    step = (1 / sensing.gain_bound.clamp(min=torch.finfo(torch.float32).tiny)).to(image.device)
    momentum = 1.0
    for iteration in range(iterations):
        grown = (1 + math.sqrt(1 + 4 * momentum**2)) / 2
        point = image + (momentum - 1) / grown * (image - previous)
        momentum, previous = grown, image
        # Availability multiplies the prediction only, as in `enforce_data`: ``data`` are zero where there are none.
        if sensing.is_unitary:
            misfit = sensing.adjoint(available * sensing.coefficients(point) - data)
        else:
            misfit = sensing.gram(point, weights) - zero_filled / scale
        point = point - step * misfit
        threshold = max(_LAST_THRESHOLD, _FIRST_THRESHOLD * _FALL**iteration)
        shift = (5 * iteration % _BLOCK, 3 * iteration // 2 % _BLOCK)
        image = _shrink_shifted(point, threshold, shift)
    return image * scale


def _shrink_shifted(image: torch.Tensor, threshold: float, shift: tuple[int, int]) -> torch.Tensor:
    height, width = image.shape[-2:]
    padded = pad(image, (-height) % _BLOCK, (-width) % _BLOCK)
    rolled = torch.roll(padded, shift, dims=(-2, -1))
    shrunk = torch.roll(_haar_shrink(rolled, threshold, _LEVELS), (-shift[0], -shift[1]), dims=(-2, -1))
    return shrunk[..., :height, :width]


def _haar_shrink(image: torch.Tensor, threshold: float, levels: int) -> torch.Tensor:
    """Soft-threshold the Haar details of image[…, H, W], sides multiples of 2**levels."""
    a, b = image[..., 0::2, 0::2], image[..., 0::2, 1::2]
    c, d = image[..., 1::2, 0::2], image[..., 1::2, 1::2]
    coarse = (a + b + c + d) / 2
    across = _soft((a - b + c - d) / 2, threshold)
    down = _soft((a + b - c - d) / 2, threshold)
    diagonal = _soft((a - b - c + d) / 2, threshold)
    if levels > 1:
        coarse = _haar_shrink(coarse, threshold, levels - 1)
    result = torch.empty_like(image)
    result[..., 0::2, 0::2] = (coarse + across + down + diagonal) / 2
    result[..., 0::2, 1::2] = (coarse - across + down - diagonal) / 2
    result[..., 1::2, 0::2] = (coarse + across - down - diagonal) / 2
    result[..., 1::2, 1::2] = (coarse - across - down + diagonal) / 2
    return result


def _soft(values: torch.Tensor, threshold: float) -> torch.Tensor:
    magnitude = values.abs()
    return values * ((magnitude - threshold).clamp(min=0) / magnitude.clamp(min=1e-12))
