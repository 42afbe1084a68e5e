"""What an instrument measured: readings in acquisition order and where they come from."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True, eq=False)
class Geometry:
    """Where an image lies in space.

    Parameters
    ----------
    affine
        float64[4, 4], NIfTI convention: voxel index (axis 0, axis 1, slice) to millimetres,
        right–anterior–superior.
    """

    affine: npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Acquisition:
    """Readings in acquisition order.

    Parameters
    ----------
    readings
        [n, *reading_shape]; complex64 for MRI (prewhitened), float32 photo-electrons for optics.
    pattern_digest
        `Pattern.digest` of the pattern that was played, or None where the file can't carry it.
    source
        Where the readings come from, for messages and for the record in the output.
    order
        int32[n] unit indices in acquisition order as the *file* states them, or None.
    coil_maps
        complex64[C, *image_shape] or None (single coil).
    geometry
        Position in space of the image, or None.
    """

    readings: npt.NDArray[np.generic]
    pattern_digest: str | None
    source: str
    order: npt.NDArray[np.int32] | None = None
    coil_maps: npt.NDArray[np.complex64] | None = None
    geometry: Geometry | None = None
    record: dict[str, str] = field(default_factory=dict)
