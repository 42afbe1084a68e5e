"""Coil sensitivities from a fully measured centre of k-space: ESPIRiT, of many images at once.

A patch of k-space around any position is a sum over the object's positions r of S(r) e^(−2πi k·r), S the sensitivities
of all coils. So S(r) e^(−2πi k·r) lies in the space of all patches, and S(r) is the eigenvector with the largest
eigenvalue of the matrix M(r) that the projector on that space becomes between waves e^(−2πi k·r): its Fourier
coefficients are sums of the projector's entries at one distance, (2 × kernel − 1)² of them.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from scipy import ndimage

from acqplan.core.errors import AcquisitionError
from acqplan.modalities.mri.coils.scaling import energy, scaled
from acqplan.modalities.mri.settings import MIN_WIDTH

_NARROW = 14  # up to here a smaller kernel gives the better maps
_KERNEL_WIDTHS = (4, 5)
_WIDEST = 24
_THRESHOLD = 0.02  # of the largest singular value: patches below it are noise
_SQUARINGS = 4  # of M: 2^4 steps of the power method
_GRID = 32  # positions along an axis at which maps are computed: they are smooth, what lies between is interpolated
_TINY = 1e-30


def espirit_maps(
    calibration: npt.NDArray[np.complexfloating[Any, Any]],
    image_shape: tuple[int, int],
    reference: npt.NDArray[np.complex64] | None = None,
) -> npt.NDArray[np.complex64]:
    """`estimated_maps` of one image: complex64[C, *image_shape] from calibration[C, h, w].

    Parameters
    ----------
    reference
        complex64[C]: the combination of coils whose sensitivity is real and positive; None: the first principal coil of
        the calibration data.

    Raises
    ------
    AcquisitionError
        The centre is narrower than `MIN_WIDTH`.
    """
    check_width(min(calibration.shape[1:]), "The calibration region")
    data = torch.from_numpy(np.ascontiguousarray(calibration, dtype=np.complex64))[None]
    given = None if reference is None else torch.from_numpy(np.asarray(reference, np.complex64))[None]
    maps: npt.NDArray[np.complex64] = estimated_maps(data, image_shape, given)[0].numpy()
    return maps


def check_width(width: int, where: str) -> None:
    """Raise `AcquisitionError` unless a fully measured centre of ``width`` suffices for maps."""
    if width < MIN_WIDTH:
        raise AcquisitionError(
            f"{where} is {width} wide; coil maps need a fully measured centre of at least {MIN_WIDTH}.",
            f"Design the plan with --calibration {MIN_WIDTH} or more (12 is better), or give coil maps with the data.",
        )


@torch.no_grad()
def estimated_maps(
    calibration: torch.Tensor, image_shape: tuple[int, int], reference: torch.Tensor | None = None
) -> torch.Tensor:
    """Sensitivities complex64[B, C, *image_shape] from calibration[B, C, h, w], k-space with zero at n // 2.

    The square centre is used, of at most 24. Eigenvectors aren't cut off where their eigenvalue is small: outside the
    object they continue the maps there, and Σ|S|² = 1 everywhere. Where nothing was received at all, they are the
    reference, complex64[B, C] or the first principal coil of each image. On the device of ``calibration``.

    Where a brain is, maps of 4 to 16 drawn coils at 128 × 128, with noise of 0.01 of the image's peak, are wrong by 5
    to 8 % (root mean square of the error over that of the maps) from a centre 8 wide, by 1.4 to 1.9 % from one 12 wide,
    and by 0.9 to 1.3 % from one 24 wide; with noise of 0.03 by up to 3 % from 12 to 24 (``benchmarks/mri_realism.py``).
    They are those of sigpy's `EspiritCalib` there.

    Source: Uecker et al. 2014, doi 10.1002/mrm.24751.
    """
    grid = (min(image_shape[0], _GRID), min(image_shape[1], _GRID))
    width = min(*calibration.shape[2:], _WIDEST, *image_shape)
    top, left = (n // 2 - width // 2 for n in calibration.shape[2:])
    data = calibration.to(torch.complex64)[..., top : top + width, left : left + width]
    data = data / energy(data).amax((1, 2, 3), keepdim=True).sqrt().clamp(min=_TINY)
    if reference is None:
        reference = _principal(data)
    maps = _eigenvectors(_projected(_patches(data, _KERNEL_WIDTHS[width > _NARROW])), grid)
    nothing = energy(data).amax((1, 2, 3)) == 0
    maps = torch.where(nothing[:, None, None, None] | ~maps.isfinite(), reference[:, :, None, None], maps)
    seen = (reference.conj()[:, :, None, None] * maps).sum(1, keepdim=True)
    maps = maps * torch.polar(torch.ones_like(seen.real), -seen.angle())  # sgn() would lose maps where it is zero
    rows, columns = (_interpolation(n, m).to(maps.device) for n, m in zip(image_shape, grid, strict=True))
    maps = rows @ maps @ columns.mT
    return scaled(maps, energy(maps).sum(1, keepdim=True).sqrt().clamp(min=1e-12).reciprocal())


def _principal(data: torch.Tensor) -> torch.Tensor:
    """complex64[B, C]: the first principal coil of data[B, C, h, w], its largest entry real and positive."""
    flat = data.flatten(2)
    vectors = _eigh(flat @ flat.mH)[1][..., -1]
    largest = vectors.gather(1, vectors.abs().argmax(1, keepdim=True))
    turned: torch.Tensor = vectors * (largest.abs() / largest)
    return turned


def _eigh(matrix: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Eigenvalues[B, n], ascending, and eigenvectors of Hermitian matrix[B, n, n].

    The quick algorithm may not converge where many eigenvalues are equal, as those of coils that aren't there; the QR
    algorithm does.
    """
    try:
        values, vectors = torch.linalg.eigh(matrix)
        return values, vectors
    except RuntimeError:  # torch.linalg.LinAlgError
        from scipy import linalg

        found = [linalg.eigh(each, driver="ev") for each in matrix.cpu().numpy().astype(np.complex128)]
    values, vectors = (torch.from_numpy(np.stack(part)) for part in zip(*found, strict=True))
    return values.to(matrix.device, torch.float32), vectors.to(matrix.device, torch.complex64)


