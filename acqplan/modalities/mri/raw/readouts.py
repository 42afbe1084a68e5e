"""From stored readouts to lines on the full grid: place, remove the oversampling, prewhiten."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from acqplan.core.errors import AcquisitionError
from acqplan.core.math.transforms import fft_centred, ifft_centred
from acqplan.modalities.mri.raw.data import Lines

MAX_BYTES = 16 << 30
"""Of the readouts of one scan: beyond it a header is taken to be damaged."""

_CLIPPED = 8  # equal extreme values in one scan; noise makes two equal ones rare


def placed(readouts: Lines, centre: int, n_encoded: int, source: str | Path) -> Lines:
    """[..., samples] -> [..., n_encoded]: sample ``centre`` goes to ``n_encoded // 2``, zeros fill the rest.

    An asymmetric echo lacks samples at one end. Raises `AcquisitionError` for samples outside the grid.
    """
    n_samples = readouts.shape[-1]
    first = n_encoded // 2 - centre
    if first == 0 and n_samples == n_encoded:
        return readouts
    if first < 0 or first + n_samples > n_encoded:
        raise AcquisitionError(
            f"{source} has readouts of {n_samples} samples with the centre at {centre}: they don't fit the "
            f"encoded matrix of {n_encoded}.",
            "Its header and its data are of different scans, or a 16-bit counter overflowed: convert it again.",
        )
    full = np.zeros((*readouts.shape[:-1], n_encoded), np.complex64)
    full[..., first : first + n_samples] = readouts
    return full


def without_oversampling(readouts: Lines, n_readout: int) -> Lines:
    """[..., encoded samples] -> [..., n_readout]: the middle of the image along the readout, back in k-space.

    Both transforms are orthonormal, so white noise keeps its standard deviation.
    """
    n_encoded = readouts.shape[-1]
    if n_encoded <= n_readout:
        return readouts
    image = ifft_centred(torch.from_numpy(readouts), (-1,))
    start = n_encoded // 2 - n_readout // 2
    cropped: Lines = fft_centred(image[..., start : start + n_readout], (-1,)).numpy()
    return cropped


def whitening(noise: Lines, n_coils: int, scale: float, source: str | Path) -> npt.NDArray[np.complex64]:
    """complex64[coils, coils] that turns the data's noise into unit variance, uncorrelated between coils.

    L⁻¹ / √scale, where L Lᴴ is the covariance of ``noise`` [samples, coils] (Roemer et al. 1990; Kellman and
    McVeigh 2005), and ``scale`` the variance of the data's noise over that of the noise scan.

    Raises
    ------
    AcquisitionError
        The noise scan has other channels than the data, values that aren't finite, or too few samples.
    """
    remedy = "Take the noise scan of this examination, or leave it out."
    if noise.shape[1] != n_coils:
        raise AcquisitionError(f"{source} has a noise scan of {noise.shape[1]} channels and data of {n_coils}.", remedy)
    if not np.isfinite(noise).all():
        raise AcquisitionError(f"{source} has a noise scan with NaN or infinite values.", remedy)
    if noise.shape[0] < 2 * n_coils:
        raise AcquisitionError(
            f"{source} has a noise scan of {noise.shape[0]} samples, too few for {n_coils} channels.", remedy
        )
    centred = noise.astype(np.complex128) - noise.mean(axis=0)
    covariance = centred.T @ centred.conj() / (len(centred) - 1)
    try:
        lower = np.linalg.cholesky(covariance * scale)
        inverse = np.linalg.inv(lower)
    except np.linalg.LinAlgError as error:
        raise AcquisitionError(
            f"{source} has a noise scan whose channels aren't independent (a channel is dead or doubled).", remedy
        ) from error
    return inverse.astype(np.complex64)


def peaks(readouts: Lines) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.int64]]:
    """Of each of readouts[n, ...]: its largest real or imaginary part, and how often that occurs."""
    parts = np.abs(np.ascontiguousarray(readouts).view(np.float32).reshape(len(readouts), -1))
    largest = parts.max(axis=1, initial=0)
    return largest, (parts == largest[:, None]).sum(axis=1)


def clipped(largest: npt.NDArray[np.float32], times: npt.NDArray[np.int64], n_values: int) -> tuple[int, ...]:
    """Which readouts hold clipped samples: one extreme value occurs again and again, as at the end of an ADC's range.

    ``largest`` and ``times`` as from `peaks`, ``n_values`` how many values they were taken of.
    """
    if not largest.size or not np.isfinite(largest).all() or largest.max() == 0:
        return ()
    at_top = largest == largest.max()
    if not _CLIPPED <= int(times[at_top].sum()) <= n_values // 10:
        return ()
    return tuple(np.flatnonzero(at_top).tolist())
