"""What the network is shown in each step: simulated measurements, with the truth or without it."""

from __future__ import annotations

import copy
import math

import torch

from acqplan.learning.problem import Problem
from acqplan.learning.state import TrainingState
from acqplan.learning.undersampled import UndersampledScans
from acqplan.reconstructors.losses import Target
from acqplan.sensing.measurement import measure
from acqplan.sensing.model import SensingModel
from acqplan.sensing.noise import NoiseModel


class Batches:
    """Batches of training images as the instrument would measure them, on ``device``.

    Without ``scans`` images are drawn, augmented and measured anew in every step, with the pattern as it is then. With
    ``scans``, nothing but these is known of the images.
    """

    def __init__(self, problem: Problem, device: torch.device, scans: UndersampledScans | None = None) -> None:
        size = problem.recipe.training.batch_size
        assert size is not None
        self._problem, self._device, self._scans, self._size = problem, device, scans, size
        self._sensing = copy.deepcopy(problem.sensing).to(device)

    @property
    def image_scale(self) -> float:
        """Of the truth in a batch, over images in units of full scale."""
        return self._problem.noise.image_scale

    def on(self, device: torch.device) -> Batches:
        """The same on another device."""
        return Batches(self._problem, device, self._scans)

    def draw(self, state: TrainingState, noise: torch.Generator | None = None) -> Target:
        """The batch of this step; ``noise`` is on this device, by default the state's own stream."""
        chosen = state.generators["batches"]
        if self._scans is not None:
            coefficients, counts, maps, level = self._scans.batch(self._size, chosen)
            sensing = self._sensing_with(maps).with_noise_level(level.to(self._device))
            return Target(coefficients.to(self._device), counts.to(self._device), sensing)
        counts = state.counts()[None].to(self._device)
        images, maps = self._problem.images.coil_batch(self._size, chosen)
        model = self._noise_model(chosen)
        images, true = images.to(self._device) * model.image_scale, self._sensing_with(maps)
        coefficients, sensing = measure(images, counts, true, model, noise or state.generators["noise"])
        return Target(coefficients, counts, sensing, sensing.seen_through(images, true))

    def _noise_model(self, generator: torch.Generator) -> NoiseModel:
        """The recipe's, or one that is so many times as noisy as its range says."""
        noise, span = self._problem.noise, self._problem.recipe.training.noise_range
        if span is None:
            return noise
        least, most = map(math.log, span)
        return noise.times(math.exp(least + (most - least) * float(torch.rand((), generator=generator))))

    def _sensing_with(self, coil_maps: torch.Tensor | None) -> SensingModel:
        return self._sensing if coil_maps is None else self._sensing.with_coil_maps(coil_maps.to(self._device))