def _patches(data: torch.Tensor, kernel: int) -> torch.Tensor:
    """data[B, C, w, w] -> its patches[B, n, kernel, kernel, C]."""
    unfolded = data.unfold(2, kernel, 1).unfold(3, kernel, 1)  # B, C, positions, positions, kernel, kernel
    return unfolded.permute(0, 2, 3, 4, 5, 1).flatten(1, 2)


def _projected(patches: torch.Tensor) -> torch.Tensor:
    """The Fourier coefficients of M, complex64[B, 2k−1, 2k−1, C, C], distance zero in the middle, of patches."""
    n_images, n, kernel, _, n_coils = patches.shape
    matrix = patches.flatten(2)
    # Of the two Gram matrices with the same eigenvalues the smaller one: projector = Σ v vᴴ over the large ones.
    gram = matrix.mH @ matrix if matrix.shape[2] <= n else matrix @ matrix.mH
    values, vectors = _eigh(gram)
    is_signal = values > _THRESHOLD**2 * values[:, -1:]
    if matrix.shape[2] > n:
        vectors = matrix.mH @ vectors / values.clamp(min=_TINY).sqrt()[:, None]
    vectors = torch.where(is_signal[:, None], vectors, 0)
    projector = (vectors.conj() @ vectors.mT).reshape(n_images, kernel, kernel, n_coils, kernel, kernel, n_coils)
    pairs = projector.permute(1, 2, 4, 5, 0, 3, 6).reshape(kernel**4, n_images, n_coils, n_coils)
    side = 2 * kernel - 1
    places = torch.arange(kernel, device=patches.device)
    distance = places[:, None] - places[None, :] + kernel - 1
    index = (distance[:, None, :, None] * side + distance[None, :, None, :]).flatten()
    summed = torch.zeros((side * side, n_images, n_coils, n_coils), dtype=pairs.dtype, device=pairs.device)
    found: torch.Tensor = summed.index_add_(0, index, pairs).unflatten(0, (side, side))
    return found.movedim(2, 0)


def _eigenvectors(coefficients: torch.Tensor, grid: tuple[int, int]) -> torch.Tensor:
    """complex64[B, C, *grid] of norm 1, with some phase, from the Fourier coefficients of M."""
    half = coefficients.shape[1] // 2
    distance = torch.arange(-half, half + 1, device=coefficients.device)

    def waves(n: int) -> torch.Tensor:
        turns = (torch.arange(n, device=coefficients.device) - n // 2)[:, None] * distance / n
        return torch.polar(torch.ones_like(turns), 2 * torch.pi * turns)

    matrices = torch.einsum("ya,xb,iabcd->iyxcd", waves(grid[0]), waves(grid[1]), coefficients)
    for _ in range(_SQUARINGS):
        matrices = matrices / _trace(matrices).clamp(min=_TINY)[..., None, None]
        matrices = matrices @ matrices
    diagonal = matrices.diagonal(dim1=-2, dim2=-1).real
    largest = diagonal.argmax(-1)[..., None, None].expand(*matrices.shape[:-1], 1)
    found = matrices.gather(-1, largest)[..., 0]
    unit: torch.Tensor = found / energy(found).sum(-1, keepdim=True).sqrt()
    return unit.movedim(-1, 1)


def _trace(matrices: torch.Tensor) -> torch.Tensor:
    return matrices.diagonal(dim1=-2, dim2=-1).real.sum(-1)


@lru_cache(maxsize=16)
def _interpolation(fine: int, coarse: int) -> torch.Tensor:
    """complex64[fine, coarse]: cubic splines through positions of the same field of view; n // 2 is zero of both."""
    at = (np.arange(fine) - fine // 2) * (coarse / fine) + coarse // 2
    weights = [ndimage.map_coordinates(each, [at], order=3, mode="grid-wrap") for each in np.eye(coarse)]
    return torch.from_numpy(np.stack(weights, axis=1)).to(torch.complex64)
