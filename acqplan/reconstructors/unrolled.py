"""The default reconstructor: a short unrolled network with exact data-consistency steps."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional

from acqplan.reconstructors.base import Reconstructor, from_channels, image_scale, to_channels
from acqplan.reconstructors.data_consistency import enforce_data
from acqplan.registry import register
from acqplan.sensing.base import SensingModel

_BLOCK = 2  # pixels are gathered 2 × 2 into channels: four times fewer positions, twice the reach


class Denoiser(nn.Module):
    """A small residual block on 2 × 2 gathered pixels, with features handed on from stage to stage."""

    def __init__(self, image_channels: int, channels: int, depth: int) -> None:
        super().__init__()
        gathered = image_channels * _BLOCK**2
        self.enter = nn.Conv2d(gathered, channels, 3, padding=1)
        self.layers = nn.ModuleList(nn.Conv2d(channels, channels, 3, padding=1) for _ in range(depth))
        self.leave = nn.Conv2d(channels, gathered, 3, padding=1)
        # The untrained network is then plain data consistency: training starts from the zero-filled image.
        nn.init.zeros_(self.leave.weight)
        nn.init.zeros_(self.leave.bias)

    def forward(
        self, pixels: torch.Tensor, memory: torch.Tensor | None
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """pixels[B, C, H, W] and the previous stage's features -> residual[B, C, H, W], features."""
        height, width = pixels.shape[-2:]
        padded = functional.pad(pixels, (0, width % _BLOCK, 0, height % _BLOCK))
        features: torch.Tensor = self.enter(functional.pixel_unshuffle(padded, _BLOCK))
        if memory is not None:
            features = features + memory
        features = functional.relu(features)
        for layer in self.layers:
            features = functional.relu(features + layer(features))
        residual = functional.pixel_shuffle(self.leave(features), _BLOCK)
        return residual[..., :height, :width], features


@register("reconstructors", "unrolled")
class Unrolled(Reconstructor):
    """Alternate a small denoising network and an exact data-consistency step.

    x ← D_t(x), then x ← argmin Σ counts|Ax − y|² + λ_t‖x − D_t(x)‖², t = 1 … stages, with learned λ_t. The
    last step is a data-consistency step.

    Parameters
    ----------
    is_complex
        Whether images are complex (two network channels) or real.
    stages, channels, depth
        Number of stages; feature channels; residual layers per stage.
    """

    summary = "unrolled network with exact data consistency, learned steps, small blocks (the default)"
    reference = "MoDL, arXiv 1712.02862; deep cascades, arXiv 1704.02422"

    def __init__(self, is_complex: bool, stages: int = 5, channels: int = 32, depth: int = 2) -> None:
        super().__init__(is_complex=is_complex, stages=stages, channels=channels, depth=depth)
        self.is_complex = is_complex
        self.denoisers = nn.ModuleList(Denoiser(1 + is_complex, channels, depth) for _ in range(stages))
        self.raw_penalty = nn.Parameter(torch.full((stages,), -3.0))

    def forward(
        self, coefficients: torch.Tensor, counts: torch.Tensor, sensing: SensingModel
    ) -> torch.Tensor:
        scale = image_scale(sensing.adjoint(coefficients))
        scaled = coefficients / scale.reshape(-1, *(1,) * (coefficients.ndim - 1))
        image = sensing.adjoint(scaled)
        memory: torch.Tensor | None = None
        for denoiser, raw_penalty in zip(self.denoisers, self.raw_penalty, strict=True):
            residual, memory = denoiser(to_channels(image), memory)
            image = image + from_channels(residual, self.is_complex)
            image = enforce_data(image, scaled, counts, functional.softplus(raw_penalty), sensing)
        return image * scale
