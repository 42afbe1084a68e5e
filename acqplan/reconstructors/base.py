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

from acqplan.sensing.base import SensingModel


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
    default_loss: ClassVar[Mapping[str, float]] = MappingProxyType({"mse": 1.0})
    """What it is trained with unless a recipe says otherwise: weights by the kind of loss."""
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
            The (calibrated) sensing model.

        Returns
        -------
        image[B, *image_shape], dtype ``sensing.image_dtype``. Scaling the coefficients scales the image.
        """

    def spec(self) -> dict[str, Any]:
        """Constructor arguments, JSON-ready."""
        return dict(self._arguments)

    @property
    def n_parameters(self) -> int:
        """Number of trained numbers."""
        return sum(parameter.numel() for parameter in self.parameters())


def to_channels(image: torch.Tensor) -> torch.Tensor:
    """image[B, H, W] -> float32[B, C, H, W]; real and imaginary part for complex images."""
    if image.is_complex():
        return torch.view_as_real(image).permute(0, 3, 1, 2).contiguous()
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
    power = image.abs().square().mean((-2, -1), keepdim=True)
    return power.clamp(min=torch.finfo(torch.float32).tiny).sqrt()


def pad(image: torch.Tensor, rows: int, columns: int) -> torch.Tensor:
    """image[…, H, W], real or complex, with zeros below and to the right: [..., H + rows, W + columns]."""
    if not rows and not columns:
        return image
    if image.is_complex():
        parts = functional.pad(torch.view_as_real(image), (0, 0, 0, columns, 0, rows))
        return torch.view_as_complex(parts.contiguous())
    return functional.pad(image, (0, columns, 0, rows))
