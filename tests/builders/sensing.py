"""Small sensing models of every kind, by name."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from acqplan.core.registry import find
from acqplan.sensing.model import SensingModel
from acqplan.sensing.pattern import Pattern

MODELS: dict[str, tuple[str, dict[str, Any]]] = {
    "lines": ("cartesian_mri", {"image_shape": (12, 10), "encoding": "lines"}),
    "lines-odd": ("cartesian_mri", {"image_shape": (9, 7), "encoding": "lines"}),
    "points": ("cartesian_mri", {"image_shape": (8, 6), "encoding": "points"}),
    "hadamard": ("hadamard_dmd", {"image_shape": (8, 16)}),
}


def make_sensing(name: str) -> SensingModel:
    kind, arguments = MODELS[name]
    made: SensingModel = find("sensing", kind)(**arguments)
    return made


def mri(encoding: str, *shape: int) -> SensingModel:
    made: SensingModel = find("sensing", "cartesian_mri")(image_shape=shape, encoding=encoding)
    return made


def dmd(*shape: int, scheme: str = "pairs") -> SensingModel:
    made: SensingModel = find("sensing", "hadamard_dmd")(image_shape=shape, scheme=scheme)
    return made


def drawn_pattern(
    sensing: SensingModel, seed: int = 0, *, share: float = 1 / 3, width: int = 2, repeats: int = 3
) -> Pattern:
    """A calibration region of ``width`` and a ``share`` of the other units, in random order.

    ``repeats`` of them come twice, if there is room.
    """
    random = np.random.default_rng(seed)
    calibration = sensing.calibration_units(width)
    others = random.permutation(np.setdiff1d(np.arange(sensing.n_units), calibration))
    units = np.concatenate([calibration[:1], others[: round(share * others.size)], calibration[1:]])
    repeats = min(repeats, sensing.n_units - units.size)
    return Pattern(random.permutation(np.concatenate([units, units[:repeats]])), sensing.n_units, calibration)


def random_image(sensing: SensingModel, seed: int = 0) -> torch.Tensor:
    """[*image_shape]: magnitudes to 1 and a random phase in every pixel for MRI, to 1,000 photo-electrons for a DMD."""
    random = np.random.default_rng(seed)
    image: npt.NDArray[Any] = random.random(sensing.image_shape)
    if sensing.is_complex:
        image = image * np.exp(1j * random.normal(size=image.shape))
    else:
        image = 1000 * image
    return torch.from_numpy(image).to(sensing.image_dtype)
