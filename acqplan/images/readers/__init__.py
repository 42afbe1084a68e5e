"""Readers of image files: one module a format, chosen by the content of the file, not by its name."""

from __future__ import annotations

from pathlib import Path

from acqplan.core.errors import ImageError
from acqplan.images.readers import dicom, nifti, numpy_array, png, tiff
from acqplan.images.readers.base import HEAD_BYTES, RawImages, Reader
from acqplan.modalities.mri.image_readers import bart_cfl, fastmri, ismrmrd, twix

READERS: tuple[Reader, ...] = (nifti, numpy_array, tiff, png, dicom, ismrmrd, fastmri, bart_cfl, twix)

FORMATS = "NIfTI, NumPy, TIFF, PNG, DICOM, ISMRMRD, fastMRI HDF5, BART .cfl, twix"

_REFUSED = (  # offset, magic number, what it is, what to do
    (
        0,
        b"\xff\xd8\xff",
        "a JPEG picture",
        "Its compression would be learned as anatomy: use the uncompressed original.",
    ),
    (344, b"ni1\0", "one half of a NIfTI pair (.hdr and .img)", "Save it as a single .nii file."),
    (0, b"GIF8", "a GIF picture", "Save it as PNG or TIFF."),
    (0, b"BM", "a BMP picture", "Save it as PNG or TIFF."),
    (0, b"MATLAB 5.0", "a MATLAB 5 file", "Save the array as .npy, or as TIFF."),
)


def read(path: Path) -> RawImages:
    """The images of one file, by the reader that recognises its content.

    Raises `ImageError` for a file that can't be opened, is empty, is of no known format, or is
    damaged.
    """
    try:
        with path.open("rb") as file:
            head = file.read(HEAD_BYTES)
    except OSError as error:
        raise ImageError(f"{path} can't be opened: {error.strerror}.", "Check the path and its permissions.") from error
    if not head:
        raise ImageError(f"{path} is empty (0 bytes).", "Copy or export it again.")
    for reader in READERS:
        if reader.matches(path, head):
            return reader.read(path)
    for offset, magic, what, remedy in _REFUSED:
        if head[offset : offset + len(magic)] == magic:
            raise ImageError(f"{path} is {what}.", remedy)
    raise ImageError(f"{path} is no image file that acqplan reads.", f"These are read: {FORMATS}.")


__all__ = ["FORMATS", "HEAD_BYTES", "READERS", "RawImages", "Reader", "dicom", "read"]
