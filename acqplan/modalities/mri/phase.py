"""Random phase for magnitude images: smooth, and for a share of them with the steep places of a gradient echo.

A magnitude image has a conjugate-symmetric k-space, which no coil ever measured: a pattern learned from it would skip
half of k-space for free. Coil sensitivity and field inhomogeneity give a real image a phase that varies slowly over the
field of view; air beside tissue makes it steep there, and what precesses at another frequency (fat, blood) steps.
"""

from __future__ import annotations

import math
from functools import lru_cache

import torch

MAX_RAMP = math.pi  # rad over the whole field of view, along each axis: half a sample of k-space
COSINE_SPREAD = 0.5  # rad, standard deviation of the lowest cosines; falls as 1 / order
MAX_ORDER = 3
STEEP_SHARE = 0.5
"""Of the images that get steep places."""

_AIR = (0.05, 0.2)  # of an image's largest magnitude: below it there is air, or bone
_BLUR = 0.02  # (cycles per pixel)², variance of the filter that keeps noise from being air: about a pixel
_FIELD = 0.6  # rad, root mean square of the field's phase in tissue, at most
_STEP = 0.25  # rad, between tissues, at most
_FAT_SHARE = 0.3  # of the steep images, whose brightest tissue precesses at another frequency: any phase


@lru_cache(maxsize=8)
def _cosines(size: tuple[int, int]) -> torch.Tensor:
    """float32[m, H, W]: products cos(π p y) cos(π q x), 1 ≤ p + q ≤ MAX_ORDER, each times its spread."""
    y, x = ((torch.arange(n, dtype=torch.float32) + 0.5) / n for n in size)
    orders = [(p, q) for p in range(MAX_ORDER + 1) for q in range(MAX_ORDER + 1) if 1 <= p + q <= MAX_ORDER]
    return torch.stack(
        [
            COSINE_SPREAD / (p + q) * torch.cos(math.pi * p * y)[:, None] * torch.cos(math.pi * q * x)[None, :]
            for p, q in orders
        ]
    )


def smooth_phase(n: int, size: tuple[int, int], generator: torch.Generator) -> torch.Tensor:
    """``n`` random phases, float32[n, H, W] in rad.

    Each is a constant, uniform in ±π; a ramp along each axis, uniform in ±π over the field of
    view; and nine cosines of order 1 to 3 with normal amplitudes of standard deviation 0.5 rad
    divided by the order. All drawn from ``generator`` (on the CPU).
    """
    uniform = torch.rand(n, 3, generator=generator) * 2 - 1
    cosines = _cosines(size)
    amplitudes = torch.randn(n, cosines.shape[0], generator=generator)
    y, x = ((torch.arange(side, dtype=torch.float32) + 0.5) / side - 0.5 for side in size)
    phase = torch.einsum("nm,mhw->nhw", amplitudes, cosines)
    phase += (uniform[:, 0] * math.pi)[:, None, None]
    phase += MAX_RAMP * (uniform[:, 1, None, None] * y[:, None] + uniform[:, 2, None, None] * x[None, :])
    return phase


def made_up_phase(magnitudes: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """A phase for magnitudes[n, H, W], float32[n, H, W] in rad: `smooth_phase`, and half of them steep places as well.

    *Susceptibility*: air, which is taken to be wherever the magnitude is below a drawn level (5 to 20 % of its
    largest), changes the field in the tissue around it as a dipole does, (1/3 − k_b²/|k|²) times in k-space, with the
    main field b in any direction (Salomir et al. 2003, doi 10.1002/cmr.b.10083). The phase is scaled to a root mean
    square of up to 0.6 rad in tissue, and bounded by ±π. *Chemical shift and flow*: two levels divide tissues by
    brightness; each class has a phase of its own, up to ±0.25 rad, and in 3 of 10 the brightest one (fat, vessels) any.
    All drawn from ``generator`` (on the CPU); images and generator alone decide.

    Energy that the phase of the central 12², 24² or 48² of k-space doesn't explain: of a measured spin echo of a head
    2.2, 1.2 and 0.75 %; of its own magnitude with as much noise and the smooth phase alone 1.8, 0.56 and 0.27 %
    (medians), with this one 3.7, 1.6 and 0.85 %, with steep places 6.0, 3.2 and 1.7 % (``benchmarks/mri_realism.py``).
    """
    n, size = magnitudes.shape[0], (magnitudes.shape[1], magnitudes.shape[2])
    smooth = smooth_phase(n, size, generator)
    drawn = torch.rand(n, 10, generator=generator)
    is_steep = drawn[:, 0] < STEEP_SHARE
    if not is_steep.any():
        return smooth
    return torch.where(is_steep[:, None, None], smooth + _steep_phase(magnitudes, drawn), smooth)


def _steep_phase(magnitudes: torch.Tensor, drawn: torch.Tensor) -> torch.Tensor:
    """Of air beside tissue, and between tissues: float32[n, H, W], by nine numbers[n, 1:] between 0 and 1."""
    ky, kx = _frequencies((magnitudes.shape[1], magnitudes.shape[2]))
    squared = ky.square() + kx.square()
    blurred = torch.fft.ifft2(torch.fft.fft2(magnitudes) * torch.exp(-squared / (2 * _BLUR))).real
    blurred = blurred / blurred.amax((1, 2), keepdim=True).clamp(min=1e-12)
    _, level, along, tilt, strength, low, high, first, second, fat = (each[:, None, None] for each in drawn.unbind(1))
    tissue = (blurred > _AIR[0] + (_AIR[1] - _AIR[0]) * level).to(blurred.dtype)
    angle = 2 * math.pi * along
    across = (ky * angle.sin() + kx * angle.cos()) * (1 - tilt.square()).sqrt()  # b leans out of the plane by tilt
    dipole = 1 / 3 - across.square() / squared.clamp(min=1e-12)
    field = torch.fft.ifft2(torch.fft.fft2(tissue) * dipole).real
    inside = tissue.sum((1, 2), keepdim=True).clamp(min=1)
    field = field - (field * tissue).sum((1, 2), keepdim=True) / inside
    size = ((field * tissue).square().sum((1, 2), keepdim=True) / inside).sqrt().clamp(min=1e-6)
    phase = math.pi * torch.tanh(_FIELD * strength * field / size / math.pi)
    brightest = torch.where(fat < _FAT_SHARE, 2 * math.pi * (second - 0.5), 2 * _STEP * (second - 0.5))
    phase = phase + (blurred > 0.2 + 0.3 * low) * 2 * _STEP * (first - 0.5)
    steep: torch.Tensor = phase + (blurred > 0.55 + 0.35 * high) * brightest
    return steep


@lru_cache(maxsize=8)
def _frequencies(size: tuple[int, int]) -> tuple[torch.Tensor, torch.Tensor]:
    """Cycles per pixel along each axis, float32[H, 1] and [1, W], in the order of `torch.fft`."""
    return torch.fft.fftfreq(size[0])[:, None], torch.fft.fftfreq(size[1])[None, :]


def constant_phase(n: int, generator: torch.Generator) -> torch.Tensor:
    """``n`` constants uniform in ±π, float32[n, 1, 1] in rad."""
    return (torch.rand(n, 1, 1, generator=generator) * 2 - 1) * math.pi


def with_phase(images: torch.Tensor, phase: torch.Tensor) -> torch.Tensor:
    """``images`` turned by ``phase``, complex64."""
    return images * torch.polar(torch.ones_like(phase), phase)
