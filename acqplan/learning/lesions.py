"""Small lesions put into images and taken out again: does a plan show them, and does it show any that aren't there?

A lesion is 3 × 3 pixels, 20 % brighter than they were, in an even place of the object. *Kept contrast*: how much
brighter those pixels are in the reconstruction with the lesion than in that without it, both with the same noise, over
how much brighter they were made. A *false lesion* is an even place of the true image that in the reconstruction stands
out from its surroundings by as much as a lesion would.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from acqplan.core.seeding import numpy_generator
from acqplan.images import ImageRecord

SIDE = 3  # pixels
CONTRAST = 0.2
PER_IMAGE = 4
_AROUND = 9  # pixels: the surroundings
_APART = 16
_BRIGHT = 0.15  # of the peak: what counts as object
_EVEN = 0.1  # standard deviation of the surroundings over their mean, at most

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Spot:
    """Centre of a lesion."""

    row: int
    column: int

    @property
    def place(self) -> tuple[slice, slice]:
        """Its pixels."""
        reach = SIDE // 2
        return slice(self.row - reach, self.row + reach + 1), slice(self.column - reach, self.column + reach + 1)


def even_places(truth: npt.NDArray[np.generic]) -> npt.NDArray[np.bool_]:
    """bool[H, W]: where a lesion could be: bright and even surroundings, away from the border."""
    magnitude = np.abs(truth).astype(np.float64)
    mean = ndimage.uniform_filter(magnitude, _AROUND)
    spread = np.sqrt(np.maximum(ndimage.uniform_filter(magnitude**2, _AROUND) - mean**2, 0))
    found = (mean > _BRIGHT * magnitude.max()) & (spread < _EVEN * mean)
    inner = np.zeros_like(found)
    reach = _AROUND // 2
    inner[reach:-reach, reach:-reach] = True
    return np.asarray(found & inner)


def spots(record: ImageRecord, seed: int) -> list[Spot]:
    """At most `PER_IMAGE`, at random, at least 16 pixels apart; none in an image without an even place."""
    places = np.argwhere(even_places(record.array))
    random = numpy_generator(seed, f"lesions {record.source} {record.index}")
    chosen: list[Spot] = []
    for row, column in places[random.permutation(len(places))]:
        if all((row - spot.row) ** 2 + (column - spot.column) ** 2 >= _APART**2 for spot in chosen):
            chosen.append(Spot(int(row), int(column)))
        if len(chosen) == PER_IMAGE:
            break
    return chosen


def with_lesions(record: ImageRecord, where: Sequence[Spot]) -> ImageRecord:
    """The image with a lesion at each spot; its phase stays."""
    array = record.array.copy()
    for spot in where:
        array[spot.place] *= 1 + CONTRAST
    return replace(record, array=array)


def kept_contrast(
    without: npt.NDArray[np.generic], with_them: npt.NDArray[np.generic], record: ImageRecord, where: Sequence[Spot]
) -> Floats:
    """float64[n]: of each lesion, from the reconstructions without and with all of them; 1 where it is all there."""
    gained = [np.abs(with_them[spot.place]).mean() - np.abs(without[spot.place]).mean() for spot in where]
    planted = [CONTRAST * np.abs(record.array[spot.place]).mean() for spot in where]
    return np.asarray(gained, np.float64) / np.asarray(planted, np.float64)


def has_false_lesion(image: npt.NDArray[np.generic], truth: npt.NDArray[np.generic]) -> bool:
    """Whether an even place of the truth stands out in the image by the contrast of a lesion."""
    places = even_places(truth)
    return bool((_standing_out(image) - _standing_out(truth))[places].max(initial=-np.inf) >= CONTRAST)


def _standing_out(image: npt.NDArray[np.generic]) -> Floats:
    """float64[H, W]: mean of the 3 × 3 pixels over that of the 9 × 9 around them, minus 1."""
    magnitude = np.abs(image).astype(np.float64)
    inside = ndimage.uniform_filter(magnitude, SIDE)
    whole = ndimage.uniform_filter(magnitude, _AROUND)
    around = (_AROUND**2 * whole - SIDE**2 * inside) / (_AROUND**2 - SIDE**2)
    return np.asarray(inside / np.maximum(around, np.finfo(np.float32).tiny) - 1)
