"""Stages of a small plain network and a data-consistency step: what the published cascades share."""

from __future__ import annotations

import itertools
import math

import torch
from torch import nn
from torch.nn import functional

from acqplan.core.errors import RecipeError
from acqplan.reconstructors.data_consistency import DataConsistency, raw_of
from acqplan.reconstructors.pixels import gather_pixels, spread_pixels
from acqplan.reconstructors.reconstructor import Reconstructor, from_channels, image_scale, to_channels
from acqplan.sensing.model import SensingModel


class ResidualCNN(nn.Module):
    """``depth`` 3 × 3 convolutions with ReLU between them; gives what is to be added to the image.

    With ``gather`` = 2, pixels are gathered 2 × 2 into channels: a quarter of the work, twice the reach. The last
    convolution starts at zero, so that an untrained cascade is plain data consistency.
    """

    def __init__(self, image_channels: int, channels: int, depth: int, gather: int) -> None:
        super().__init__()
        self.gather = gather
        ends = image_channels * gather**2
        widths = [ends, *[channels] * (depth - 1), ends]
        self.layers: nn.ModuleList = nn.ModuleList(nn.Conv2d(a, b, 3, padding=1) for a, b in itertools.pairwise(widths))
        with torch.no_grad():
            for parameter in self.layers[-1].parameters():
                parameter.zero_()

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        """pixels[B, C, H, W] -> correction of the same shape."""
        features = self.enter(pixels)
        for layer in self.layers[:-1]:
            features = functional.relu(layer(features))
        return self.leave(self.layers[-1](features), pixels)

    def enter(self, pixels: torch.Tensor) -> torch.Tensor:
        """Pad to whole groups of pixels and gather them."""
        height, width = pixels.shape[-2:]
        padded = functional.pad(pixels, (0, -width % self.gather, 0, -height % self.gather))
        return gather_pixels(padded, self.gather)

    def leave(self, gathered: torch.Tensor, pixels: torch.Tensor) -> torch.Tensor:
        """Undo `enter`."""
        return spread_pixels(gathered, self.gather)[..., : pixels.shape[-2], : pixels.shape[-1]]


def check_sizes(kind: str, stages: int, channels: int, depth: int, gather: int, penalty: float) -> None:
    """Refuse a cascade that can't be built."""
    if min(stages, channels) < 1 or depth < 2 or gather < 1 or not (math.isfinite(penalty) and penalty > 0):
        raise RecipeError(
            f"The {kind} options are stages={stages}, channels={channels}, depth={depth}, gather={gather}, "
            f"penalty={penalty}.",
            "Give at least one stage and channel, a depth of at least 2, and a penalty above 0.",
        )


class CascadedCNN(Reconstructor):
    """x ← z = x + CNN_t(x), then x ← argmin Σ counts|Ax − y|² + penalty_t‖x − z‖², from the zero-filled image.

    Ends in the data-consistency step: a unit measured n times is moved the share n/(n + penalty) to its
    measurement.

    Parameters
    ----------
    is_complex
        Whether images are complex (two network channels) or real.
    stages, channels, depth
        Number of stages; feature channels and convolutions of each stage's network.
    gather
        Pixels are gathered ``gather`` × ``gather`` into channels; 1 for the published networks.
    penalty
        Of the data-consistency step, above 0; where it is learned, its start.
    learn_penalty
        Whether each stage learns its own.
    """

    def __init__(
        self,
        is_complex: bool,
        *,
        stages: int,
        channels: int,
        depth: int,
        gather: int,
        penalty: float,
        learn_penalty: bool,
    ) -> None:
        super().__init__(
            is_complex=is_complex,
            stages=stages,
            channels=channels,
            depth=depth,
            gather=gather,
            penalty=penalty,
            learn_penalty=learn_penalty,
        )
        check_sizes(self.kind, stages, channels, depth, gather, penalty)
        self.is_complex = is_complex
        self.blocks = nn.ModuleList(ResidualCNN(1 + is_complex, channels, depth, gather) for _ in range(stages))
        raw = torch.full((stages,), raw_of(penalty))
        self.raw_penalty = nn.Parameter(raw, requires_grad=learn_penalty)

    def forward(self, coefficients: torch.Tensor, counts: torch.Tensor, sensing: SensingModel) -> torch.Tensor:
        zero_filled = sensing.adjoint(coefficients)
        scale = image_scale(zero_filled.detach())
        consistent = DataConsistency(coefficients, counts, sensing, scale, zero_filled)
        image = zero_filled / scale
        for block, raw_penalty in zip(self.blocks, self.raw_penalty, strict=True):
            image = image + from_channels(block(to_channels(image)), self.is_complex)
            image = consistent(image, functional.softplus(raw_penalty))
        return image * scale
