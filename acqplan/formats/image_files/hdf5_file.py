"""acqplan's HDF5: dataset ``image`` [rows, columns] or [n, rows, columns], and ``affine`` of the volume."""

from __future__ import annotations

from pathlib import Path

from acqplan.core.hdf5 import hdf5_file, set_text
from acqplan.formats.image_files.base import Result


def write(result: Result, path: Path) -> None:
    """The stamp becomes attributes, its texts of fixed length."""
    with hdf5_file(path) as file:
        for name, value in result.stamp.items():
            if isinstance(value, str):
                set_text(file, name, value)
            else:
                file.attrs[name] = value
        file.create_dataset("image", data=result.array)
        if result.geometry is not None:
            file.create_dataset("affine", data=result.geometry.affine)
