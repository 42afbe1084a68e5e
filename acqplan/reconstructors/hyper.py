"""HyperRecon: one network whose input is the mixture of losses, so that turning a knob changes the reconstruction."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

import torch
from torch import nn
from torch.nn import functional

from acqplan.core.errors import RecipeError
from acqplan.core.registry import register
from acqplan.reconstructors.cascaded_cnn import ResidualCNN, check_sizes
from acqplan.reconstructors.data_consistency import START_PENALTY, DataConsistency, raw_of
from acqplan.reconstructors.reconstructor import KnobReconstructor, Preset, from_channels, image_scale, to_channels
from acqplan.sensing.model import SensingModel

_CONDITIONINGS = ("film", "weights")
_SAMPLINGS = ("uniform", "data-driven")
_PAPER = Preset(
    {
        "channels": 64,
        "gather": 1,
        "conditioning": "weights",
        "hidden": [8, 32, 32, 32, 32],
        "sampling": "data-driven",
        "kept": 0.25,
    },
    {"learning_rate": 1e-3, "batch_size": 32},
)
_TABLE = 33  # entries of a knob's table of settings
_LOOSEST = 100.0
_TRIALS = 4  # images that the table is measured on


@register("reconstructors", "hyper")
class Hyper(KnobReconstructor):
    """A cascade of networks and data-consistency steps whose networks depend on the mixture of losses.

    A small network takes the setting, positions between 0 and 1 that share out the weight between ``losses``: with two
    of them, 1 − s and s; with more, the first position moves weight from the first loss to the others, the second from
    the second to those after it, and so on. With the conditioning ``film`` it scales and shifts the features of each
    hidden layer (Perez et al. 2018, arXiv 1709.07871); with ``weights`` it generates every convolution, as published.
    Where data consistency is the first of the losses, it also sets each stage's penalty. After training, a table turns
    each knob into settings so that even steps of the knob change the image evenly (measured along each knob, with the
    others in the middle).

    Parameters
    ----------
    is_complex
        Whether images are complex (two network channels) or real.
    losses
        Kinds of at least two losses; with none that needs the truth it trains without.
    stages, channels, depth, gather, penalty
        As of `CascadedCNN`; the penalty is where it starts.
    conditioning
        ``film`` or ``weights``.
    hidden
        Widths of the small network's layers.
    sampling
        ``uniform``: every setting drawn counts. ``data-driven``: of a batch, only the share ``kept`` that agrees best
        with the data does.
    kept
        Share of a batch, above 0 and up to 1.
    """

    summary = "one network with a knob between losses, many reconstructions (HyperRecon)"
    reference = "Wang, Dalca and Sabuncu 2022, MELBA 2022:017, arXiv 2101.02194"
    presets = MappingProxyType({"paper": _PAPER})

    def __init__(
        self,
        is_complex: bool,
        losses: Sequence[str] = ("l1", "ssim"),
        stages: int = 5,
        channels: int = 32,
        depth: int = 5,
        gather: int = 2,
        penalty: float = START_PENALTY,
        conditioning: str = "film",
        hidden: Sequence[int] = (16, 16),
        sampling: str = "uniform",
        kept: float = 0.5,
    ) -> None:
        super().__init__(
            is_complex=is_complex,
            losses=list(losses),
            stages=stages,
            channels=channels,
            depth=depth,
            gather=gather,
            penalty=penalty,
            conditioning=conditioning,
            hidden=list(hidden),
            sampling=sampling,
            kept=kept,
        )
        check_sizes("hyper", stages, channels, depth, gather, penalty)
        _check(losses, conditioning, hidden, sampling, kept)
        self.is_complex, self.losses = is_complex, tuple(losses)
        self.sampling, self.kept = sampling, kept
        self.knobs = tuple(f"{a} to {' and '.join(losses[i + 1 :])}" for i, a in enumerate(losses[:-1]))
        self.blocks = nn.ModuleList(ResidualCNN(1 + is_complex, channels, depth, gather) for _ in range(stages))
        self.raw_penalty = nn.Parameter(torch.full((stages,), raw_of(penalty)))
        self.is_generated = conditioning == "weights"
        if self.is_generated:
            model = ResidualCNN(1 + is_complex, channels, depth, gather)
            shapes = [parameter.shape for parameter in model.parameters()]
            self._shapes = list(zip(shapes[::2], shapes[1::2], strict=True))
            sizes = sum(w.numel() + b.numel() for w, b in self._shapes)
            for block in self.blocks:  # it only gathers pixels
                block.layers = nn.ModuleList()
        else:
            sizes = 2 * channels * (depth - 1)
        self.hyper, width = _perceptron(2 * len(self.knobs), hidden)
        self.trades_consistency = losses[0] == "data-consistency"
        self.heads = nn.ModuleList(nn.Linear(width, sizes + self.trades_consistency) for _ in range(stages))
        self._n_generated = sizes
        self._start_heads()
        self.register_buffer("table", torch.linspace(0, 1, _TABLE).expand(len(self.knobs), -1).clone())
        self.table: torch.Tensor

    def _start_heads(self) -> None:
        """At first the setting changes nothing: film does nothing, and generated kernels start as usual ones do."""
        with torch.no_grad():
            for head in self.heads:
                assert isinstance(head, nn.Linear)
                head.bias.zero_()
                if not self.is_generated:
                    head.weight.zero_()
                    continue
                head.weight.mul_(0.02)
                start = 0
                for weight, bias in self._shapes[:-1]:
                    n, spread = weight.numel(), 1 / math.sqrt(math.prod(weight[1:]))
                    head.bias[start : start + n].uniform_(-spread, spread)
                    start += n + bias.numel()
                head.weight[start : self._n_generated].zero_()  # the last layer starts at zero, as in `ResidualCNN`

    def forward(
        self,
        coefficients: torch.Tensor,
        counts: torch.Tensor,
        sensing: SensingModel,
        knob: torch.Tensor | None = None,
    ) -> torch.Tensor:
        if knob is None:
            knob = torch.full((1, len(self.knobs)), 0.5, device=coefficients.device)
        return self.at(coefficients, counts, sensing, self.setting_of(knob))

    def at(
        self, coefficients: torch.Tensor, counts: torch.Tensor, sensing: SensingModel, setting: torch.Tensor
    ) -> torch.Tensor:
        zero_filled = sensing.adjoint(coefficients)
        scale = image_scale(zero_filled.detach())
        consistent = DataConsistency(coefficients, counts, sensing, scale, zero_filled)
        image = zero_filled / scale
        setting = setting.expand(image.shape[0], -1)
        features = self.hyper(torch.cat([setting, 1 - setting], dim=1))  # never all zero
        for block, head, raw_penalty in zip(self.blocks, self.heads, self.raw_penalty, strict=True):
            generated = head(features)
            run = self._generated if self.is_generated else self._modulated
            assert isinstance(block, ResidualCNN)
            correction = run(block, to_channels(image), generated[:, : self._n_generated])
            image = image + from_channels(correction, self.is_complex)
            penalty = functional.softplus(raw_penalty)
            if self.trades_consistency:
                penalty = functional.softplus(raw_penalty + 4 * generated[:, -1]) * _looseness(setting[:, 0])
            image = consistent(image, penalty)
        return image * scale

    def _modulated(self, block: ResidualCNN, pixels: torch.Tensor, changes: torch.Tensor) -> torch.Tensor:
        """The block with its hidden features scaled and shifted: changes[B, 2 · channels · (depth − 1)]."""
        features = block.enter(pixels)
        hidden = block.layers[:-1]
        each = changes.reshape(changes.shape[0], len(hidden), 2, -1, 1, 1)
        for i, layer in enumerate(hidden):
            features = functional.relu(layer(features) * (1 + each[:, i, 0]) + each[:, i, 1])
        return block.leave(block.layers[-1](features), pixels)

    def _generated(self, block: ResidualCNN, pixels: torch.Tensor, kernels: torch.Tensor) -> torch.Tensor:
        """The block with kernels[B, all weights and biases]: one group of channels per image."""
        gathered = block.enter(pixels)
        n_images, _, height, width = gathered.shape
        features, start = gathered.reshape(1, -1, height, width), 0
        for i, (weight, bias) in enumerate(self._shapes):
            kernel = kernels[:, start : start + weight.numel()].reshape(-1, *weight[1:])
            start += weight.numel()
            shift = kernels[:, start : start + bias.numel()].reshape(-1)
            start += bias.numel()
            features = functional.conv2d(features, kernel, shift, padding=1, groups=n_images)
            if i < len(self._shapes) - 1:
                features = functional.relu(features)
        return block.leave(features.reshape(n_images, -1, height, width), pixels)

    def setting_of(self, knob: torch.Tensor) -> torch.Tensor:
        place = knob.clamp(0, 1) * (_TABLE - 1)
        below = place.floor().clamp(max=_TABLE - 2).long()
        columns = torch.arange(len(self.knobs), device=knob.device)
        low, high = self.table[columns, below], self.table[columns, below + 1]
        return low + (place - below) * (high - low)

    def even_out(self, coefficients: torch.Tensor, counts: torch.Tensor, sensing: SensingModel) -> None:
        coefficients, counts = coefficients[:_TRIALS], counts[:_TRIALS]
        settings = torch.linspace(0, 1, _TABLE)
        for i in range(len(self.knobs)):
            passed, previous = [0.0], None
            for setting in settings:
                point = torch.full((1, len(self.knobs)), 0.5)
                point[0, i] = setting
                image = self.at(coefficients, counts, sensing, point)
                if previous is not None:
                    change = (image - previous).abs().square().sum((-2, -1)).sqrt()
                    size = image.abs().square().sum((-2, -1)).sqrt().clamp(min=1e-19)
                    passed.append(passed[-1] + float((change / size).mean()))
                previous = image
            way = torch.tensor(passed, dtype=torch.float64)
            if way[-1] > 0:
                self.table[i] = _inverse(way / way[-1], settings)

    def loss_weights(self, setting: torch.Tensor) -> dict[str, torch.Tensor]:
        left = torch.ones_like(setting[:, 0])
        shares = {}
        for i, kind in enumerate(self.losses[:-1]):
            shares[kind] = left * (1 - setting[:, i])
            left = left * setting[:, i]
        shares[self.losses[-1]] = left
        return shares

    def chosen_for_training(self, consistency: torch.Tensor) -> torch.Tensor:
        if self.sampling == "uniform":
            return torch.ones_like(consistency, dtype=torch.bool)
        n_kept = max(1, round(self.kept * consistency.numel()))
        return consistency <= consistency.sort().values[n_kept - 1]

    @classmethod
    def loss_for(cls, options: Mapping[str, Any]) -> dict[str, float]:
        return dict.fromkeys(options.get("losses", ("l1", "ssim")), 1.0)


def _looseness(share: torch.Tensor) -> torch.Tensor:
    """What the share [B] of the other losses multiplies penalties by: its odds, within bounds.

    The minimum of (1 − s)·misfit + s·rest has that penalty; the network needn't learn it.
    """
    return (share / (1 - share).clamp(min=1e-6)).clamp(1 / _LOOSEST, _LOOSEST)


def _perceptron(n_in: int, hidden: Sequence[int]) -> tuple[nn.Sequential, int]:
    layers: list[nn.Module] = []
    for width in hidden:
        layers += [nn.Linear(n_in, width), nn.ReLU()]
        n_in = width
    return nn.Sequential(*layers), n_in


def _inverse(way: torch.Tensor, settings: torch.Tensor) -> torch.Tensor:
    """Settings at which a rising ``way`` from 0 to 1 has passed even shares of it."""
    wanted = torch.linspace(0, 1, _TABLE, dtype=torch.float64)
    after = torch.searchsorted(way, wanted).clamp(1, way.numel() - 1)
    before, step = way[after - 1], (way[after] - way[after - 1]).clamp(min=1e-12)
    share = ((wanted - before) / step).clamp(0, 1).to(settings.dtype)
    return settings[after - 1] + share * (settings[after] - settings[after - 1])


def _check(losses: Sequence[str], conditioning: str, hidden: Sequence[int], sampling: str, kept: float) -> None:
    if len(losses) < 2 or len(set(losses)) < len(losses):
        raise RecipeError(
            f"The losses of hyper are {list(losses)}, expected at least two different ones.",
            "Name them, for example --loss l1 --loss ssim.",
        )
    if conditioning not in _CONDITIONINGS or sampling not in _SAMPLINGS:
        raise RecipeError(
            f"The hyper options are conditioning={conditioning!r}, sampling={sampling!r}.",
            f"Choose of {', '.join(_CONDITIONINGS)} and of {', '.join(_SAMPLINGS)}.",
        )
    if not hidden or min(hidden) < 1 or not 0 < kept <= 1:
        raise RecipeError(
            f"The hyper options are hidden={list(hidden)}, kept={kept}.",
            "Give at least one layer of at least one unit, and a share above 0 and up to 1.",
        )
