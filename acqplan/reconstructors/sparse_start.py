"""A quick classical start for learned reconstructors: sparse Haar wavelets, no training."""

from __future__ import annotations

import math

import torch

from acqplan.reconstructors.haar_shrinkage import BLOCK, shrink_haar
from acqplan.reconstructors.pixels import as_pairs, from_pairs
from acqplan.reconstructors.reconstructor import image_scale
from acqplan.sensing.model import SensingModel

_FIRST_THRESHOLD = 0.1  # of the image's root mean square
_LAST_THRESHOLD = 0.005
_FALL = 0.8  # from one iteration to the next


def sparse_start(
    zero_filled: torch.Tensor, counts: torch.Tensor, sensing: SensingModel, iterations: int
) -> torch.Tensor:
    """An image[B, *image_shape] near argmin ½Σ|Ax − y|² + t‖Ψx‖₁, Ψ two-level Haar wavelets on all shifts.

    ``zero_filled`` is the adjoint of the measured coefficients y, one for each unit, +0 where nothing was measured.
    Accelerated proximal gradients (FISTA, doi 10.1137/080716542) with a threshold that falls from iteration to
    iteration and a Haar grid that shifts with it (cycle spinning). Scaling the data scales the image. With 0
    iterations this is the zero-filled image. Differentiable in ``counts``; the scale counts as given.
    """
    if iterations == 0:
        return zero_filled
    scale = image_scale(zero_filled.detach())
    # As pairs of real and imaginary parts, which numbers multiply faster than complex tensors.
    image = previous = as_pairs(zero_filled / scale)
    # Availability multiplies the prediction only, as in `enforce_data`: the data are zero where there are none.
    gram = sensing.gram_with(counts.clamp(max=1))
    step = (1 / sensing.gain_bound.clamp(min=torch.finfo(torch.float32).tiny)).to(image.device)
    step = step[..., None] if zero_filled.is_complex() else step
    data = step * image
    momentum = 1.0
    for iteration in range(iterations):
        grown = (1 + math.sqrt(1 + 4 * momentum**2)) / 2
        point = torch.lerp(previous, image, 1 + (momentum - 1) / grown)
        momentum, previous = grown, image
        fitted = torch.addcmul(point, step, as_pairs(gram(from_pairs(point, zero_filled))), value=-1).add_(data)
        threshold = max(_LAST_THRESHOLD, _FIRST_THRESHOLD * _FALL**iteration)
        shift = (5 * iteration % BLOCK, 3 * iteration // 2 % BLOCK)
        image = as_pairs(shrink_haar(from_pairs(fitted, zero_filled), threshold, shift))
    return from_pairs(image, zero_filled) * scale
