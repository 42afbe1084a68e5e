"""How noisy the readings of an MRI scan are."""

from __future__ import annotations

import torch

from acqplan.modalities.mri.facts import MriFacts
from acqplan.modalities.mri.noise import ComplexGaussian
from acqplan.sensing.acquisition import Acquisition
from acqplan.sensing.noise import NoiseModel

_PEAK = 0.999  # quantile


def noise_level(planned: NoiseModel, acquisition: Acquisition, zero_filled: torch.Tensor) -> torch.Tensor | None:
    """√E|n|² of a reading, float32[1], in the units of the readings; None for a noise model that doesn't tell.

    What the file states, else the planned share of the peak of the zero-filled image[rows, columns].
    """
    facts = acquisition.facts
    if isinstance(facts, MriFacts) and facts.noise_std is not None:
        return torch.tensor([facts.noise_std])
    if not isinstance(planned, ComplexGaussian):
        return None
    return planned.std * zero_filled.abs().flatten().quantile(_PEAK)[None]
