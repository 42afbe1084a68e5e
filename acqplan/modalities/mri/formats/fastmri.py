"""fastMRI HDF5: Cartesian k-space (slices, H, W) or (slices, coils, H, W), read out along H, with a mask along W.

W is ky: the mask and the encoding limits act on it. H is the readout, with its oversampling. As acquired data it is a
raw scan; as images to train on it has to be fully sampled, or hold the reference reconstruction.
"""

from __future__ import annotations

import itertools
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import h5py
import numpy as np
import numpy.typing as npt
import torch

from acqplan.core import hdf5
from acqplan.core.errors import AcquisitionError, ImageError
from acqplan.core.hdf5 import MAGIC, dataset_of, names
from acqplan.core.math.transforms import ifft_centred
from acqplan.core.registry import register
from acqplan.formats.acquired import FRESH_COPY
from acqplan.images.reading import RawImages, root_sum_of_squares, unreadable
from acqplan.modalities.mri.raw import readouts
from acqplan.modalities.mri.raw.data import RawData
from acqplan.modalities.mri.raw.hdf5_input import is_hdf5, opened
from acqplan.modalities.mri.raw.reader import RawReader

_RECONSTRUCTIONS = ("reconstruction_rss", "reconstruction_esc")
_LISTED = 8  # datasets of a file that is none


@register("image_readers", "fastmri")
@register("instruments", "fastmri")
class FastMRI(RawReader):
    """Only read: slices of ``kspace``, columns in ``mask`` as lines of a plan; the file states no order."""

    summary = "fastMRI HDF5: acquired k-space, single- or multi-coil, and its mask; only read."
    acquired_suffixes = (".h5",)
    title, asked = "fastMRI HDF5", 11

    @classmethod
    def recognises(cls, path: Path) -> bool:
        return recognises(path)

    def read_raw(self, path: Path) -> RawData:
        return read(path)

    def matches(self, path: Path, head: bytes) -> bool:
        """HDF5's magic number, at the start or behind a user block."""
        return head.startswith(MAGIC) or bool(h5py.is_hdf5(path))

    def read_images(self, path: Path) -> RawImages:
        """``kspace`` (slices, H, W): complex images; (slices, coils, H, W): coil images, and their root sum of squares.

        Without ``kspace`` the ``reconstruction_rss`` or ``reconstruction_esc`` magnitudes are used.
        Images are cropped to the scanner's reconstructed matrix, as fastMRI does, and turned: fastMRI's
        phase encoding runs along W, which become the rows (ky). Undersampled test files (with ``mask``) are refused.
        """
        try:
            with hdf5.opened(path) as file:
                return _images(file, path)
        except ImageError:
            raise
        except Exception as error:
            raise unreadable(path, "HDF5", error) from error


@dataclass(frozen=True)
class Header:
    """Matrices and fields of view (readout, ky, kz) of an ``ismrmrd_header``; limits of ky: centre and maximum."""

    encoded: tuple[int, int, int]
    recon: tuple[int, int, int]
    encoded_fov: tuple[float, float, float] | None
    recon_fov: tuple[float, float, float] | None
    centre: int | None
    maximum: int | None

    def n_readout(self, n_encoded: int) -> int:
        """Samples along the readout without its oversampling."""
        if self.encoded_fov and self.recon_fov and min(self.encoded_fov[0], self.recon_fov[0]) > 0:
            share = self.recon_fov[0] / self.encoded_fov[0]
        else:
            share = self.recon[0] / self.encoded[0]
        return min(n_encoded, max(1, round(n_encoded * share)))


def recognises(path: Path) -> bool:
    """Whether the HDF5 file holds a complex ``kspace`` of three or four axes; never raises."""
    if not is_hdf5(path):
        return False
    try:
        with opened(path, "fastMRI") as file:
            kspace = dataset_of(file, "kspace")
            return kspace is not None and kspace.dtype.kind == "c" and kspace.ndim in (3, 4)
    except AcquisitionError:
        return False


