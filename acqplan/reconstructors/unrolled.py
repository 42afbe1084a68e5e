"""The default reconstructor: a sparse classical start, then a short unrolled network with exact data consistency."""

from __future__ import annotations

from types import MappingProxyType

import torch
from torch import nn
from torch.nn import functional

from acqplan.core.errors import RecipeError
from acqplan.core.registry import register
from acqplan.reconstructors.data_consistency import START_PENALTY, DataConsistency, raw_of
from acqplan.reconstructors.pixels import gather_pixels, local_mean, spread_pixels
from acqplan.reconstructors.precision import convolutions
from acqplan.reconstructors.reconstructor import Preset, Reconstructor, from_channels, image_scale, pad, to_channels
from acqplan.reconstructors.sparse_start import sparse_start
from acqplan.sensing.model import SensingModel

_BLOCK = 2  # pixels are gathered 2 × 2 into channels: four times fewer positions, twice the reach
_USUAL_NOISE = 0.02  # of the image's root mean square
_LEAST_NOISE = 0.01  # of the usual one: less is as good as none
_DETAIL_WINDOW = 5  # pixels; what a local mean doesn't explain is shown to the network on its own


class Denoiser(nn.Module):
    """A small residual block on 2 × 2 gathered pixels, with features handed on from stage to stage.

    It sees the image and, magnified, its detail, and gives a correction of the detail's size: that is
    what is left to mend after the start. With ``levels`` > 0 it also works on coarser grids, each half as fine and with
    twice the features of the first: what aliasing spreads over the image is seen whole there. ``noise`` float32[B],
    where it is told, shifts the features.
    """

    def __init__(
        self, image_channels: int, channels: int, depth: int, gain: float, levels: int = 0, knows_noise: bool = False
    ) -> None:
        super().__init__()
        self.gain = gain
        gathered = image_channels * _BLOCK**2
        self.enter = nn.Conv2d(2 * gathered, channels, 3, padding=1)
        self.layers = nn.ModuleList(nn.Conv2d(channels, channels, 3, padding=1) for _ in range(depth))
        self.leave = nn.Conv2d(channels, gathered, 3, padding=1)
        self.told = nn.Linear(1, channels) if knows_noise else None
        self.coarser = Coarser(channels, 2 * channels, levels) if levels else None
        # The untrained network is then plain data consistency on the start.
        with torch.no_grad():
            for part in (self.leave, *([] if self.told is None else [self.told])):
                for parameter in part.parameters():
                    parameter.zero_()

    def forward(
        self, pixels: torch.Tensor, memory: torch.Tensor | None, noise: torch.Tensor | None = None
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """pixels[B, C, H, W] and the previous stage's features -> correction[B, C, H, W], features."""
        height, width = pixels.shape[-2:]
        blurred = local_mean(pixels, _DETAIL_WINDOW)
        detail = (pixels - blurred) / (5 * self.gain)
        padded = [pad(part, height % _BLOCK, width % _BLOCK) for part in (pixels, detail)]
        gathered = torch.cat([gather_pixels(part, _BLOCK) for part in padded], dim=1)
        with convolutions(pixels.device):
            correction, features = self._convolved(gathered, memory, noise)
        correction = spread_pixels(correction.float(), _BLOCK)
        return self.gain * correction[..., :height, :width], features

    def _convolved(
        self, gathered: torch.Tensor, memory: torch.Tensor | None, noise: torch.Tensor | None
    ) -> tuple[torch.Tensor, torch.Tensor]:
        features: torch.Tensor = self.enter(gathered)
        if self.told is not None and noise is not None:
            features += self.told(noise.reshape(-1, 1))[..., None, None]
        if memory is not None:
            features += memory
        features.relu_()
        if self.coarser is not None:
            features = self.coarser(features)
        for layer in self.layers:
            features = layer(features).add_(features).relu_()
        return self.leave(features), features


class Coarser(nn.Module):
    """Features[B, C, h, w] with what coarser grids make of them added, ``levels`` deep."""

    def __init__(self, channels: int, coarse: int, levels: int) -> None:
        super().__init__()
        self.down = nn.Conv2d(channels, coarse, 3, stride=2, padding=1)
        self.layer = nn.Conv2d(coarse, coarse, 3, padding=1)
        self.coarser = Coarser(coarse, coarse, levels - 1) if levels > 1 else None
        self.after = nn.Conv2d(coarse, coarse, 3, padding=1)
        self.up = nn.Conv2d(coarse, 4 * channels, 1)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        height, width = features.shape[-2:]
        coarse = self.down(features).relu_()
        coarse = self.layer(coarse).add_(coarse).relu_()
        if self.coarser is not None:
            coarse = self.coarser(coarse)
        coarse = self.after(coarse).add_(coarse).relu_()
        return features + self._spread(coarse)[..., :height, :width]

    def _spread(self, coarse: torch.Tensor) -> torch.Tensor:
        """``spread_pixels(self.up(coarse), 2)``, channels last: pixels are moved with all of their channels at once."""
        n, _, height, width = coarse.shape
        weight, bias = self.up.weight.flatten(1), self.up.bias
        assert bias is not None
        by_corner = torch.arange(len(weight), device=coarse.device).view(-1, 4).T.flatten()
        corners = functional.linear(coarse.permute(0, 2, 3, 1), weight[by_corner], bias[by_corner])
        rows = corners.reshape(n, height, width, 2, 2, -1).transpose(2, 3)
        return rows.reshape(n, 2 * height, 2 * width, -1).permute(0, 3, 1, 2)


def quietened(image: torch.Tensor, power: torch.Tensor) -> torch.Tensor:
    """image[B, H, W], with less of it where its local mean square is not above ``power`` [B or 1, 1, 1].

    Multiplied by p²/(p² + power²), p the mean square around each pixel: 1 wherever there is an image, since the noise
    of a reconstruction is far below it. The background of a magnitude image otherwise keeps the noise's own mean.
    """
    around = local_mean(image.abs().square()[:, None], _DETAIL_WINDOW)[:, 0].square()
    return image * (around / (around + power.square() + torch.finfo(torch.float32).tiny))


@register("reconstructors", "unrolled")
class Unrolled(Reconstructor):
    """Alternate a small denoising network and an exact data-consistency step, from a sparse start.

    x ← x + D_t(x), then x ← argmin Σ counts|Ax − y|² + λ_t‖x − z‖² with z that result, t = 1 … stages, learned
    λ_t. The last step is a data-consistency step. The start is `sparse_start`: the network learns what is left
    to mend, which takes minutes where learning all of it would take hours.

    Parameters
    ----------
    is_complex
        Whether images are complex (two network channels) or real.
    stages, channels, depth
        Number of stages; feature channels; residual layers per stage.
    start_iterations
        Iterations of the sparse start; 0 starts from the zero-filled image.
    gain
        Expected size of a correction over the image's root mean square.
    penalty
        Where the learned λ start, above 0.
    levels
        Coarser grids that each stage also works on.
    knows_noise
        Whether it is told how noisy the data are (`SensingModel.noise_level`): each λ then grows with a learned power
        of the noise variance, the stages know it, and what is left of the noise where there is nothing else is taken
        away at last (`quietened`).
    """

    summary = "sparse start, then an unrolled network with exact data consistency (the default)"
    trains_in_less = True
    reference = "MoDL, arXiv 1712.02862; deep cascades, arXiv 1704.02422"
    presets = MappingProxyType(
        {
            "small": Preset(),
            "medium": Preset({"levels": 2}),
            "large": Preset({"stages": 6, "channels": 64, "depth": 3, "levels": 2}),
        }
    )

    def __init__(
        self,
        is_complex: bool,
        stages: int = 3,
        channels: int = 32,
        depth: int = 2,
        start_iterations: int = 20,
        gain: float = 0.02,
        penalty: float = START_PENALTY,
        levels: int = 0,
        knows_noise: bool = False,
    ) -> None:
        super().__init__(
            is_complex=is_complex,
            stages=stages,
            channels=channels,
            depth=depth,
            start_iterations=start_iterations,
            gain=gain,
            penalty=penalty,
            levels=levels,
            knows_noise=knows_noise,
        )
        if min(stages, channels) < 1 or min(depth, start_iterations) < 0 or not (gain > 0 and penalty > 0):
            raise RecipeError(
                f"The options stages={stages}, channels={channels}, depth={depth}, "
                f"start_iterations={start_iterations}, gain={gain}, penalty={penalty} make no network.",
                "Give at least one stage and channel, no negative number, a positive gain and penalty.",
            )
        self.is_complex, self.start_iterations = is_complex, start_iterations
        self.knows_noise = knows_noise
        self.denoisers = nn.ModuleList(
            Denoiser(1 + is_complex, channels, depth, gain, levels, knows_noise) for _ in range(stages)
        )
        self.raw_penalty = nn.Parameter(torch.full((stages,), raw_of(penalty)))
        self.noise_power = nn.Parameter(torch.full((stages,), 0.5)) if knows_noise else None
        self.quiet = nn.Parameter(torch.ones(())) if knows_noise else None

    def forward(self, coefficients: torch.Tensor, counts: torch.Tensor, sensing: SensingModel) -> torch.Tensor:
        zero_filled = sensing.adjoint(coefficients)
        # Where a pattern is being learned, or the worst change of readings looked for, the start tells as well.
        is_followed = counts.requires_grad or coefficients.requires_grad
        with torch.set_grad_enabled(is_followed and torch.is_grad_enabled()):
            start = sparse_start(zero_filled, counts, sensing, self.start_iterations)
        scale = image_scale(start.detach())
        consistent = DataConsistency(coefficients, counts, sensing, scale, zero_filled)
        image = start / scale
        noise = self._noise(sensing, scale)
        memory: torch.Tensor | None = None
        for stage, denoiser in enumerate(self.denoisers):
            correction, memory = denoiser(to_channels(image), memory, noise)
            image = image + from_channels(correction, self.is_complex)
            penalty = functional.softplus(self.raw_penalty[stage])
            if noise is not None and self.noise_power is not None:
                penalty = penalty * (2 * self.noise_power[stage] * noise).exp()
            image = consistent(image, penalty)
        if noise is not None and self.quiet is not None:
            share = counts.detach().clamp(max=1).mean(1)
            variance = (_USUAL_NOISE * noise.exp()).square() * share
            image = quietened(image, self.quiet.square() * variance[:, None, None])
        return image * scale

    def _noise(self, sensing: SensingModel, scale: torch.Tensor) -> torch.Tensor | None:
        """float32[B]: logarithm of the noise over the image's root mean square, 0 at a usual one; None: not told."""
        if self.noise_power is None or sensing.noise_level is None:
            return None
        relative = sensing.noise_level / scale[:, 0, 0] / _USUAL_NOISE
        return relative.clamp(_LEAST_NOISE, 1 / _LEAST_NOISE).log()
