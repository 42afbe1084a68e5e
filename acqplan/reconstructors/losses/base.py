"""The contract of a loss, and what it compares a reconstruction with."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import ClassVar

import torch

from acqplan.reconstructors.base import image_scale
from acqplan.sensing.model import SensingModel

_TINY = torch.finfo(torch.float32).tiny


@dataclass(frozen=True, eq=False)
class Target:
    """What is known of the images that a batch of reconstructions stands for.

    Parameters
    ----------
    coefficients, counts, sensing
        What was measured, as a `Reconstructor` takes it.
    truth
        [B, *image_shape] in the same units, or None: only what was measured is known.
    held_back
        float32[B or 1, K]: repeats of the units that the network wasn't shown, or None.
    """

    coefficients: torch.Tensor
    counts: torch.Tensor
    sensing: SensingModel
    truth: torch.Tensor | None = None
    held_back: torch.Tensor | None = None
    scale: torch.Tensor = field(init=False)
    """float32[B, 1, 1]: root mean square of the zero-filled image, the unit of losses that don't see the truth."""

    def __post_init__(self) -> None:
        zero_filled = self.sensing.adjoint(self.coefficients.detach())
        object.__setattr__(self, "scale", image_scale(zero_filled))


class Loss(ABC):
    """How far a reconstruction is from what is known of its image. Scaling images and data together changes nothing.

    Attributes
    ----------
    needs_truth
        Whether it compares with fully sampled images.
    typical
        Its size for a good reconstruction at a quarter of the readings; what weighs losses against each other on
        an even footing.
    """

    kind: ClassVar[str]
    summary: ClassVar[str]
    reference: ClassVar[str]
    needs_truth: ClassVar[bool]
    typical: ClassVar[float]

    @abstractmethod
    def __call__(self, image: torch.Tensor, target: Target) -> torch.Tensor:
        """float32[B] of image[B, *image_shape]; differentiable in it."""


def relative(error: torch.Tensor, reference: torch.Tensor) -> torch.Tensor:
    """error / reference, both [B] and at least 0; the reference is kept from 0."""
    return error / reference.clamp(min=_TINY)


def truth_of(target: Target) -> torch.Tensor:
    """The truth, for losses that need it."""
    if target.truth is None:
        raise ValueError("this loss compares with the truth, which isn't there")
    return target.truth