def read(path: Path) -> RawData:
    """The measured columns of every slice; the file states no order, no position and no noise.

    Raises
    ------
    AcquisitionError
        Damaged, without ``kspace``, or with a mask of another length.
    """
    with opened(path, "fastMRI") as file:
        kspace = dataset_of(file, "kspace")
        if kspace is not None and (kspace.dtype.kind != "c" or kspace.ndim not in (3, 4)):
            raise AcquisitionError(f"{path} has {_kspace_fault(kspace)}.", _kspace_remedy(kspace))
        if kspace is None or 0 in kspace.shape:
            raise AcquisitionError(
                f"{path} has no complex 'kspace' (slices, H, W) or (slices, coils, H, W).", "Pass a fastMRI file."
            )
        if kspace.size * 8 > readouts.MAX_BYTES:
            raise AcquisitionError(f"{path} claims a k-space of {kspace.shape}: too large.", FRESH_COPY)
        header = header_of(file, path)
        n_slices, n_encoded, n_ky = kspace.shape[0], kspace.shape[-2], kspace.shape[-1]
        n_coils = kspace.shape[1] if kspace.ndim == 4 else 1
        n_readout = header.n_readout(n_encoded) if header else n_encoded
        measured = np.flatnonzero(_mask(file, n_ky, path) & _inside(header, n_ky))
        if not measured.size:
            raise AcquisitionError(f"{path} has a mask that measures nothing.", FRESH_COPY)
        lines = np.empty((n_slices, measured.size, n_coils, n_readout), np.complex64)
        for i in range(n_slices):
            values = np.asarray(kspace[i], np.complex64).reshape(n_coils, n_encoded, n_ky)[..., measured]
            columns = np.ascontiguousarray(np.moveaxis(values, -1, 0))
            lines[i] = readouts.without_oversampling(columns, n_readout)
        n_low = int(file.attrs.get("num_low_frequency", 0))
    fov = None
    if header and header.encoded_fov and min(header.encoded_fov) > 0:
        fov = (header.encoded_fov[0] * n_readout / n_encoded, header.encoded_fov[1], header.encoded_fov[2])
    n = n_slices * measured.size
    ky = np.tile(measured.astype(np.int32), n_slices)
    first_low = n_ky // 2 - n_low // 2
    return RawData(
        lines=lines.reshape(n, n_coils, n_readout),
        ky=ky,
        kz=np.zeros(n, np.int32),
        slice=np.repeat(np.arange(n_slices, dtype=np.int32), measured.size),
        repetition=np.zeros(n, np.int32),
        average=np.zeros(n, np.int32),
        is_calibration=(ky >= first_low) & (ky < first_low + n_low),
        is_imaging=np.ones(n, bool),
        matrix=(n_readout, n_ky, 1),
        source=str(path),
        field_of_view_mm=fov,
        states_order=False,
    )


def header_of(file: h5py.File, path: Path) -> Header | None:
    """The header, or None if there is none or it states no matrices; `AcquisitionError` if it is damaged."""
    text = _header_text(file)
    if text is None:
        return None
    try:
        if "<!DOCTYPE" in text or "<!ENTITY" in text:
            raise ValueError("it has a document type")
        root = ElementTree.fromstring(text)
        encoding = root.find("{*}encoding")
        encoded, recon = root.find("{*}encoding/{*}encodedSpace"), root.find("{*}encoding/{*}reconSpace")
        if encoding is None or encoded is None or recon is None:
            return None
        limits = encoding.find("{*}encodingLimits/{*}kspace_encoding_step_1")
        centre, maximum = (None, None) if limits is None else (int(_text(limits, n)) for n in ("center", "maximum"))
        matrices = [tuple(int(_text(_child(s, "matrixSize"), a)) for a in "xyz") for s in (encoded, recon)]
        if min(min(matrix) for matrix in matrices) < 1:
            raise ValueError("its matrices are empty")
    except (ElementTree.ParseError, ValueError, TypeError) as error:
        raise AcquisitionError(f"{path} has an ismrmrd_header that can't be read: {error}.", FRESH_COPY) from error
    fovs = [_fov(space) for space in (encoded, recon)]
    return Header(
        (matrices[0][0], matrices[0][1], matrices[0][2]),
        (matrices[1][0], matrices[1][1], matrices[1][2]),
        fovs[0],
        fovs[1],
        centre,
        maximum,
    )


def _header_text(file: h5py.File) -> str | None:
    stored = dataset_of(file, "ismrmrd_header")
    if stored is None or stored.size == 0:
        return None
    value: Any = stored[()] if stored.ndim == 0 else stored[:1].ravel()[0]
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value)


def _child(element: ElementTree.Element, name: str) -> ElementTree.Element:
    found = element.find(f"{{*}}{name}")
    if found is None:
        raise ValueError(f"it has no {name}")
    return found


def _text(element: ElementTree.Element, name: str) -> str:
    return _child(element, name).text or ""


def _fov(space: ElementTree.Element) -> tuple[float, float, float] | None:
    found = space.find("{*}fieldOfView_mm")
    if found is None:
        return None
    return float(_text(found, "x")), float(_text(found, "y")), float(_text(found, "z"))


def _mask(file: h5py.File, n_ky: int, path: Path) -> npt.NDArray[np.bool_]:
    """bool[n_ky]: measured columns; all of a file without mask."""
    if "mask" not in names(file):
        return np.ones(n_ky, bool)
    stored = dataset_of(file, "mask")
    mask = None if stored is None or stored.size != n_ky else np.asarray(stored[()]).ravel()
    if mask is None or mask.dtype.kind not in "biuf":
        raise AcquisitionError(
            f"{path} has a mask of shape {stored.shape if stored is not None else '?'} for {n_ky} columns.", FRESH_COPY
        )
    return np.asarray(mask != 0)


