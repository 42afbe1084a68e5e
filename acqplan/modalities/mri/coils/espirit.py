"""Coil sensitivities from a fully measured centre of k-space: ESPIRiT, by sigpy."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from acqplan.core.errors import AcquisitionError
from acqplan.core.optional import optional_import
from acqplan.modalities.mri.coils.compression import principal_coils
from acqplan.modalities.mri.settings import MIN_WIDTH

_NARROW = 14  # up to here a smaller kernel gives the better maps
_KERNEL_WIDTHS = (4, 5)
_WIDEST = 24
_THRESHOLD = 0.02  # of the largest singular value: kernels below it are noise
_ITERATIONS = 50
_GRID = 64  # positions along an axis at which maps are computed: they are smooth, what lies between is interpolated


def espirit_maps(
    calibration: npt.NDArray[np.complexfloating[Any, Any]],
    image_shape: tuple[int, int],
    reference: npt.NDArray[np.complex64] | None = None,
) -> npt.NDArray[np.complex64]:
    """Sensitivities complex64[C, *image_shape] from calibration[C, h, w], the centre of k-space with zero at n // 2.

    The square centre is used, of at most 24. Eigenvectors aren't cut off where their eigenvalue is small: outside the
    object they continue the maps there, and Σ|S|² = 1 everywhere. Where nothing was received at all, they are the
    reference.

    Parameters
    ----------
    reference
        complex64[C]: the combination of coils whose sensitivity is real and positive; None: the first principal coil of
        the calibration data.

    Raises
    ------
    AcquisitionError
        The centre is narrower than `MIN_WIDTH`, or sigpy isn't installed.

    Source: Uecker et al. 2014, doi 10.1002/mrm.24751.
    """
    width = min(calibration.shape[1:])
    check_width(width, "The calibration region")
    calibration = np.asarray(calibration, dtype=np.complex64)
    if reference is None:
        reference = principal_coils(calibration).basis[:, 0]
    level = float(np.abs(calibration).max())
    if level == 0:
        return np.ascontiguousarray(np.broadcast_to(reference[:, None, None], (len(reference), *image_shape)))
    coarse = (min(image_shape[0], _GRID), min(image_shape[1], _GRID))
    maps = _eigenvectors(calibration / level, min(width, _WIDEST, *coarse), coarse)
    maps = np.where(np.isfinite(maps).all(0), maps, reference[:, None, None])
    seen = np.einsum("c,chw->hw", reference.conj(), maps)
    maps = maps * np.exp(-1j * np.angle(seen))
    maps = _interpolated(maps, image_shape)
    norm = np.sqrt(np.square(np.abs(maps)).sum(0))
    return np.ascontiguousarray(maps / np.maximum(norm, 1e-12), dtype=np.complex64)


def check_width(width: int, where: str) -> None:
    """Raise `AcquisitionError` unless a fully measured centre of ``width`` suffices for maps."""
    if width < MIN_WIDTH:
        raise AcquisitionError(
            f"{where} is {width} wide; coil maps need a fully measured centre of at least {MIN_WIDTH}.",
            f"Design the plan with --calibration {MIN_WIDTH} or more (12 is better), or give coil maps with the data.",
        )


def _eigenvectors(
    calibration: npt.NDArray[np.complex64], width: int, image_shape: tuple[int, int]
) -> npt.NDArray[np.complex64]:
    """Of norm 1, with some phase; NaN where the first coil receives exactly nothing."""
    top, left = (n // 2 - width // 2 for n in calibration.shape[1:])
    square = calibration[:, top : top + width, left : left + width]
    grid = np.zeros((len(square), *image_shape), np.complex64)
    top, left = (n // 2 - width // 2 for n in image_shape)
    grid[:, top : top + width, left : left + width] = square
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")  # of numba and of what sigpy divides
        sigpy_app = optional_import(
            "sigpy.mri.app",
            "mri",
            "Coil maps have to be estimated with the package",
            error=AcquisitionError,
            otherwise=", or give the coil maps with the data",
        )
        app = sigpy_app.EspiritCalib(
            grid,
            calib_width=width,
            thresh=_THRESHOLD,
            kernel_width=_KERNEL_WIDTHS[width > _NARROW],
            crop=0,
            max_iter=_ITERATIONS,
            show_pbar=False,
        )
        maps: npt.NDArray[np.complex64] = app.run()
    return maps


def _interpolated(maps: npt.NDArray[Any], image_shape: tuple[int, int]) -> npt.NDArray[Any]:
    """Maps of the same field of view on a finer grid, by cubic splines; index n // 2 is position zero of both."""
    shape = maps.shape[1:]
    if shape == image_shape:
        return maps
    axes = [
        (np.arange(fine) - fine // 2) * (coarse / fine) + coarse // 2
        for fine, coarse in zip(image_shape, shape, strict=True)
    ]
    at = np.stack(np.meshgrid(*axes, indexing="ij"))
    result = np.empty((len(maps), *image_shape), np.complex64)
    for each, fine in zip(maps, result, strict=True):
        fine.real = ndimage.map_coordinates(each.real, at, order=3, mode="grid-wrap")
        fine.imag = ndimage.map_coordinates(each.imag, at, order=3, mode="grid-wrap")
    return result
