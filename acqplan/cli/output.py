"""Reconstructed images as files, each stamped with the plan that made it.

=================  ==============  ==========================================================
suffix             by default      where the stamp is
=================  ==============  ==========================================================
.nii .nii.gz       magnitude       ``descrip`` (plan id) and a comment extension (JSON)
.tif .tiff         magnitude       ImageDescription (JSON)
.png               magnitude       text chunk ``acqplan`` (JSON); 16 bits from black to white
.h5 .hdf5          all of it       attributes; dataset ``image``, and ``affine`` where known
.npy               all of it       nowhere: the format has no place for it
=================  ==============  ==========================================================

*All of it* is complex64 for MRI and float32 for the DMD. Row 0 is the top row.
"""

from __future__ import annotations

import gzip
import json
import math
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import numpy.typing as npt
import tifffile
from PIL import Image, PngImagePlugin

from acqplan.acquisition import Geometry
from acqplan.errors import OutputError
from acqplan.files import atomic_file
from acqplan.hdf5 import hdf5_file, set_text

Array = npt.NDArray[Any]
PARTS = ("magnitude", "phase", "complex")
SUFFIXES = (".nii.gz", ".nii", ".tif", ".tiff", ".png", ".h5", ".hdf5", ".npy")
_WHOLE = (".h5", ".hdf5", ".npy")
_WHITE = 65535


def suffix_of(path: Path) -> str:
    """The known suffix of ``path``; `OutputError` if it has none."""
    for suffix in SUFFIXES:
        if path.name.lower().endswith(suffix):
            return suffix
    raise OutputError(
        f"{path} has no suffix of an image format that acqplan writes.", f"Choose one of: {', '.join(SUFFIXES)}."
    )


def check_part(path: Path, part: str | None) -> None:
    """Raise `OutputError` if ``path`` can't hold that part of an image."""
    suffix = suffix_of(path)
    if part is not None and part not in PARTS:
        raise OutputError(f"An image has no part {part!r}.", f"Choose one of: {', '.join(PARTS)}.")
    if suffix == ".png" and part == "complex":
        raise OutputError("A PNG can't hold complex values.", "Choose .nii.gz, .tif, .h5 or .npy.")


def check_stampable(path: Path) -> None:
    """Raise `OutputError` if ``path`` can't record that its plan was only assumed."""
    if suffix_of(path) == ".npy":
        raise OutputError(
            f"{path} can't record that the plan was only assumed: .npy has no place for it.",
            "Choose another format, for example .h5.",
        )


def part_of(image: Array, part: str | None, path: Path) -> tuple[str, Array]:
    """(name, array) of the part asked for, or of the format's default; a real image is its own magnitude."""
    if part is None:
        part = "complex" if suffix_of(path) in _WHOLE and np.iscomplexobj(image) else "magnitude"
    if part == "phase":
        return part, np.angle(image).astype(np.float32)
    if part == "complex":
        return part, image.astype(np.complex64)
    return part, (np.abs(image) if np.iscomplexobj(image) else image).astype(np.float32)


def write_image(
    image: Array, path: Path, stamp: dict[str, Any], geometry: Geometry | None, *, overwrite: bool = False
) -> None:
    """Write image[rows, columns] atomically in the format of the suffix."""
    suffix = suffix_of(path)
    write = {".png": _write_png, ".npy": _write_npy, ".tif": _write_tiff, ".tiff": _write_tiff}
    with atomic_file(path, overwrite=overwrite) as temporary:
        if suffix in (".nii", ".nii.gz"):
            _write_nifti(image, temporary, stamp, geometry)
        elif suffix in (".h5", ".hdf5"):
            _write_hdf5(image, temporary, stamp, geometry)
        else:
            write[suffix](image, temporary, stamp)


def _write_nifti(image: Array, path: Path, stamp: dict[str, Any], geometry: Geometry | None) -> None:
    """One slice: array axes (row, column, slice), as the geometry counts them."""
    nifti: Any = nib  # its classes have no types
    volume = nifti.Nifti1Image(image[:, :, None], None if geometry is None else geometry.affine)
    volume.header.set_xyzt_units("mm")
    volume.header["descrip"] = f"acqplan {stamp['plan_id']}".encode()
    volume.header.extensions.append(nifti.nifti1.Nifti1Extension("comment", json.dumps(stamp).encode()))
    data = volume.to_bytes()
    path.write_bytes(gzip.compress(data, mtime=0) if path.name.lower().endswith(".gz") else data)


def _write_hdf5(image: Array, path: Path, stamp: dict[str, Any], geometry: Geometry | None) -> None:
    with hdf5_file(path) as file:
        for name, value in stamp.items():
            if isinstance(value, str):
                set_text(file, name, value)
            else:
                file.attrs[name] = value
        file.create_dataset("image", data=image)
        if geometry is not None:
            file.create_dataset("affine", data=geometry.affine)


def _write_tiff(image: Array, path: Path, stamp: dict[str, Any]) -> None:
    tifffile.imwrite(path, image, photometric="minisblack", description=json.dumps(stamp), metadata=None)


def _write_png(image: Array, path: Path, stamp: dict[str, Any]) -> None:
    black, white = (-math.pi, math.pi) if stamp["part"] == "phase" else (0.0, float(image.max()) or 1.0)
    levels = np.clip((image - black) / (white - black), 0, 1) * _WHITE
    text = PngImagePlugin.PngInfo()
    text.add_text("acqplan", json.dumps({**stamp, "black": black, "white": white}))
    Image.fromarray(np.round(levels).astype(np.uint16)).save(path, format="PNG", pnginfo=text)


def _write_npy(image: Array, path: Path, stamp: dict[str, Any]) -> None:
    with path.open("wb") as stream:
        np.save(stream, image, allow_pickle=False)
