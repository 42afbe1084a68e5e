"""U-Net on the zero-filled image, as in LOUPE and in the Hadamard fluorescence work."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional

from acqplan.core.errors import RecipeError
from acqplan.core.registry import register
from acqplan.reconstructors.reconstructor import Reconstructor, from_channels, image_scale, to_channels
from acqplan.sensing.model import SensingModel


def _pair(inputs: int, outputs: int) -> nn.Sequential:
    """Two 3 × 3 convolutions, each followed by a leaky ReLU."""
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, 3, padding=1),
        nn.LeakyReLU(0.2),
        nn.Conv2d(outputs, outputs, 3, padding=1),
        nn.LeakyReLU(0.2),
    )


@register("reconstructors", "unet")
class UNet(Reconstructor):
    """Residual U-Net: zero-filled image in, its correction out. No data-consistency step.

    Parameters
    ----------
    is_complex
        Whether images are complex (two network channels) or real.
    channels
        Features at full resolution; doubled at each level down. LOUPE's and csfm's papers use 64.
    levels
        How often the image is halved.
    """

    summary = "residual U-Net on the zero-filled image"
    reference = "Ronneberger 2015, arXiv 1505.04597; as in LOUPE, arXiv 1907.11374"

    def __init__(self, is_complex: bool, channels: int = 16, levels: int = 3) -> None:
        super().__init__(is_complex=is_complex, channels=channels, levels=levels)
        if channels < 1 or levels < 1:
            raise RecipeError(
                f"The U-Net options are channels={channels}, levels={levels}.", "Give at least one of each."
            )
        self.is_complex, self.levels = is_complex, levels
        widths = [channels << level for level in range(levels + 1)]
        image_channels = 1 + is_complex
        self.down = nn.ModuleList(_pair(a, b) for a, b in zip([image_channels, *widths[:-2]], widths[:-1], strict=True))
        self.bottom = _pair(widths[-2], widths[-1])
        self.up = nn.ModuleList(_pair(3 * width, width) for width in reversed(widths[:-1]))
        self.leave = nn.Conv2d(channels, image_channels, 1)
        # The untrained network then gives the zero-filled image back.
        with torch.no_grad():
            for parameter in self.leave.parameters():
                parameter.zero_()

    def forward(self, coefficients: torch.Tensor, counts: torch.Tensor, sensing: SensingModel) -> torch.Tensor:
        image = sensing.adjoint(coefficients)
        scale = image_scale(image)
        correction = from_channels(self._correction(to_channels(image / scale)), self.is_complex)
        return image + correction * scale

    def _correction(self, pixels: torch.Tensor) -> torch.Tensor:
        height, width = pixels.shape[-2:]
        multiple = 1 << self.levels
        features = functional.pad(pixels, (0, (-width) % multiple, 0, (-height) % multiple))
        skipped = []
        for block in self.down:
            features = block(features)
            skipped.append(features)
            features = functional.avg_pool2d(features, 2)
        features = self.bottom(features)
        for block in self.up:
            features = functional.interpolate(features, scale_factor=2, mode="nearest")
            features = block(torch.cat([features, skipped.pop()], dim=1))
        result: torch.Tensor = self.leave(features)
        return result[..., :height, :width]
