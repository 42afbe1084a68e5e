"""Thermal noise of an MRI receiver, after prewhitening."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

import torch

from acqplan.core.errors import RecipeError
from acqplan.core.registry import register
from acqplan.sensing.noise import NoiseModel


@register("noise", "complex_gaussian")
@dataclass(frozen=True)
class ComplexGaussian(NoiseModel):
    """Circular complex Gaussian noise, independent between readings and coils.

    Parameters
    ----------
    std
        √E|noise|² per complex reading, in the units of the image: with the orthonormal
        transform it is also the standard deviation of a pixel of the fully sampled image. Images
        are scaled to a maximum magnitude near 1, so 0.01 is a peak SNR of about 100.
    """

    std: float = 0.0

    def __post_init__(self) -> None:
        if not (math.isfinite(self.std) and self.std >= 0):
            raise RecipeError(f"The noise level is {self.std}.", "Give a number of at least 0.")

    def sample(
        self,
        readings: torch.Tensor,
        *,
        generator: torch.Generator,
        counts: torch.Tensor | None = None,
    ) -> torch.Tensor:
        if self.std == 0:
            return readings.clone()
        noise = torch.randn(readings.shape, dtype=readings.dtype, device=readings.device, generator=generator)
        scale: float | torch.Tensor = self.std
        if counts is not None:
            scale = self.std / counts.clamp(min=1).sqrt()
        return readings + noise * scale

    def variance(self, readings: torch.Tensor) -> torch.Tensor:
        return torch.full(readings.shape, self.std**2, device=readings.device)

    def times(self, factor: float) -> ComplexGaussian:
        return ComplexGaussian(self.std * factor)

    def spec(self) -> dict[str, Any]:
        return asdict(self)
