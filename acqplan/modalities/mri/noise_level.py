"""How noisy the readings of an MRI scan are."""

from __future__ import annotations

import math

import torch

from acqplan.modalities.mri.checks.acquired_noise import noise_of_readings
from acqplan.modalities.mri.facts import MriFacts
from acqplan.modalities.mri.noise import ComplexGaussian
from acqplan.plan.plan import Plan
from acqplan.sensing.acquisition import Acquisition

_PEAK = 0.999  # quantile


def noise_level(plan: Plan, acquisition: Acquisition, zero_filled: torch.Tensor) -> torch.Tensor | None:
    """√E|n|² of a reading, float32[1], in the units of the readings; None for a noise model that doesn't tell.

    What the file states, else what the outermost readings hold where that is noise alone, else the planned share of the
    peak of the zero-filled image[rows, columns], or the most that the outermost readings allow.
    """
    facts = acquisition.facts
    if isinstance(facts, MriFacts) and facts.noise_std is not None:
        return torch.tensor([facts.noise_std])
    if not isinstance(plan.noise, ComplexGaussian):
        return None
    estimated, at_most = noise_of_readings(acquisition, plan)
    if math.isfinite(estimated):
        return torch.tensor([estimated])
    planned = plan.noise.std * float(zero_filled.abs().flatten().quantile(_PEAK))
    return torch.tensor([min(planned, at_most)])
