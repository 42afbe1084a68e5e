"""What each unit of a catalogue holds of the training images, and its noise."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch

from acqplan.core.following import Follower, unfollowed
from acqplan.core.seeding import torch_generator
from acqplan.images import TrainingImages
from acqplan.sensing.model import SensingModel
from acqplan.sensing.noise import NoiseModel

_BATCHES, _BATCH = 16, 16
_BATCHES_OF_COILS = 4  # what several coils receive takes longer to compute, and is smoother


def typical_electrons(images: TrainingImages, noise: NoiseModel) -> float:
    """Sum of the pixels of a mean training image, in the detector's units."""
    total = float(np.mean([np.abs(record.array).sum(dtype=np.float64) for record in images.train]))
    return total * noise.image_scale


def mean_energy(
    sensing: SensingModel, noise: NoiseModel, images: TrainingImages, seed: int, preparing: Follower = unfollowed
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Of each unit: mean |coefficient|² of images as training sees them (turned and cropped: held-out ones may lie any
    way round), in units of full scale; and, in the same units, the noise variance of one reading, decoded."""
    generator = torch_generator(seed, "energy")
    energy = torch.zeros(sensing.n_units, dtype=torch.float64)
    variance = torch.zeros(sensing.n_units, dtype=torch.float64)
    n_batches = _BATCHES if images.n_coils == 1 else _BATCHES_OF_COILS
    for done in range(n_batches):
        preparing("looking at the images' energy", done, n_batches)
        batch, maps = images.coil_batch(_BATCH, generator)
        each = sensing.with_coil_maps(maps).coefficients(batch).abs().square()
        energy += (each.flatten(2).sum(2) if each.ndim > 2 else each).double().mean(0)
        noisy = noise.variance(sensing(batch * noise.image_scale)).double().mean(0, keepdim=True)
        variance += _own_variance(sensing, noisy) / noise.image_scale**2
    return (energy / n_batches).numpy(), (variance / n_batches).numpy()


def _own_variance(sensing: SensingModel, readings: torch.Tensor) -> torch.Tensor:
    """Variances of readings [1, K, …] -> of each decoded unit [K], as far as its own reading contributes."""
    whole = sensing.decoded_variance(readings)[0]
    reference = sensing.reference_unit
    if reference is None:
        return whole
    own = readings.clone()
    own[:, reference] = 0
    alone = sensing.decoded_variance(own)[0]
    alone[reference] = whole[reference]
    return alone
