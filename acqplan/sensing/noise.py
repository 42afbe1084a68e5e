"""The contract of a noise model."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, ClassVar

import torch


class NoiseModel(ABC):
    """Random fluctuation of detector readings. Subclasses are frozen dataclasses of JSON arguments."""

    kind: ClassVar[str]

    @property
    def image_scale(self) -> float:
        """What full scale (1.0) of a prepared image is in the detector's units."""
        return 1.0

    @abstractmethod
    def sample(
        self,
        readings: torch.Tensor,
        *,
        generator: torch.Generator,
        counts: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """Noisy readings, a new tensor of the same shape and dtype.

        ``readings`` are expected values. With ``counts`` (broadcastable to ``readings``, ≥ 1) each
        result is the mean of that many independent repeats.
        """

    @abstractmethod
    def variance(self, readings: torch.Tensor) -> torch.Tensor:
        """Variance of one repeat, E|noise|², float32, shape of ``readings``."""

    @abstractmethod
    def times(self, factor: float) -> NoiseModel:
        """A model whose readings fluctuate ``factor`` times as much in relation to the signal."""

    @abstractmethod
    def spec(self) -> dict[str, Any]:
        """Constructor arguments, JSON-ready."""
