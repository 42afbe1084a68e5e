"""fastMRI-style HDF5: fully sampled Cartesian k-space, or the reference reconstruction."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt
import torch

from acqplan.core.errors import ImageError
from acqplan.core.math.transforms import ifft_centred
from acqplan.images.readers.base import RawImages, root_sum_of_squares, unreadable

_RECONSTRUCTIONS = ("reconstruction_rss", "reconstruction_esc")
_MAGIC = b"\x89HDF\r\n\x1a\n"


def matches(path: Path, head: bytes) -> bool:
    """HDF5's magic number, at the start or behind a user block."""
    return head.startswith(_MAGIC) or bool(h5py.is_hdf5(path))


def _datasets(file: h5py.File) -> list[str]:
    found: list[str] = []

    def visit(name: str, item: object) -> None:
        if isinstance(item, h5py.Dataset):
            found.append(f"{name} {item.shape}")

    file.visititems(visit)
    return found


def _reconstructed_shape(file: h5py.File) -> tuple[int, int] | None:
    """Rows and columns of the image that the scanner makes: without the oversampling of the readout."""
    for name in _RECONSTRUCTIONS:
        if name in file:
            return int(file[name].shape[-2]), int(file[name].shape[-1])
    if "ismrmrd_header" in file:
        header = file["ismrmrd_header"][()]
        text = header.decode(errors="replace") if isinstance(header, bytes) else str(header)
        number = r"\s*<x>(\d+)</x>\s*<y>(\d+)</y>"
        found = re.search(r"<reconSpace>\s*<matrixSize>" + number, text)
        if found:
            return int(found.group(1)), int(found.group(2))
    return None


def _centre(images: npt.NDArray[Any], shape: tuple[int, int]) -> npt.NDArray[Any]:
    """The middle ``shape`` of the last two axes; a side that is shorter already stays."""
    height, width = (min(want, have) for want, have in zip(shape, images.shape[-2:], strict=True))
    top, left = images.shape[-2] // 2 - height // 2, images.shape[-1] // 2 - width // 2
    return images[..., top : top + height, left : left + width]


def _images_of(kspace: npt.NDArray[np.complex64]) -> npt.NDArray[np.complex64]:
    """Centred orthonormal inverse Fourier transform of one slice [..., H, W]."""
    image: npt.NDArray[np.complex64] = ifft_centred(torch.from_numpy(kspace), (-2, -1)).numpy()
    return image


def read(path: Path) -> RawImages:
    """``kspace`` (slices, H, W): complex images; (slices, coils, H, W): root of the sum of squares, and coil images.

    Without ``kspace`` the ``reconstruction_rss`` or ``reconstruction_esc`` magnitudes are used.
    Images are cropped to the scanner's reconstructed matrix, as fastMRI does, and turned: fastMRI's
    phase encoding runs along W, which become the rows (ky). Undersampled test files (with ``mask``) are refused.
    """
    try:
        with h5py.File(path, "r") as file:
            return _read(file, path)
    except ImageError:
        raise
    except Exception as error:
        raise unreadable(path, "HDF5", error) from error


def _read(file: h5py.File, path: Path) -> RawImages:
    kspace = file.get("kspace")
    if not isinstance(kspace, h5py.Dataset):
        for name in _RECONSTRUCTIONS:
            if name in file:
                return RawImages(_turned(np.asarray(file[name])))
        found = _datasets(file)
        listing = ", ".join(found[:8]) + (", …" if len(found) > 8 else "") or "nothing"
        raise ImageError(
            f"{path} is HDF5 but has no fastMRI dataset 'kspace' or 'reconstruction_rss'; it holds: {listing}.",
            "Save the images as .npy, or the k-space as a dataset 'kspace' (slices, H, W).",
        )
    if "mask" in file:
        raise ImageError(
            f"{path} is undersampled (it holds a 'mask').", "Train on fully sampled scans: leave this file out."
        )
    if kspace.ndim not in (3, 4) or kspace.dtype.kind != "c":
        raise ImageError(
            f"{path} has a 'kspace' of type {kspace.dtype} and shape {kspace.shape}; complex (slices, H, W) or "
            "(slices, coils, H, W) is expected.",
            "Reorder its axes.",
        )
    shape = _reconstructed_shape(file) or (int(kspace.shape[-2]), int(kspace.shape[-1]))
    images = [  # slice by slice: its transform needs several times its memory
        _turned(_centre(_images_of(np.asarray(kspace[i], dtype=np.complex64)), shape)) for i in range(kspace.shape[0])
    ]
    stack = np.stack(images) if images else np.zeros((0, *shape[::-1]), np.complex64)
    if kspace.ndim == 4 and images:
        return RawImages(root_sum_of_squares(stack), coil_images=stack, is_2d_scan=True)
    return RawImages(stack, is_2d_scan=True)


def _turned(images: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """[..., H, W] -> [..., W, H]: rows are ky, columns the readout."""
    return np.ascontiguousarray(np.swapaxes(images, -1, -2))
