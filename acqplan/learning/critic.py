"""What a trained network makes of patterns: the judge of a search."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import torch

from acqplan.core.seeding import stream_seed, torch_generator
from acqplan.images import ImageRecord
from acqplan.learning.problem import Problem
from acqplan.reconstructors.losses import dissimilarity
from acqplan.reconstructors.reconstructor import Reconstructor
from acqplan.sensing.measurement import measure
from acqplan.sensing.model import SensingModel

N_IMAGES = 12
_SSIM_SHARE = 0.25  # of a decibel of 1 − SSIM, beside one of the squared error
FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class _Scene:
    """Images[n, H, W] in the detector's units, their largest magnitudes and seed of the noise.

    ``maps``: their true coil maps, and those that a reconstruction knows, from the calibration region that all patterns
    measure.
    """

    images: torch.Tensor
    data_range: torch.Tensor
    seed: int
    maps: tuple[torch.Tensor, torch.Tensor] | None = None

    def first(self, n: int | None) -> _Scene:
        maps = None if self.maps is None else (self.maps[0][:n], self.maps[1][:n])
        return _Scene(self.images[:n], self.data_range[:n], self.seed, maps)


class NetworkCritic:
    """A `acqplan.designers.searching.Critic`: the network as it is, on images that stay the same.

    The search chooses by training images, spread over all of them, and is guarded by validation images. Noise is drawn
    from the same seed for every pattern: patterns that measure each unit once see the same.
    """

    def __init__(self, problem: Problem, network: Reconstructor) -> None:
        self._problem, self._network = problem, network
        seed = problem.recipe.seed
        self._search = self._scene(_spread(problem.images.train), stream_seed(seed, "search images"))
        self._guards = self._scene(_spread(problem.images.validation), stream_seed(seed, "guard images"))

    def quality(self, counts: IntArray, n_images: int | None = None) -> FloatArray:
        """See `acqplan.designers.searching.Critic`."""
        return self._quality_db(counts, self._search.first(n_images))

    def guard(self, counts: IntArray) -> FloatArray:
        """See `acqplan.designers.searching.Critic`."""
        return self._quality_db(counts, self._guards)

    def guard_measures(self, counts: IntArray) -> FloatArray:
        """See `acqplan.designers.searching.Critic`."""
        return self._measures_db(counts, self._guards)

    def worth(self, counts: IntArray) -> FloatArray:
        """See `acqplan.designers.searching.Critic`."""
        given = torch.from_numpy(counts.astype(np.float32)).requires_grad_()
        errors = _errors(self._reconstructed(given, self._search), self._search)
        (gradient,) = torch.autograd.grad(errors.mean(), given)
        return np.asarray(-gradient.double().numpy())

    def _scene(self, records: Sequence[ImageRecord], seed: int) -> _Scene:
        problem = self._problem
        scale = problem.noise.image_scale
        maps = [each for each in map(problem.images.maps_of, records) if each is not None]
        scene = _Scene(
            torch.from_numpy(np.stack([record.array for record in records])) * scale,
            torch.tensor([record.data_range * scale for record in records]),
            seed,
        )
        if not maps:
            return scene
        true, counts = torch.stack(maps), torch.zeros(1, problem.sensing.n_units)
        counts[0, torch.from_numpy(problem.design.calibration.astype(np.int64))] = 1
        _, known = self._measured(counts, scene, problem.sensing.with_coil_maps(true))
        assert known.coil_maps is not None
        return replace(scene, maps=(true, known.coil_maps))

    def _reconstructed(self, counts: torch.Tensor, scene: _Scene) -> torch.Tensor:
        """Images[n, H, W] of one pattern float32[K]."""
        true = known = self._problem.sensing
        if scene.maps is not None:
            true, known = (true.with_coil_maps(maps) for maps in scene.maps)
        coefficients, sensing = self._measured(counts[None], scene, true, known)
        found: torch.Tensor = self._network(coefficients, counts[None], sensing)
        return found

    def _measured(
        self, counts: torch.Tensor, scene: _Scene, true: SensingModel, known: SensingModel | None = None
    ) -> tuple[torch.Tensor, SensingModel]:
        noise = torch_generator(scene.seed, "judged noise")
        return measure(scene.images, counts, true, self._problem.noise, noise, known)

    def _quality_db(self, counts: IntArray, scene: _Scene) -> FloatArray:
        return np.asarray(self._measures_db(counts, scene) @ np.array([1, _SSIM_SHARE]))

    def _measures_db(self, counts: IntArray, scene: _Scene) -> FloatArray:
        """[n, 2]: means of PSNR and −10·log10(1 − SSIM)."""
        decibels = []
        with torch.inference_mode():
            for each in torch.from_numpy(counts.astype(np.float32)):
                found = self._reconstructed(each, scene)
                unlike = dissimilarity(found, scene.images)
                decibels.append(torch.stack([_decibels(_errors(found, scene)), _decibels(unlike)], dim=-1))
        return np.asarray(torch.stack(decibels).double().mean(1).numpy())


def _errors(found: torch.Tensor, scene: _Scene) -> torch.Tensor:
    """float32[n]: mean squared error of magnitudes of each image, over its largest magnitude squared."""
    return (found.abs() - scene.images.abs()).square().mean((-2, -1)) / scene.data_range**2


def _decibels(error: torch.Tensor) -> torch.Tensor:
    return -10 * torch.log10(error.clamp(min=1e-12))


def _spread(records: Sequence[ImageRecord]) -> list[ImageRecord]:
    """`N_IMAGES` at most, evenly over all, in an order in which the first few are spread as well."""
    places = np.unique(np.linspace(0, len(records) - 1, min(N_IMAGES, len(records))).round().astype(int))
    return [records[place] for place in (*places[::3], *places[1::3], *places[2::3])]
