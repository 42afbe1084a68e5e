"""Where the slices of a scan lie, from the positions and directions that its readouts state."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from acqplan.sensing.acquisition import Geometry

LPS_TO_RAS = np.array([-1.0, -1.0, 1.0])

_EVEN_MM = 0.05


def slices_in_space(
    numbers: npt.NDArray[np.integer],
    positions: npt.NDArray[np.float64] | None,
    directions: npt.NDArray[np.float64],
    field_of_view_mm: tuple[float, float, float] | None,
    matrix: tuple[int, int, int],
) -> tuple[npt.NDArray[np.int32], Geometry | None]:
    """(slice of each readout, counted through and ascending in space; geometry of the volume or None).

    Parameters
    ----------
    numbers
        int[n], the slice of each readout as the file counts it.
    positions
        float64[n, 3], middle of each readout's slice or slab in mm, patient coordinates (left, posterior, superior);
        None where the file doesn't say.
    directions
        float64[3, 3], rows: unit vectors along readout, ky and slice or kz. Others than unit vectors aren't used.
    field_of_view_mm, matrix
        (readout, ky, kz or thickness), and the sides of the grid.

    The geometry is None if nothing is stated, or where slices aren't evenly spaced.
    """
    _, first, inverse = np.unique(numbers, return_index=True, return_inverse=True)
    ordinal: npt.NDArray[np.int32] = inverse.ravel().astype(np.int32)
    lengths = np.linalg.norm(directions, axis=1)
    if positions is None or field_of_view_mm is None or not np.allclose(lengths, 1, atol=1e-2):
        return ordinal, None
    middles = positions[first]
    if not np.isfinite(middles).all():
        return ordinal, None
    directions = directions / lengths[:, None]
    order = np.argsort(middles @ directions[2], kind="stable")
    rank: npt.NDArray[np.int32] = np.argsort(order).astype(np.int32)
    middles = middles[order]
    step = directions[2] * field_of_view_mm[2] / matrix[2]
    if len(middles) > 1:
        step = (middles[-1] - middles[0]) / (len(middles) - 1)
        if np.linalg.norm(step) < _EVEN_MM:
            return ordinal, None
        if not np.allclose(middles, middles[0] + np.arange(len(middles))[:, None] * step, atol=_EVEN_MM):
            return rank[ordinal], None
    pixels = [directions[axis] * field_of_view_mm[axis] / matrix[axis] for axis in (0, 1)]
    columns = np.stack([*pixels, step], axis=1)
    affine = np.eye(4)
    affine[:3, :3] = columns
    affine[:3, 3] = middles[0] - columns @ np.array([side // 2 for side in matrix])
    affine[:3] *= LPS_TO_RAS[:, None]
    return rank[ordinal], Geometry(affine)
