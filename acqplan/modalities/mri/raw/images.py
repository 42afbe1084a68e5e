"""Images of a fully sampled raw scan, for the readers of raw data formats."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from acqplan.core.errors import AcquisitionError, ImageError
from acqplan.core.math.transforms import ifft_centred
from acqplan.images.reading import RawImages, root_sum_of_squares
from acqplan.modalities.mri.coils import principal_coils, virtual
from acqplan.modalities.mri.raw.data import Lines, RawData

MAX_COILS = 12  # kept as virtual coils
_LOOKED_AT = 8  # images that say which they are


def images_of(path: Path, read: Callable[[Path], RawData]) -> RawImages:
    """The images of the raw scan that ``read`` finds at ``path``.

    2D: rows are ky, columns the readout, one image a slice. 3D: rows are ky, columns kz, one image for each position
    along the readout. One coil gives complex images; several give coil images and their root of the sum of squares.

    Raises
    ------
    ImageError
        The file can't be read, is undersampled, or has readouts that aren't finite.
    """
    try:
        scan = read(path)
    except AcquisitionError as error:
        raise ImageError(error.problem, error.remedy) from error
    _check(scan, path)
    coil_images = _volume(scan) if scan.is_3d else _slices(scan)
    geometry = scan.volume_geometry("points" if scan.is_3d else "lines")
    if scan.n_coils == 1:
        return RawImages(coil_images[:, 0], geometry, is_2d_scan=not scan.is_3d)
    combined = root_sum_of_squares(coil_images)
    return RawImages(combined, geometry, coil_images=few_coils(coil_images), is_2d_scan=not scan.is_3d)


def _check(scan: RawData, path: Path) -> None:
    n_bad = int((~np.isfinite(scan.lines)).any(axis=(1, 2)).sum())
    if n_bad:
        raise ImageError(f"{path} has {n_bad} readouts with NaN or infinite values.", "Leave the file out.")
    n_measured, n_positions = scan.n_measured, scan.n_slices * scan.matrix[1] * scan.matrix[2]
    if n_measured < n_positions:
        raise ImageError(
            f"{path} is undersampled: {n_measured} of {n_positions} k-space positions were measured.",
            "Train on fully sampled scans: leave this file out.",
        )


def _slices(scan: RawData) -> Lines:
    """complex64[slices, coils, ky, readout]."""
    images = np.empty((scan.n_slices, scan.n_coils, scan.matrix[1], scan.matrix[0]), np.complex64)
    for i in range(scan.n_slices):
        images[i] = ifft_centred(torch.from_numpy(scan.kspace(i)[0][:, 0]), (-2, -1)).numpy()
    return images


def _volume(scan: RawData) -> Lines:
    """complex64[readout, coils, ky, kz]."""
    if scan.n_slices != 1:
        raise ImageError(f"{scan.source} holds {scan.n_slices} slabs of a 3D scan.", "Save each slab to a file.")
    kspace, _ = scan.kspace()  # coils, kz, ky, readout
    n_readout, n_ky, n_kz = scan.matrix
    images = np.empty((n_readout, scan.n_coils, n_ky, n_kz), np.complex64)
    for c in range(scan.n_coils):
        volume = ifft_centred(torch.from_numpy(kspace[c]), (0, 1, 2)).numpy()
        images[:, c] = volume.transpose(2, 1, 0)
    return images


def few_coils(coil_images: Lines) -> Lines:
    """At most `MAX_COILS` virtual coils of [n, C, H, W]: they hold nearly all the signal, and the memory is theirs."""
    coil_images = np.asarray(coil_images, dtype=np.complex64)
    if coil_images.shape[1] <= MAX_COILS or not np.isfinite(coil_images).all():
        return coil_images
    some = coil_images[:: -(-len(coil_images) // _LOOKED_AT), :, ::4, ::4]
    return virtual(coil_images, principal_coils(np.moveaxis(some, 1, 0)).first(MAX_COILS), axis=1)
