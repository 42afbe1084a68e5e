"""Noise of a photon-counting bucket detector behind a DMD."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, replace
from typing import Any

import torch

from acqplan.core.errors import RecipeError
from acqplan.core.registry import register
from acqplan.sensing.noise import NoiseModel


@register("noise", "poisson_gaussian")
@dataclass(frozen=True)
class PoissonGaussian(NoiseModel):
    """Shot noise of every shown frame plus detector read noise, in photo-electrons.

    One frame with expected signal s reads Poisson(s + dark_e) − dark_e + Normal(0, read_noise_e²):
    the known mean of the dark counts is subtracted, their fluctuation stays.

    Parameters
    ----------
    photons
        Photo-electrons that a pixel at full scale gives during one frame with its mirror on: the
        scale of training and simulated images.
    read_noise_e
        Read noise, standard deviation in photo-electrons per frame.
    dark_e
        Dark counts and background, mean photo-electrons per frame.
    """

    photons: float = 1000.0
    read_noise_e: float = 2.0
    dark_e: float = 0.0

    def __post_init__(self) -> None:
        if not (math.isfinite(self.photons) and self.photons > 0):
            raise RecipeError(f"The photons per pixel and frame are {self.photons}.", "Give a positive number.")
        for name, value in asdict(self).items():
            if not (math.isfinite(value) and value >= 0):
                raise RecipeError(f"The noise setting {name} is {value}.", "Give a number of at least 0.")

    @property
    def image_scale(self) -> float:
        return self.photons

    def sample(
        self,
        readings: torch.Tensor,
        *,
        generator: torch.Generator,
        counts: torch.Tensor | None = None,
    ) -> torch.Tensor:
        repeats = torch.ones(()) if counts is None else counts.clamp(min=1)
        repeats = repeats.to(readings.device)
        # A sum of Poisson variables is Poisson, so the repeats need no loop. float32 signals are
        # non-negative up to rounding.
        total = torch.poisson((readings.clamp(min=0) + self.dark_e) * repeats, generator=generator)
        read = torch.randn(readings.shape, dtype=readings.dtype, device=readings.device, generator=generator)
        return total / repeats - self.dark_e + self.read_noise_e * read / repeats.sqrt()

    def variance(self, readings: torch.Tensor) -> torch.Tensor:
        return readings.clamp(min=0) + self.dark_e + self.read_noise_e**2

    def times(self, factor: float) -> PoissonGaussian:
        """With that much less light; read noise and dark counts, which don't depend on it, weigh more."""
        return replace(self, photons=self.photons / factor**2)

    def spec(self) -> dict[str, Any]:
        return asdict(self)
