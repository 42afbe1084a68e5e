"""HQS-Net: half-quadratic splitting unrolled into a network, trained without any fully sampled image."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from acqplan.core.registry import register
from acqplan.reconstructors.cascaded_cnn import CascadedCNN
from acqplan.reconstructors.data_consistency import START_PENALTY
from acqplan.reconstructors.reconstructor import Preset

_LOSS = {"data-consistency": 1.0, "wavelet": 0.002, "tv": 0.005}
_PAPER = Preset(
    {"stages": 5, "channels": 64, "depth": 5, "gather": 1, "penalty": 1.8, "learn_penalty": False},
    {"loss": _LOSS, "learning_rate": 1e-3, "batch_size": 8},
)


@register("reconstructors", "hqsnet")
class HQSNet(CascadedCNN):
    """The z-step of `hqs` is a small network, the x-step exact (see `CascadedCNN`); trained to minimise its objective.

    The default loss is ‖Ax − y‖² + 0.002‖Ψx‖₁ + 0.005 TV(x) of the measured coefficients alone, so the network
    amortises the classical solver of the same weights. With ``--loss mse`` it is trained supervised, with ``--loss
    held-back`` on readings that it wasn't shown. By default half as wide as published, on gathered pixels, with a
    learned penalty. The preset ``paper`` is the published network: 64 channels, λ = 1.8, Adam at 1e-3.
    """

    summary = "half-quadratic splitting unrolled into a network (HQS-Net), trained without the truth"
    reference = "Wang, Dalca and Sabuncu 2020, arXiv 2007.14979"
    presets = MappingProxyType({"paper": _PAPER})

    def __init__(
        self,
        is_complex: bool,
        stages: int = 5,
        channels: int = 32,
        depth: int = 5,
        gather: int = 2,
        penalty: float = START_PENALTY,
        learn_penalty: bool = True,
    ) -> None:
        super().__init__(
            is_complex,
            stages=stages,
            channels=channels,
            depth=depth,
            gather=gather,
            penalty=penalty,
            learn_penalty=learn_penalty,
        )

    @classmethod
    def loss_for(cls, options: Mapping[str, Any]) -> dict[str, float]:
        return dict(_LOSS)
