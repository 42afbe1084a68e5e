"""Orthonormal periodised wavelet transform with Daubechies' 4-moment filters, as pure torch functions."""

from __future__ import annotations

import torch

# Low-pass reconstruction filter db4 (8 taps), Daubechies, "Ten Lectures on Wavelets", table 6.1.
_DB4 = (
    0.23037781330885523,
    0.7148465705525415,
    0.6308807679295904,
    -0.02798376941698385,
    -0.18703481171888114,
    0.030841381835986965,
    0.032883011666982945,
    -0.010597401784997278,
)


def wavelet_transform(image: torch.Tensor, levels: int = 3) -> torch.Tensor:
    """Orthonormal db4 coefficients of image[…, H, W], coarse ones first along both axes (the usual pyramid).

    Both sides must be multiples of 2**levels. Periodic boundaries. Differentiable, real or complex.
    """
    _check(image, levels)
    height, width = image.shape[-2:]
    result = image
    for level in range(levels):
        rows, columns = height >> level, width >> level
        part = _analyse(_analyse(result[..., :rows, :columns], -1), -2)
        result = _replace_corner(result, part)
    return result


def inverse_wavelet_transform(coefficients: torch.Tensor, levels: int = 3) -> torch.Tensor:
    """Inverse, and adjoint, of `wavelet_transform`."""
    _check(coefficients, levels)
    height, width = coefficients.shape[-2:]
    result = coefficients
    for level in reversed(range(levels)):
        rows, columns = height >> level, width >> level
        part = _synthesise(_synthesise(result[..., :rows, :columns], -2), -1)
        result = _replace_corner(result, part)
    return result


def _check(image: torch.Tensor, levels: int) -> None:
    if any(side % 2**levels for side in image.shape[-2:]):
        raise ValueError(f"sides {tuple(image.shape[-2:])} must be multiples of {2**levels}")


def _replace_corner(whole: torch.Tensor, corner: torch.Tensor) -> torch.Tensor:
    rows, columns = corner.shape[-2:]
    if (rows, columns) == tuple(whole.shape[-2:]):
        return corner
    top = torch.cat([corner, whole[..., :rows, columns:]], dim=-1)
    return torch.cat([top, whole[..., rows:, :]], dim=-2)


def _analyse(x: torch.Tensor, axis: int) -> torch.Tensor:
    """[low | high] halves along an axis: low[k] = Σ h[n] x[2k + n], high[k] = Σ (−1)ⁿ h[7 − n] x[2k + n]."""
    x = x.movedim(axis, -1)
    low = torch.zeros_like(x[..., ::2])
    high = torch.zeros_like(low)
    for n, tap in enumerate(_DB4):
        shifted = torch.roll(x, -n, dims=-1)[..., ::2]
        low = low + tap * shifted
        high = high + (-1) ** n * _DB4[-1 - n] * shifted
    return torch.cat([low, high], dim=-1).movedim(-1, axis)


def _synthesise(x: torch.Tensor, axis: int) -> torch.Tensor:
    x = x.movedim(axis, -1)
    half = x.shape[-1] // 2
    low, high = x[..., :half], x[..., half:]
    result = torch.zeros_like(x)
    for n, tap in enumerate(_DB4):
        even = tap * low + (-1) ** n * _DB4[-1 - n] * high
        spread = torch.stack([even, torch.zeros_like(even)], dim=-1).flatten(-2)
        result = result + torch.roll(spread, n, dims=-1)
    return result.movedim(-1, axis)
