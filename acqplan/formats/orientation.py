"""Where an image lies, as DICOM and ISMRMRD say it: in LPS, millimetres, as unit vectors.

Both count millimetres towards the patient's left, posterior and head (LPS); a `Geometry` counts towards right, anterior
and head (RAS), as NIfTI does.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from acqplan.core.errors import OutputError
from acqplan.sensing.acquisition import Geometry

_LPS_OF_RAS = np.diag([-1.0, -1.0, 1.0])
_MAX_SHEAR = 1e-3  # cosine of the angle between rows and columns

Vector = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Placement:
    """A stack of images in space.

    Parameters
    ----------
    first
        float64[3], mm: centre of the pixel (0, 0) of image 0.
    along_columns, along_rows
        float64[3], unit vectors: in which direction the column index, and the row index, increases.
    step
        float64[3], mm: from one image to the next.
    row_mm, column_mm
        Distance between rows, and between columns.
    """

    first: Vector
    along_columns: Vector
    along_rows: Vector
    step: Vector
    row_mm: float
    column_mm: float

    @property
    def normal(self) -> Vector:
        """float64[3]: along_columns × along_rows."""
        return np.cross(self.along_columns, self.along_rows)

    @property
    def slice_mm(self) -> float:
        """Distance between the planes of two neighbouring images."""
        return abs(float(self.step @ self.normal))

    def corner(self, i: int) -> Vector:
        """float64[3], mm: centre of the pixel (0, 0) of image ``i``."""
        return self.first + i * self.step

    def middle(self, i: int, rows: int, columns: int) -> Vector:
        """float64[3], mm: pixel (rows // 2, columns // 2) of image ``i``, position zero of its Fourier transform."""
        down, right = (rows // 2) * self.row_mm, (columns // 2) * self.column_mm
        return self.corner(i) + down * self.along_rows + right * self.along_columns


def placed(geometry: Geometry) -> Placement:
    """The placement of a volume.

    Raises
    ------
    OutputError
        Rows and columns aren't at right angles, which neither format can say, or a side has no length.
    """
    axes = _LPS_OF_RAS @ geometry.affine[:3]
    row_mm, column_mm = (float(np.linalg.norm(axes[:, i])) for i in (0, 1))
    if not (row_mm > 0 and column_mm > 0 and np.isfinite(axes).all()):
        raise OutputError("The geometry of the acquired data has a side without length.", "Write NumPy or HDF5.")
    along_rows, along_columns = axes[:, 0] / row_mm, axes[:, 1] / column_mm
    if abs(float(along_rows @ along_columns)) > _MAX_SHEAR:
        raise OutputError("The rows and columns of the images aren't at right angles.", "Write NIfTI.")
    return Placement(axes[:, 3], along_columns, along_rows, axes[:, 2], row_mm, column_mm)
