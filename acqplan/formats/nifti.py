"""NIfTI through nibabel: volumes of NIfTI-1 and NIfTI-2 in, NIfTI-1 out, whose axes are (row, column, image)."""

from __future__ import annotations

import gzip
import json
import zlib
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np

from acqplan.core.claims import gunzipped
from acqplan.core.errors import ImageError
from acqplan.core.registry import register
from acqplan.formats.contracts import ImageWriter, Result
from acqplan.images.reading import HEAD_BYTES, ImageReader, RawImages, unreadable
from acqplan.sensing.acquisition import Geometry

_GZIP = b"\x1f\x8b"
_SCANNER = 1  # NIFTI_XFORM_SCANNER_ANAT
_LEVEL = 6  # of gzip; 9 takes several times as long for a percent
_orientations: Any = nib.orientations  # has no types


@register("image_readers", "nifti")
@register("image_writers", "nifti")
class Nifti(ImageReader, ImageWriter):
    """``.nii`` and ``.nii.gz``."""

    title, asked = "NIfTI", 0
    image_suffixes, offered = (".nii.gz", ".nii"), 0

    def matches(self, path: Path, head: bytes) -> bool:
        """A NIfTI magic number, packed with gzip or not; ``path`` is not used."""
        return _version(_unpacked_head(head)) > 0

    def read_images(self, path: Path) -> RawImages:
        """Slices along the file's *last* spatial axis, rows and columns turned as a radiologist views them.

        The geometry follows every turn and flip. Scale factors of the header are applied. Complex
        volumes stay complex.
        """
        try:
            data = path.read_bytes()
            if data.startswith(_GZIP):
                data = gunzipped(data)
            image = (nib.Nifti2Image if _version(data) == 2 else nib.Nifti1Image).from_bytes(data)
            volume = np.asanyarray(image.dataobj)
        except Exception as error:
            raise unreadable(path, "NIfTI", error) from error
        if volume.dtype.kind not in "biufc":
            raise ImageError(f"{path} holds colours, not numbers.", "Save the volume as real or complex numbers.")
        shape = volume.shape
        while volume.ndim > 3 and volume.shape[-1] == 1:
            volume = volume[..., 0]
        if volume.ndim == 2:
            volume = volume[..., None]
        if volume.ndim != 3:
            raise ImageError(
                f"{path} has the shape {shape}; one volume of three axes is expected.",
                "Save each volume (time point, echo, coil) to a file of its own.",
            )

        warnings: tuple[str, ...] = ()
        if int(image.header["sform_code"]) == 0 and int(image.header["qform_code"]) == 0:
            warnings = ("its header states no position in space: only the voxel sizes are true",)
        affine = np.asarray(image.affine, dtype=np.float64)
        stored = _orientations.io_orientation(affine)
        if not np.isfinite(affine).all() or np.isnan(stored).any():
            raise ImageError(
                f"{path} has an impossible affine matrix.", "Repair its header, or export the volume again."
            )
        codes = _orientations.ornt2axcodes(stored)
        turn = _orientations.ornt_transform(stored, _orientations.axcodes2ornt(_viewing_axes(codes)))
        affine = affine @ _orientations.inv_ornt_aff(turn, volume.shape)
        turned = _orientations.apply_orientation(volume, turn)
        return RawImages(np.moveaxis(turned, 2, 0), Geometry(affine=affine), warnings)

    def write_images(self, result: Result, path: Path) -> None:
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


def _unpacked_head(head: bytes) -> bytes:
    if not head.startswith(_GZIP):
        return head
    try:
        return zlib.decompressobj(wbits=31).decompress(head, HEAD_BYTES)
    except zlib.error:
        return b""


def _version(head: bytes) -> int:
    """1 or 2 for a single-file NIfTI, 0 for anything else."""
    if head[344:348] == b"n+1\0":
        return 1
    return 2 if head[4:8] == b"n+2\0" else 0


def _viewing_axes(codes: tuple[str, str, str]) -> tuple[str, str, str]:
    """Directions in which (row, column, slice) shall increase, for a volume with axes ``codes``.

    The slice axis stays. In the plane a radiologist's view: rows towards inferior (posterior in
    an axial slice), columns towards the patient's left (posterior in a sagittal slice).
    """
    slice_code = codes[2]
    if slice_code in "SI":
        return "P", "L", slice_code
    if slice_code in "AP":
        return "I", "L", slice_code
    return "I", "P", slice_code
