"""Receive coils as a scan may have them: an array of loops as it is, or compressed to fewer virtual coils."""

from __future__ import annotations

import torch

from acqplan.modalities.mri.coils.compression import principal_coils, virtual
from acqplan.modalities.mri.coils.scaling import energy, scaled
from acqplan.modalities.mri.coils.simulated import simulated_maps

_COMPRESSED = 0.5  # share of the arrays
_LARGEST_ARRAY = 3  # loops for each virtual coil, at most
_MOST_LOOPS = 32
_EVERY = 4  # pixels along each axis: maps are smooth, and an image's energy is known from fewer
_TINY = 1e-6


def drawn_maps(n_coils: int, image: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """True maps complex64[n_coils, H, W] of the coils that receive image[H, W], Σ|S|² = 1, drawn from ``generator``.

    Half of them are loops (`simulated_maps`), the others the principal ones of up to three times as many (32 at most):
    the first receives nearly everywhere, and the last where the others are weak. A single coil is uniform.
    """
    shape = (image.shape[0], image.shape[1])
    if n_coils == 1:
        return torch.ones((1, *shape), dtype=torch.complex64)
    share, size = torch.rand(2, generator=generator).tolist()
    most = min(_LARGEST_ARRAY * n_coils, _MOST_LOOPS)
    if share >= _COMPRESSED or most <= n_coils:
        return simulated_maps(n_coils, shape, generator)
    n_loops = n_coils + 1 + int(size * (most - n_coils))
    maps = simulated_maps(min(n_loops, most), shape, generator)
    received = (maps * image)[:, ::_EVERY, ::_EVERY]
    basis = principal_coils(received.numpy()).first(n_coils)
    return normalised(torch.from_numpy(virtual(maps.numpy(), basis)))


def normalised(maps: torch.Tensor) -> torch.Tensor:
    """Maps[C, H, W] with Σ|S|² = 1, as far as they receive anything."""
    return scaled(maps, energy(maps).sum(0).sqrt().clamp(min=_TINY).reciprocal())
