"""The supervised deep cascade of Schlemper and others."""

from __future__ import annotations

from types import MappingProxyType

from acqplan.core.registry import register
from acqplan.reconstructors.cascaded_cnn import CascadedCNN
from acqplan.reconstructors.data_consistency import START_PENALTY
from acqplan.reconstructors.reconstructor import Preset

_PAPER = Preset(
    {"stages": 5, "channels": 64, "depth": 5, "gather": 1, "penalty": 1e-6, "learn_penalty": False},
    {"loss": {"mse": 1.0}, "learning_rate": 1e-4, "batch_size": 10},
)


@register("reconstructors", "cascade")
class Cascade(CascadedCNN):
    """DC-CNN: five cascades of five convolutions, each followed by data consistency (see `CascadedCNN`).

    By default half as wide as published, on gathered pixels, with a learned penalty, so that it trains on a CPU within
    minutes. The preset ``paper`` is the published network: 64 channels, exact data consistency, Adam at 1e-4.
    """

    summary = "deep cascade of networks and data consistency (DC-CNN), supervised"
    reference = "Schlemper et al. 2018, doi 10.1109/TMI.2017.2760978"
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
