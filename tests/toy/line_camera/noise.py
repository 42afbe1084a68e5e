"""Electronic noise of the camera."""

from dataclasses import asdict, dataclass

import torch

from acqplan.core.registry import register
from acqplan.sensing.noise import NoiseModel


@register("noise", "line_noise")
@dataclass(frozen=True)
class LineNoise(NoiseModel):
    """Gaussian, the same in every pixel; ``std`` in units of full scale."""

    std: float = 0.01

    def sample(self, readings, *, generator, counts=None):
        noise = torch.randn(readings.shape, dtype=readings.dtype, device=readings.device, generator=generator)
        return readings + noise * (self.std if counts is None else self.std / counts.clamp(min=1).sqrt())

    def variance(self, readings):
        return torch.full(readings.shape, self.std**2, device=readings.device)

    def times(self, factor):
        return LineNoise(self.std * factor)

    def spec(self):
        return asdict(self)
