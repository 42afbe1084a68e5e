"""What a network supplied to the images of a scan, beyond what was measured of them."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from acqplan.plan.plan import Plan
from acqplan.reconstructors.supplied import measured_part
from acqplan.sensing.acquisition import Acquisition


class SuppliedMaps:
    """Gathered image by image: float32[n, rows, columns], and the share of each image's energy."""

    def __init__(self, plan: Plan, n_images: int) -> None:
        self._plan = plan
        self.maps = np.empty((n_images, *plan.sensing.image_shape), np.float32)
        self.shares = [0.0] * n_images

    def add(self, place: int, acquisition: Acquisition, image: npt.NDArray[Any]) -> None:
        """The image[*image_shape] that was reconstructed from a completed acquisition."""
        part = supplied_part(self._plan, acquisition, image)
        self.maps[place] = np.abs(part)
        self.shares[place] = _energy(part) / max(_energy(image), 1e-300)


def supplied_part(plan: Plan, acquisition: Acquisition, image: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """x − Px of an image x[*image_shape], as it was reconstructed from an acquisition: what isn't in what was measured.

    Readings of several coils have to come with their maps (`Plan.completed`). P is that of
    `acqplan.reconstructors.supplied.measured_part`, of the units that the acquisition holds.
    """
    sensing = plan.sensing.for_scan(acquisition)
    counts = np.bincount(acquisition.units(plan.pattern), minlength=sensing.n_units).astype(np.float32)
    whole = torch.from_numpy(image)[None]
    with torch.inference_mode():
        part: npt.NDArray[Any] = (whole - measured_part(whole, torch.from_numpy(counts)[None], sensing))[0].numpy()
    return part


def _energy(image: npt.NDArray[Any]) -> float:
    return float(np.sum(np.abs(image) ** 2, dtype=np.float64))