def _inside(header: Header | None, n_ky: int) -> npt.NDArray[np.bool_]:
    """bool[n_ky]: columns within the encoding limits; those outside hold zeros that nobody measured."""
    inside = np.ones(n_ky, bool)
    if header is None or header.centre is None or header.maximum is None or header.encoded[1] != n_ky:
        return inside
    left = n_ky // 2 - header.centre
    inside[: max(0, left)] = False
    inside[max(0, left + header.maximum + 1) :] = False
    return inside


def _reconstructed_shape(file: h5py.File) -> tuple[int, int] | None:
    """Rows and columns of the image that the scanner makes: without the oversampling of the readout."""
    for name in _RECONSTRUCTIONS:
        stored = dataset_of(file, name)
        if stored is not None and stored.ndim > 1:
            return int(stored.shape[-2]), int(stored.shape[-1])
    number = r"\s*<x>(\d{1,9})</x>\s*<y>(\d{1,9})</y>"
    found = re.search(r"<reconSpace>\s*<matrixSize>" + number, _header_text(file) or "")
    return (int(found.group(1)), int(found.group(2))) if found else None


def _centre(images: npt.NDArray[Any], shape: tuple[int, int]) -> npt.NDArray[Any]:
    """The middle ``shape`` of the last two axes; a side that is shorter already stays."""
    height, width = (min(want, have) for want, have in zip(shape, images.shape[-2:], strict=True))
    top, left = images.shape[-2] // 2 - height // 2, images.shape[-1] // 2 - width // 2
    return images[..., top : top + height, left : left + width]


def _inverse(kspace: npt.NDArray[np.complex64]) -> npt.NDArray[np.complex64]:
    """Centred orthonormal inverse Fourier transform of one slice [..., H, W]."""
    image: npt.NDArray[np.complex64] = ifft_centred(torch.from_numpy(kspace), (-2, -1)).numpy()
    return image


def _images(file: h5py.File, path: Path) -> RawImages:
    kspace = dataset_of(file, "kspace")
    if kspace is None:
        for name in _RECONSTRUCTIONS:
            stored = dataset_of(file, name)
            if stored is not None:
                return RawImages(_turned(_magnitudes(stored, path)))
        found = [f"{name} {file[name].shape}" for name in itertools.islice(hdf5.datasets_of(file), _LISTED + 1)]
        listing = ", ".join(found[:_LISTED]) + (", …" if len(found) > _LISTED else "") or "nothing"
        raise ImageError(
            f"{path} is HDF5 but has no fastMRI dataset 'kspace' or 'reconstruction_rss'; it holds: {listing}.",
            "Save the images as .npy, or the k-space as a dataset 'kspace' (slices, H, W).",
        )
    if "mask" in set(file):  # the names alone: nothing is followed
        raise ImageError(
            f"{path} is undersampled (it holds a 'mask').", "Train on fully sampled scans: leave this file out."
        )
    if kspace.ndim not in (3, 4) or kspace.dtype.kind != "c":
        raise ImageError(f"{path} has {_kspace_fault(kspace)}.", _kspace_remedy(kspace))
    shape = _reconstructed_shape(file) or (int(kspace.shape[-2]), int(kspace.shape[-1]))
    images = [  # slice by slice: its transform needs several times its memory
        _turned(_centre(_inverse(np.asarray(kspace[i], dtype=np.complex64)), shape)) for i in range(kspace.shape[0])
    ]
    stack = np.stack(images) if images else np.zeros((0, *shape[::-1]), np.complex64)
    if kspace.ndim == 4 and images:
        return RawImages(root_sum_of_squares(stack), coil_images=stack, is_2d_scan=True)
    return RawImages(stack, is_2d_scan=True)


def _magnitudes(stored: h5py.Dataset, path: Path) -> npt.NDArray[Any]:
    """A reconstruction (slices, H, W); one (H, W) is one slice."""
    if stored.ndim not in (2, 3) or stored.dtype.kind not in "fiu":
        raise ImageError(
            f"{path} has a reconstruction of type {stored.dtype} and shape {stored.shape}; "
            "real (slices, H, W) is expected.",
            "Save one magnitude image a slice.",
        )
    values = np.asarray(stored[()])
    return values if values.ndim == 3 else values[None]


def _kspace_fault(kspace: h5py.Dataset) -> str:
    """What is wrong with a k-space that isn't complex (slices, H, W) or (slices, coils, H, W)."""
    return (
        f"a 'kspace' of type {kspace.dtype} and shape {kspace.shape}; complex (slices, H, W) or (slices, coils, H, W) "
        "is expected"
    )


def _kspace_remedy(kspace: h5py.Dataset) -> str:
    if kspace.dtype.kind in "fiu" and 2 in kspace.shape and kspace.ndim in (4, 5):
        return "It looks like real and imaginary parts along one axis: save them as one complex array."
    if kspace.dtype.kind in "fiu":
        return "Save it as complex numbers (complex64)."
    return "Reorder its axes; write a 3D scan as slices, after a Fourier transform along one of its phase axes."


def _turned(images: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """[..., H, W] -> [..., W, H]: rows are ky, columns the readout."""
    return np.ascontiguousarray(np.swapaxes(images, -1, -2))
