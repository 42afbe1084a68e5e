"""Batches of images of every kind that sensing models take, with patterns that repeat units."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from acqplan.core.registry import find
from acqplan.sensing.model import SensingModel

_BATCH = 3


def coil_maps(n_coils: int, shape: tuple[int, int], *, normalised: bool, batched: bool = False) -> np.ndarray[Any, Any]:
    random = np.random.default_rng(n_coils)
    whole = (_BATCH, n_coils, *shape) if batched else (n_coils, *shape)
    maps = random.normal(size=whole) + 1j * random.normal(size=whole)
    if normalised:
        maps /= np.sqrt((np.abs(maps) ** 2).sum(-3, keepdims=True))
    return np.asarray(maps.astype(np.complex64))


SENSING: dict[str, tuple[str, dict[str, Any]]] = {
    "lines": ("cartesian_mri", {"image_shape": (12, 10), "encoding": "lines"}),
    "lines-odd": ("cartesian_mri", {"image_shape": (9, 7), "encoding": "lines"}),
    "lines-coils": (
        "cartesian_mri",
        {"image_shape": (8, 10), "encoding": "lines", "coil_maps": coil_maps(2, (8, 10), normalised=True)},
    ),
    "points": ("cartesian_mri", {"image_shape": (8, 12), "encoding": "points"}),
    "points-odd": ("cartesian_mri", {"image_shape": (11, 13), "encoding": "points"}),
    "points-coils": (
        "cartesian_mri",
        {"image_shape": (7, 9), "encoding": "points", "coil_maps": coil_maps(3, (7, 9), normalised=True)},
    ),
    "points-coils-uneven": (
        "cartesian_mri",
        {"image_shape": (8, 8), "encoding": "points", "coil_maps": coil_maps(3, (8, 8), normalised=False)},
    ),
    "lines-coils-each": (
        "cartesian_mri",
        {"image_shape": (8, 9), "encoding": "lines", "coil_maps": coil_maps(2, (8, 9), normalised=True, batched=True)},
    ),
    "points-coils-each-uneven": (
        "cartesian_mri",
        {
            "image_shape": (8, 8),
            "encoding": "points",
            "coil_maps": coil_maps(3, (8, 8), normalised=False, batched=True),
        },
    ),
    "hadamard": ("hadamard_dmd", {"image_shape": (8, 8)}),
    "hadamard-oblong": ("hadamard_dmd", {"image_shape": (4, 16)}),
}
VARIED = ("lines-odd", "points-coils-each-uneven", "hadamard-oblong")
"""Every encoding, an odd and an oblong size, coils with maps of each image whose gain varies."""


def make_sensing(case: str, n: int = 1) -> SensingModel:
    """For ``n`` images, where each has coil maps of its own."""
    kind, arguments = SENSING[case]
    sensing: SensingModel = find("sensing", kind)(**arguments)
    return for_images(sensing, slice(0, n))


def for_images(sensing: SensingModel, chosen: slice) -> SensingModel:
    """The model of some images of a batch."""
    maps = getattr(sensing, "coil_maps", None)
    return sensing if maps is None or maps.ndim == 3 else sensing.with_coil_maps(maps[chosen])


def make_images(sensing: SensingModel, n: int = 1, seed: int = 0) -> torch.Tensor:
    random = np.random.default_rng(seed)
    image = random.random((n, *sensing.image_shape))
    if sensing.is_complex:
        image = image * np.exp(1j * random.normal(size=image.shape))
    return torch.from_numpy(image).to(sensing.image_dtype)


def make_counts(sensing: SensingModel, n: int = 1, seed: int = 0) -> torch.Tensor:
    """float32[n, K]: about half of the units, some of them up to three times."""
    repeats = np.random.default_rng(seed).choice([0, 0, 0, 1, 1, 3], (n, sensing.n_units))
    repeats[:, :2] = [0, 1]
    return torch.from_numpy(repeats.astype(np.float32))
