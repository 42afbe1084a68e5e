"""What every format writes: images of one scan, of which part they are, and where they lie."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from acqplan.sensing.acquisition import Geometry

Array = npt.NDArray[Any]
PARTS = ("magnitude", "phase", "complex")


@dataclass(frozen=True, eq=False)
class Result:
    """Images to write.

    Parameters
    ----------
    images
        float32 or complex64 [n, rows, columns]: the part of them that is written.
    stamp
        JSON-ready; at least ``plan_id``, ``part`` (one of `PARTS`) and ``pattern_digest``.
    geometry
        Voxel index (row, column, image) to millimetres, right–anterior–superior; None where unknown.
    """

    images: Array
    stamp: dict[str, Any]
    geometry: Geometry | None = None

    @property
    def array(self) -> Array:
        """[rows, columns] of one image, else [n, rows, columns]."""
        return self.images[0] if len(self.images) == 1 else self.images


def window(result: Result) -> tuple[float, float]:
    """The values that become the lowest and the highest whole number: ±π for a phase, else 0 and the maximum."""
    if result.stamp["part"] == "phase":
        return -np.pi, np.pi
    return 0.0, float(result.images.max()) or 1.0
