"""Another matrix or field of view than the plan's."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from acqplan.modalities.mri.facts import facts_of
from acqplan.modalities.mri.sensing import CartesianMRI
from acqplan.plan.plan import Plan
from acqplan.plan.verification import Finding
from acqplan.sensing.acquisition import Scan

_VOXEL_TOLERANCE = 0.01


def grid(plan: Plan, scan: Scan) -> Iterator[Finding]:
    """Another matrix than the plan's, or a field of view that contradicts the position in space."""
    sensing, facts = plan.sensing, facts_of(scan)
    matrix = facts.matrix
    if not isinstance(sensing, CartesianMRI) or matrix is None:
        return
    rows, columns = sensing.image_shape
    is_lines = sensing.encoding == "lines"
    planned = (columns, rows, 1) if is_lines else (int(matrix[0]), rows, columns)
    if tuple(matrix) != planned:
        yield Finding(
            "error",
            "matrix",
            f"{scan.source} has a matrix of {_sizes(matrix)} (readout, ky, kz), the plan is for {_sizes(planned)}.",
            "Pass the plan that it was acquired with.",
        )
        return
    fov = facts.field_of_view_mm
    if fov is None or scan.geometry is None:
        return
    readout, ky, kz = (side / n for side, n in zip(fov, matrix, strict=True))
    stated = (ky, readout, kz) if is_lines else (ky, kz, readout)
    axes = np.linalg.norm(scan.geometry.affine[:3, :3], axis=0)
    compared = 2 if is_lines else 3  # slices may have gaps
    for size, length in list(zip(stated, axes.tolist(), strict=True))[:compared]:
        if abs(size - length) > _VOXEL_TOLERANCE * size:
            yield Finding(
                "warning",
                "field of view",
                f"{scan.source} states a field of view with voxels of {_mm(stated)} mm, and a position in space with "
                f"voxels of {_mm(axes)} mm (rows, columns, images).",
                "The images lie where the position in space says.",
            )
            return


def _sizes(matrix: Any) -> str:
    return "x".join(map(str, matrix))


def _mm(sizes: Any) -> str:
    return " × ".join(f"{float(size):.3g}" for size in sizes)
