"""The contract of a reconstructor."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, ClassVar

import torch
from torch import nn
from torch.nn import functional

from acqplan.sensing.model import SensingModel


@dataclass(frozen=True)
class Preset:
    """Constructor options, and settings of a recipe's training section that belong with them."""

    options: Mapping[str, Any] = field(default_factory=dict)
    training: Mapping[str, Any] = field(default_factory=dict)


class Reconstructor(nn.Module, ABC):
    """Measured coefficients to an image; stores no pattern.

    A subclass's constructor takes JSON-ready arguments and hands all of them to ``super().__init__``, so
    that `spec` can give them back.
    """

    kind: ClassVar[str]
    summary: ClassVar[str]
    reference: ClassVar[str]
    is_trained: ClassVar[bool] = True
    knows_noise: bool = False
    """Whether it makes use of `SensingModel.noise_level`."""
    trains_in_less: ClassVar[bool] = False
    """Whether it convolves in less than float32 where training asks for it (`precision.convolving_in`)."""
    presets: ClassVar[Mapping[str, Preset]] = MappingProxyType({})
    """Settings to choose by name, such as a paper's: ``--reconstructor KIND:PRESET``."""

    def __init__(self, **arguments: Any) -> None:
        super().__init__()
        self._arguments = arguments

    @abstractmethod
    def forward(self, coefficients: torch.Tensor, counts: torch.Tensor, sensing: SensingModel) -> torch.Tensor:
        """Reconstruct.

        Parameters
        ----------
        coefficients
            [B, K, *coefficient_shape]: mean over the repeats of each unit, +0 where nothing was measured.
        counts
            float32[B or 1, K]: repeats of each unit, 0 where nothing was measured. Between 0 and 1 only
            while a pattern with grey entries is being learned.
        sensing
            The sensing model, with the maps of this scan.

        Returns
        -------
        image[B, *image_shape], dtype ``sensing.image_dtype``. Scaling the coefficients scales the image.
        """

    def spec(self) -> dict[str, Any]:
        """Constructor arguments, JSON-ready."""
        return dict(self._arguments)

    @classmethod
    def loss_for(cls, options: Mapping[str, Any]) -> dict[str, float]:
        """What it is trained with, made with these options, unless a recipe says otherwise: weights by kind of loss."""
        return {"mse": 1.0}

    @property
    def n_parameters(self) -> int:
        """Number of trained numbers."""
        return sum(parameter.numel() for parameter in self.parameters())


class KnobReconstructor(Reconstructor):
    """A reconstructor with knobs: one model, many reconstructions of the same data.

    A knob is a position from 0 to 1, evenly in the change of the image; a *setting*, also from 0 to 1, is
    the mixture of losses that it stands for. Training draws settings, people turn knobs.
    """

    knobs: tuple[str, ...]
    """Names, in the order of positions."""

    @abstractmethod
    def forward(
        self,
        coefficients: torch.Tensor,
        counts: torch.Tensor,
        sensing: SensingModel,
        knob: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """As of `Reconstructor`, at ``knob`` float32[B or 1, n_knobs]; None is the middle of every knob."""

    @abstractmethod
    def at(
        self, coefficients: torch.Tensor, counts: torch.Tensor, sensing: SensingModel, setting: torch.Tensor
    ) -> torch.Tensor:
        """The image at a setting float32[B or 1, n_knobs]; differentiable in the weights."""

    @abstractmethod
    def setting_of(self, knob: torch.Tensor) -> torch.Tensor:
        """Knob positions [B, n_knobs] to settings."""

    @abstractmethod
    def even_out(self, coefficients: torch.Tensor, counts: torch.Tensor, sensing: SensingModel) -> None:
        """After training: fix which setting each position stands for, from some measured data as for `forward`."""

    @abstractmethod
    def loss_weights(self, setting: torch.Tensor) -> dict[str, torch.Tensor]:
        """float32[B] of each kind of loss at settings [B, n_knobs]: its share, for losses over their typical size."""

    @abstractmethod
    def chosen_for_training(self, consistency: torch.Tensor) -> torch.Tensor:
        """bool[B]: which images of a batch count, given the data-consistency loss float32[B] of each."""


def to_channels(image: torch.Tensor) -> torch.Tensor:
    """image[B, H, W] -> float32[B, C, H, W]; real and imaginary part for complex images."""
    if image.is_complex():
        channels = torch.view_as_real(image).permute(0, 3, 1, 2)
        return channels.contiguous() if image.is_cuda else channels
    return image[:, None]


def from_channels(channels: torch.Tensor, is_complex: bool) -> torch.Tensor:
    """Inverse of `to_channels`."""
    if is_complex:
        return torch.view_as_complex(channels.permute(0, 2, 3, 1).contiguous())
    return channels[:, 0]


def image_scale(image: torch.Tensor) -> torch.Tensor:
    """float32[B, 1, 1]: root mean square of |image|, at least 1e-19 (gradients stay finite for an empty image).

    Taken from the zero-filled image, which the instrument knows, never from the truth.
    """
    return mean_power(image)[:, None, None].clamp(min=torch.finfo(torch.float32).tiny).sqrt()


def mean_power(image: torch.Tensor) -> torch.Tensor:
    """float32[B]: mean of |image|² of image[B, H, W]."""
    if image.is_complex():
        return 2 * torch.view_as_real(image).square().mean((-3, -2, -1))
    return image.square().mean((-2, -1))


def pad(image: torch.Tensor, rows: int, columns: int) -> torch.Tensor:
    """image[…, H, W], real or complex, with zeros below and to the right: [..., H + rows, W + columns]."""
    if not rows and not columns:
        return image
    if image.is_complex():
        parts = functional.pad(torch.view_as_real(image), (0, 0, 0, columns, 0, rows))
        return torch.view_as_complex(parts.contiguous())
    return functional.pad(image, (0, columns, 0, rows))
