"""Undersampled scans to train on where the truth mustn't be seen: each image measured once, and then forgotten."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch

from acqplan.core.seeding import torch_generator
from acqplan.designers.designer import Designer
from acqplan.images import ImageRecord
from acqplan.learning.problem import Problem
from acqplan.sensing.measurement import measured, noise_level
from acqplan.sensing.model import SensingModel
from acqplan.sensing.noise import NoiseModel
from acqplan.sensing.pattern import Pattern


class UndersampledScans:
    """Coefficients of images as one scan each gives them: one pattern, one draw of the noise, no augmentation.

    Only the pattern's units of an image enter: the rest is dropped before noise is drawn, so that nothing of it,
    not even through the random numbers, reaches a network.
    """

    def __init__(
        self,
        records: Sequence[ImageRecord],
        pattern: Pattern,
        sensing: SensingModel,
        noise: NoiseModel,
        generator: torch.Generator,
        maps_of: Callable[[ImageRecord], torch.Tensor | None] = lambda record: None,
    ) -> None:
        units = torch.from_numpy(np.flatnonzero(pattern.mask))
        self._counts = torch.from_numpy(pattern.counts.astype(np.float32))[None]
        repeats = self._counts[:, units].reshape(1, -1, *(1,) * len(sensing.reading_shape))
        scans, maps, levels = [], [], []
        for record in records:
            coil_maps = maps_of(record)
            if coil_maps is not None:
                sensing = sensing.with_coil_maps(coil_maps[None])
            # In double precision, so that not even the rounding of what is measured depends on the rest.
            image = torch.from_numpy(record.array)[None] * noise.image_scale
            expected = sensing(image.to(torch.complex128 if sensing.is_complex else torch.float64))
            expected = expected.to(sensing.reading_dtype)
            levels.append(noise_level(expected, sensing, noise))
            readings = torch.zeros_like(expected)
            readings[:, units] = noise.sample(expected[:, units], generator=generator, counts=repeats)
            scans.append(measured(sensing.decode(readings), self._counts, sensing))
            if coil_maps is not None:
                known = sensing.self_calibrated(scans[-1], self._counts).coil_maps
                assert known is not None
                maps.append(known[0])
        self._coefficients, self._maps, self._levels = torch.cat(scans), maps, torch.cat(levels)

    def batch(
        self, batch_size: int, generator: torch.Generator
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor | None, torch.Tensor]:
        """(coefficients[B, K, …], counts[1, K], coil maps[B, C, H, W] or None, noise levels[B]) of some scans.

        They are drawn with replacement. All on the CPU.
        """
        chosen = torch.randint(self._coefficients.shape[0], (batch_size,), generator=generator)
        maps = torch.stack([self._maps[int(i)] for i in chosen]) if self._maps else None
        return self._coefficients[chosen], self._counts, maps, self._levels[chosen]


def undersampled_scans(problem: Problem, designer: Designer) -> UndersampledScans:
    """One scan of each training image with the pattern of a designer that learns nothing."""
    generators = [torch_generator(problem.recipe.seed, name) for name in ("designer", "scans")]
    pattern, images = designer.freeze(generators[0]), problem.images
    return UndersampledScans(images.train, pattern, problem.sensing, problem.noise, generators[1], images.maps_of)
