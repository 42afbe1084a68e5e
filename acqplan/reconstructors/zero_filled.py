"""The adjoint of what was measured: the floor that every other reconstructor must clear."""

from __future__ import annotations

import torch

from acqplan.core.registry import register
from acqplan.reconstructors.reconstructor import Reconstructor
from acqplan.sensing.model import SensingModel


@register("reconstructors", "zero-filled")
class ZeroFilled(Reconstructor):
    """Zero-filled inverse transform (MRI) or pseudo-inverse (Hadamard); nothing to train."""

    summary = "adjoint of the measured coefficients; nothing to train"
    reference = "textbook"
    is_trained = False

    def forward(self, coefficients: torch.Tensor, counts: torch.Tensor, sensing: SensingModel) -> torch.Tensor:
        return sensing.adjoint(coefficients)
