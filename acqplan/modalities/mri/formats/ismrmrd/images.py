"""ISMRMRD images: HDF5 group ``dataset/image_0`` with one 2D image for each slice, as the ismrmrd package reads them.

``data`` [n, channels 1, z 1, rows, columns]; ``header`` as the standard's ImageHeader; ``attributes`` the stamp as
ismrmrdMeta XML. Positions and directions are those of DICOM (LPS, mm): ``position`` is the pixel (rows // 2,
columns // 2), ``read_dir`` the direction of the columns' index, ``phase_dir`` that of the rows', ``slice_dir`` their
cross product. Where the position isn't known, they and the field of view are zero.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt

from acqplan.core.errors import OutputError
from acqplan.core.hdf5 import hdf5_file
from acqplan.core.optional import optional_import
from acqplan.formats.contracts import Result
from acqplan.formats.orientation import placed

GROUP = "dataset/image_0"
NEEDS = "These images need the package"
_MOST = np.iinfo(np.uint16).max  # sizes and counters of the header have 16 bits
_COMPLEX = np.dtype([("real", "<f4"), ("imag", "<f4")])  # the names that the format prescribes


def write(result: Result, path: Path) -> None:
    """Images of type magnitude, phase or complex; the counter ``slice`` and ``image_index`` tell them apart."""
    ismrmrd = optional_import("ismrmrd", "mri", NEEDS, error=OutputError)
    n, rows, columns = result.images.shape
    if max(n, rows, columns) > _MOST:
        raise OutputError(
            f"ISMRMRD counts up to {_MOST}, the images are {n} of {rows}x{columns}.", "Write NIfTI or HDF5."
        )
    dtype = optional_import("ismrmrd.hdf5", "mri", NEEDS, error=OutputError).image_header_dtype
    headers = _headers(result, dtype, ismrmrd)
    values = result.images.reshape(n, 1, 1, rows, columns)
    text = ismrmrd.Meta({name: str(value) for name, value in result.stamp.items()}).serialize()
    with hdf5_file(path) as file:
        group = file.create_group(GROUP)
        group.create_dataset("header", data=headers, maxshape=(None,))
        data = values.view(_COMPLEX) if np.iscomplexobj(values) else values
        group.create_dataset("data", data=data, maxshape=(None, *data.shape[1:]))
        texts = group.create_dataset("attributes", (n,), maxshape=(None,), dtype=h5py.special_dtype(vlen=str))
        texts[:] = text


def _headers(result: Result, dtype: npt.DTypeLike, ismrmrd: Any) -> npt.NDArray[Any]:
    n, rows, columns = result.images.shape
    headers = np.zeros(n, dtype)
    types = {
        "magnitude": ismrmrd.IMTYPE_MAGNITUDE,
        "phase": ismrmrd.IMTYPE_PHASE,
        "complex": ismrmrd.IMTYPE_COMPLEX,
    }
    headers["version"] = 1
    headers["data_type"] = ismrmrd.DATATYPE_CXFLOAT if np.iscomplexobj(result.images) else ismrmrd.DATATYPE_FLOAT
    headers["image_type"] = types[result.stamp["part"]]
    headers["matrix_size"] = (columns, rows, 1)
    headers["channels"] = 1
    headers["slice"] = np.arange(n)
    headers["image_index"] = np.arange(1, n + 1).clip(max=_MOST)
    if result.geometry is not None:
        place = placed(result.geometry)
        headers["field_of_view"] = (columns * place.column_mm, rows * place.row_mm, place.slice_mm)
        headers["position"] = [place.middle(i, rows, columns) for i in range(n)]
        headers["read_dir"], headers["phase_dir"] = place.along_columns, place.along_rows
        headers["slice_dir"] = place.normal
    return headers
