"""Sparsity in wavelets: the transform of an image of any size, the norm of its details, and their shrinkage."""

from __future__ import annotations

import torch

from acqplan.core.errors import RecipeError
from acqplan.core.math.wavelets import inverse_wavelet_transform, wavelet_transform
from acqplan.reconstructors.reconstructor import pad


def check_levels(levels: int, image_shape: tuple[int, ...]) -> None:
    """Refuse a wavelet transform that is deeper than the image is large."""
    side = min(image_shape[-2:])
    if 2**levels > side:
        raise RecipeError(
            f"Wavelets of {levels} levels need {2**levels} pixels along each side, the image has "
            f"{'x'.join(map(str, image_shape[-2:]))}.",
            f"Give at most {side.bit_length() - 1} levels.",
        )


def analyse(image: torch.Tensor, levels: int) -> torch.Tensor:
    """Wavelet coefficients Ψx of image[B, H, W], padded with zeros to multiples of 2**levels. Keeps the norm."""
    block = 2**levels
    height, width = image.shape[-2:]
    return wavelet_transform(pad(image, (-height) % block, (-width) % block), levels)


def synthesise(spectrum: torch.Tensor, levels: int, image_shape: tuple[int, ...]) -> torch.Tensor:
    """Adjoint, and left inverse, of `analyse`: the image, cut to its shape."""
    rows, columns = image_shape[-2:]
    return inverse_wavelet_transform(spectrum, levels)[..., :rows, :columns]


def detail_norm(spectrum: torch.Tensor, levels: int) -> torch.Tensor:
    """‖Ψx‖₁ over the detail coefficients of spectrum[B, H, W], the coarse part left out: float64[B]."""
    rows, columns = (side >> levels for side in spectrum.shape[-2:])
    magnitude = spectrum.abs().double()
    return magnitude.sum((-2, -1)) - magnitude[..., :rows, :columns].sum((-2, -1))


def shrink_details(spectrum: torch.Tensor, threshold: torch.Tensor | float, levels: int) -> torch.Tensor:
    """Soft-threshold the detail coefficients: the proximal map of threshold × `detail_norm`."""
    magnitude = spectrum.abs()
    shrunk = spectrum * ((magnitude - threshold).clamp(min=0) / magnitude.clamp(min=1e-12))
    rows, columns = (side >> levels for side in spectrum.shape[-2:])
    shrunk[..., :rows, :columns] = spectrum[..., :rows, :columns]
    return shrunk
