"""How large the error of a reconstruction may be, pixel by pixel, from how much it hangs on single readings.

The measured units outside the calibration region are split at random into M groups, and the reconstructor is run once
without each of them. The spread of these images, √((M − 1)/M·Σ(xₘ − x̄)²), is that of the delete-a-group jackknife
(Quenouille 1956; Kott 2001): small where the image hardly depends on which units were measured. It is a relative size:
what it is worth in units of the error has to be calibrated (`acqplan.core.risk_control`).
"""

from __future__ import annotations

from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt
import torch
from scipy import ndimage

from acqplan.core.seeding import lasting_generator
from acqplan.reconstructors.reconstructor import Reconstructor, mean_power
from acqplan.sensing.measurement import measured
from acqplan.sensing.model import SensingModel


class Jackknife(msgspec.Struct, frozen=True):
    """How the size of an error is told.

    Parameters
    ----------
    groups, seed
        M, and of the random groups.
    smoothing
        Pixels, standard deviation: the squared spread of a few images is rough.
    floor
        Of the image's root mean square, added in squares: no error is taken for 0.
    """

    groups: int = 5
    seed: int = 0
    smoothing: float = 1.0
    floor: float = 0.1

    def error_size(
        self,
        reconstructor: Reconstructor,
        image: torch.Tensor,
        coefficients: torch.Tensor,
        counts: torch.Tensor,
        sensing: SensingModel,
        kept: npt.NDArray[np.integer[Any]],
    ) -> npt.NDArray[np.float32]:
        """float32[B, *image_shape] > 0: size of the error of the image's magnitude, up to a factor.

        Parameters
        ----------
        image
            [B, *image_shape], as the reconstructor made it of the following.
        coefficients, counts, sensing
            As for `Reconstructor.forward`; counts[1, K].
        kept
            Units that are in every reconstruction: the calibration region, and the unit that decodes all others.
        """
        images = [
            magnitude(reconstructor(measured(coefficients, fewer, sensing), fewer, sensing)).double()
            for fewer in self.without_groups(counts, kept)
        ]
        floor = (self.floor * mean_power(image).double().sqrt())[:, None, None].clamp(min=_TINY)
        variance = floor.square().expand(image.shape).numpy()
        if images:
            spread = (len(images) - 1) * torch.stack(images).var(0, correction=0)
            width = (0, self.smoothing, self.smoothing)
            variance = variance + ndimage.gaussian_filter(spread.numpy(), width, mode="nearest")
        size: npt.NDArray[np.float32] = np.sqrt(variance).astype(np.float32)
        return size

    def without_groups(self, counts: torch.Tensor, kept: npt.NDArray[np.integer[Any]]) -> list[torch.Tensor]:
        """counts[1, K] without each group of measured units: at most as many as there are units, none of one."""
        free = np.setdiff1d(np.flatnonzero(counts[0].numpy() > 0), kept)
        if free.size < 2:
            return []
        shuffled = lasting_generator(self.seed, "jackknife groups").permutation(free)
        found = []
        for group in np.array_split(shuffled, min(self.groups, free.size)):
            fewer = counts.clone()
            fewer[0, torch.from_numpy(group)] = 0
            found.append(fewer)
        return found


_TINY = 1e-30  # its square root isn't 0 in float32


def magnitude(image: torch.Tensor) -> torch.Tensor:
    """|image|; a real image is its own magnitude, as in the files of images."""
    return image.abs() if image.is_complex() else image
