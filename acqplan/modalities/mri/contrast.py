"""Made-up contrasts of magnitude images: the same anatomy, as another sequence might show it."""

from __future__ import annotations

import torch

SHARE = 0.5
"""Of the images that get another contrast."""

_KNOTS = 5  # of the curve, besides 0


def recontrasted(magnitudes: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """float32[B, H, W] magnitudes near 0 to 1, about half of them with a grey scale of their own.

    Each pixel's value goes through a random piecewise linear curve, which keeps 0, so that air stays empty: tissues
    change places in brightness, as between T1, T2 and FLAIR, and edges stay where and as sharp as they are. (Turning or
    deforming by interpolation would empty the outer k-space.) Drawn from ``generator`` (on the CPU).
    """
    n = magnitudes.shape[0]
    is_changed = torch.rand(n, generator=generator) < SHARE
    values = torch.rand(n, _KNOTS, generator=generator)
    values = torch.cat([torch.zeros(n, 1), values / values.amax(1, keepdim=True).clamp(min=1e-3)], 1)
    changed = torch.stack([_through(*each) for each in zip(magnitudes, values, strict=True)])
    return torch.where(is_changed[:, None, None], changed, magnitudes)


def _through(magnitude: torch.Tensor, values: torch.Tensor) -> torch.Tensor:
    """A curve with ``values`` at _KNOTS even steps from 0 to 1, going on as it ends."""
    place = magnitude * _KNOTS
    left = place.floor().clamp(max=_KNOTS - 1).long()
    low, high = values[left], values[left + 1]
    return (low + (high - low) * (place - left)).clamp(min=0)
