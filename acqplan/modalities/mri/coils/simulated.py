"""Sensitivities of made-up coils around the object."""

from __future__ import annotations

import math
from functools import lru_cache

import torch
from torch.nn import functional

from acqplan.modalities.mri.coils.scaling import energy, scaled

_SEGMENTS = 16  # straight pieces of a loop
_GRID = 24  # positions along an axis at which fields are computed
_WIRE = 0.15  # half fields of view: nearer to a wire the field doesn't grow
_MARGIN = 2  # positions of the grid beyond each edge


def simulated_maps(n_coils: int, shape: tuple[int, int], generator: torch.Generator) -> torch.Tensor:
    """complex64[n_coils, *shape]: an array of loops on a cylinder around the field of view, drawn from ``generator``.

    Each loop's sensitivity is B₁⁻ ∝ Bx − i·By of a current through it, by the law of Biot and Savart, summed over
    `_SEGMENTS` straight pieces, in the plane of the image; the cylinder's axis is perpendicular to that. The
    array is turned anyhow and 1.2 to 1.6 times as wide as the field of view, a little wider along one axis; every loop
    has its own place around and along the cylinder, size and receiver phase. Σ|S|² = 1 everywhere. On the CPU.
    """
    uniform = torch.rand(n_coils, 4, generator=generator)
    turn, radius, stretch = torch.rand(3, generator=generator).tolist()
    radius = 1.2 + 0.4 * radius
    angle = 2 * math.pi * (torch.arange(n_coils) + turn + 0.3 * (uniform[:, 0] - 0.5)) / n_coils
    neighbours = radius * math.sin(math.pi / max(n_coils, 3))
    size = (neighbours * (1 + 0.3 * uniform[:, 1])).clamp(0.3, 0.9)
    along = 0.6 * (uniform[:, 2] - 0.5)
    field = _loop_fields(angle, radius, 0.9 + 0.2 * stretch, size, along)
    phase = 2 * math.pi * uniform[:, 3, None, None]
    field = field * torch.polar(torch.ones_like(phase), phase)
    maps = _interpolation(shape[0]) @ field @ _interpolation(shape[1]).T
    return scaled(maps, energy(maps).sum(0).clamp(min=1e-30).rsqrt())


@lru_cache(maxsize=8)
def _interpolation(n: int) -> torch.Tensor:
    """complex64[n, grid with margins]: cubic interpolation of the positions between −1 and 1 along one axis."""
    coarse = _GRID + 2 * _MARGIN
    fine = math.ceil(n * coarse / _GRID)
    whole = functional.interpolate(torch.eye(coarse)[None, :, :, None], (fine, 1), mode="bicubic")[0, :, :, 0].T
    first = (fine - n) // 2
    return whole[first : first + n].to(torch.complex64)


def _loop_fields(
    angle: torch.Tensor, radius: float, stretch: float, size: torch.Tensor, along: torch.Tensor
) -> torch.Tensor:
    """Bx − i·By of loops at angle[C]: complex64[C, n, n] on a grid from −1 to 1 and a margin beyond."""
    outward = torch.stack([angle.cos(), angle.sin(), torch.zeros_like(angle)], -1)  # x, y, z
    around = torch.stack([-angle.sin(), angle.cos(), torch.zeros_like(angle)], -1)
    axis = torch.tensor([0.0, 0.0, 1.0])
    centre = radius * outward * torch.tensor([stretch, 1 / stretch, 1.0]) + along[:, None] * axis
    t = 2 * math.pi * torch.arange(_SEGMENTS) / _SEGMENTS
    ring = t.cos()[None, :, None] * around[:, None] + t.sin()[None, :, None] * axis  # [C, S, 3]
    current = -t.sin()[None, :, None] * around[:, None] + t.cos()[None, :, None] * axis
    place = centre[:, None] + size[:, None, None] * ring
    n = _GRID + 2 * _MARGIN
    line = (torch.arange(n) - (n - 1) / 2) / (_GRID / 2)
    # The plane is z = 0; rows are y, columns x: what depends on one of them only is kept as small as that.
    x, y = (line - place[..., axis, None] for axis in (0, 1))  # [C, S, n]
    z = -place[..., 2, None]
    distance = x.square()[:, :, None, :] + (y.square() + z.square() + _WIRE**2)[..., None]
    pull = distance.rsqrt_().pow_(3).mul_(size[:, None, None, None])
    bx = torch.einsum("csyx,csy->cyx", pull, current[..., 1, None] * z - current[..., 2, None] * y)
    by = torch.einsum("csyx,csx->cyx", pull, current[..., 2, None] * x - current[..., 0, None] * z)
    return torch.complex(bx, -by)
