"""Classical compressed sensing: sparse wavelet coefficients, no training."""

from __future__ import annotations

import math

import torch
from torch.nn import functional

from acqplan.errors import RecipeError
from acqplan.reconstructors.base import Reconstructor, image_scale
from acqplan.registry import register
from acqplan.sensing.base import SensingModel
from acqplan.wavelets import inverse_wavelet_transform, wavelet_transform


@register("reconstructors", "wavelet")
class Wavelet(Reconstructor):
    """min over x of ½ Σ counts|Ax − y|² + weight·rms·‖Ψx‖₁ by FISTA, Ψ orthonormal db4 wavelets.

    The wavelet grid is shifted from iteration to iteration (cycle spinning), which removes block
    artefacts; ``rms`` is that of the zero-filled image, so that scaling the data scales the result.

    Parameters
    ----------
    weight
        Of the wavelet term, relative to the image's root mean square.
    iterations
        Number of FISTA steps.
    levels
        Depth of the wavelet transform; images are padded to a multiple of 2**levels.
    """

    summary = "wavelet compressed sensing by FISTA with cycle spinning; nothing to train"
    reference = "Lustig 2007, doi 10.1002/mrm.21391; FISTA, doi 10.1137/080716542"
    is_trained = False

    def __init__(self, weight: float = 0.005, iterations: int = 80, levels: int = 3) -> None:
        super().__init__(weight=weight, iterations=iterations, levels=levels)
        if not (math.isfinite(weight) and weight >= 0) or iterations < 1 or levels < 1:
            raise RecipeError(
                f"The wavelet options are weight={weight}, iterations={iterations}, levels={levels}.",
                "Give a weight of at least 0 and at least one iteration and level.",
            )
        self.weight, self.iterations, self.levels = weight, iterations, levels

    def forward(self, coefficients: torch.Tensor, counts: torch.Tensor, sensing: SensingModel) -> torch.Tensor:
        scale = image_scale(sensing.adjoint(coefficients))
        scaled = coefficients / scale.reshape(-1, *(1,) * (coefficients.ndim - 1))
        weight = sensing.per_unit(counts)
        most = counts.detach().amax(-1).reshape(-1, 1, 1)  # of each image's own pattern
        step = 1 / (most * sensing.gain_bound).clamp(min=1e-12)
        image = sensing.adjoint(scaled)
        momentum, previous = 1.0, image
        for iteration in range(self.iterations):
            grown = (1 + math.sqrt(1 + 4 * momentum**2)) / 2
            point = image + (momentum - 1) / grown * (image - previous)
            momentum, previous = grown, image
            gradient = sensing.adjoint(weight * (sensing.coefficients(point) - scaled))
            image = self._shrink(point - step * gradient, step * self.weight, iteration)
        return image * scale

    def _shrink(self, image: torch.Tensor, threshold: torch.Tensor, iteration: int) -> torch.Tensor:
        """Soft-threshold the detail coefficients on a grid shifted along a fixed sequence."""
        block = 2**self.levels
        height, width = image.shape[-2:]
        shift = (5 * iteration % block, 3 * iteration % block)
        padded = _pad(image, (-height) % block, (-width) % block)
        spectrum = wavelet_transform(torch.roll(padded, shift, dims=(-2, -1)), self.levels)
        magnitude = spectrum.abs()
        shrunk = spectrum * ((magnitude - threshold).clamp(min=0) / magnitude.clamp(min=1e-12))
        rows, columns = (side >> self.levels for side in padded.shape[-2:])
        shrunk[..., :rows, :columns] = spectrum[..., :rows, :columns]
        restored = torch.roll(inverse_wavelet_transform(shrunk, self.levels), (-shift[0], -shift[1]), dims=(-2, -1))
        return restored[..., :height, :width]


def _pad(image: torch.Tensor, rows: int, columns: int) -> torch.Tensor:
    if not rows and not columns:
        return image
    if image.is_complex():
        parts = functional.pad(torch.view_as_real(image), (0, 0, 0, columns, 0, rows))
        return torch.view_as_complex(parts.contiguous())
    return functional.pad(image, (0, columns, 0, rows))
