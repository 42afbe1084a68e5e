"""Random smooth phase for magnitude images.

A magnitude image has a conjugate-symmetric k-space, which no coil ever measured: a pattern
learned from it would skip half of k-space for free. Coil sensitivity and field inhomogeneity
give a real image a phase that varies slowly over the field of view; this is a model of it.
"""

from __future__ import annotations

import math
from functools import lru_cache

import torch

MAX_RAMP = math.pi  # rad over the whole field of view, along each axis: half a sample of k-space
COSINE_SPREAD = 0.5  # rad, standard deviation of the lowest cosines; falls as 1 / order
MAX_ORDER = 3


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


def constant_phase(n: int, generator: torch.Generator) -> torch.Tensor:
    """``n`` constants uniform in ±π, float32[n, 1, 1] in rad."""
    return (torch.rand(n, 1, 1, generator=generator) * 2 - 1) * math.pi


def with_phase(images: torch.Tensor, phase: torch.Tensor) -> torch.Tensor:
    """``images`` turned by ``phase``, complex64."""
    return images * torch.polar(torch.ones_like(phase), phase)
