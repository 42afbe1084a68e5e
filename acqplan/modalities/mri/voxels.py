"""How large the voxels are of the images that a plan was made from, and what follows for a scan."""

from __future__ import annotations

from typing import Any

import numpy as np

from acqplan.images import TrainingImages
from acqplan.modalities.mri.sensing import CartesianMRI
from acqplan.plan.plan import Plan

KEY = "voxel_mm"
"""Name in a plan's evidence, of [row, column, slice] in millimetres; missing where the images don't say, or differ."""

_ALIKE = 0.05  # largest relative difference between images that have the same voxels
_DIGITS = 4


def voxel_of(images: TrainingImages) -> list[float] | None:
    """[row, column, slice] in millimetres of the prepared images; None unless all say so and are alike."""
    records = (*images.train, *images.validation, *images.test)
    if any(record.geometry is None for record in records):
        return None
    affines = [record.geometry.affine for record in records if record.geometry is not None]
    sides = np.array([np.linalg.norm(affine[:3, :3], axis=0) for affine in affines])
    middle = np.median(sides, axis=0)
    if not (np.isfinite(sides).all() and (middle > 0).all() and (np.abs(sides - middle) <= _ALIKE * middle).all()):
        return None
    return [round(float(side), _DIGITS) for side in middle]


def voxel_mm(plan: Plan) -> tuple[float, float, float] | None:
    """(row, column, slice) in millimetres that a plan states; of points the slices are along the readout."""
    stated: Any = plan.evidence.get(KEY)
    try:
        row, column, slice_ = (float(side) for side in stated)
    except (TypeError, ValueError):
        return None
    return (row, column, slice_) if all(0 < side < 1e4 for side in (row, column, slice_)) else None


def field_of_view_mm(plan: Plan, matrix: tuple[int, int, int]) -> tuple[float, float, float] | None:
    """(readout, ky, kz or slice) in millimetres of a scan with this matrix, if the plan states its voxels."""
    voxel = voxel_mm(plan)
    if voxel is None or not isinstance(plan.sensing, CartesianMRI):
        return None
    row, column, slice_ = voxel
    sides = (column, row, slice_) if plan.sensing.encoding == "lines" else (slice_, row, column)
    return (matrix[0] * sides[0], matrix[1] * sides[1], matrix[2] * sides[2])


def as_text(plan: Plan) -> str | None:
    """``192 × 192 mm, voxels 2 × 2 × 3 mm``, or None."""
    voxel = voxel_mm(plan)
    if voxel is None:
        return None
    rows, columns = plan.sensing.image_shape
    voxels = " × ".join(f"{side:.4g}" for side in voxel)
    return f"{rows * voxel[0]:.4g} × {columns * voxel[1]:.4g} mm (rows × columns), voxels {voxels} mm"
