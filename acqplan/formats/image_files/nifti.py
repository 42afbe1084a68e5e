"""NIfTI-1: array axes (row, column, image), as the geometry counts them."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np

from acqplan.formats.image_files.base import Result

_SCANNER = 1  # NIFTI_XFORM_SCANNER_ANAT
_LEVEL = 6  # of gzip; 9 takes several times as long for a percent


def write(result: Result, path: Path) -> None:
    """``.nii``, or ``.nii.gz``; position in both qform and sform where it is known."""
    nifti: Any = nib  # its classes have no types
    affine = None if result.geometry is None else result.geometry.affine
    volume = nifti.Nifti1Image(np.moveaxis(result.images, 0, -1), affine)
    if affine is not None:
        volume.set_sform(affine, code=_SCANNER)
        volume.set_qform(affine, code=_SCANNER)
    volume.header.set_xyzt_units("mm")
    volume.header["descrip"] = f"acqplan {result.stamp['plan_id']}".encode()
    volume.header.extensions.append(nifti.nifti1.Nifti1Extension("comment", json.dumps(result.stamp).encode()))
    data = volume.to_bytes()
    path.write_bytes(gzip.compress(data, _LEVEL, mtime=0) if path.name.lower().endswith(".gz") else data)
