"""How close a reconstruction is to the truth: PSNR, SSIM, NRMSE, and what those don't tell of resolution.

All take arrays [H, W] (complex ones are compared by magnitude) and return a float, but for the curve of
`ring_correlation`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import ndimage

Array = npt.NDArray[Any]
_SSIM_WINDOW = 7
_NYQUIST = 0.5  # cycles per pixel
FRC_THRESHOLD = 0.5
"""Correlation with the truth at which a reconstruction's resolution ends (`frc`)."""
_TAPER = 0.125  # of each side, at each end
_SMOOTHED = 3  # rings


def psnr(image: Array, truth: Array, data_range: float) -> float:
    """Peak signal-to-noise ratio in dB, 10·log₁₀(data_range² / mean squared error); inf if equal."""
    error = float(np.mean((_magnitude(image) - _magnitude(truth)) ** 2))
    return math.inf if error == 0 else 10 * math.log10(data_range**2 / error)


def nrmse(image: Array, truth: Array) -> float:
    """Normalised root mean square error, ‖|image| − |truth|‖ / ‖truth‖."""
    reference = _magnitude(truth)
    return float(np.linalg.norm(_magnitude(image) - reference) / max(float(np.linalg.norm(reference)), 1e-300))


def hfen(image: Array, truth: Array) -> float:
    """High-frequency error norm, ‖LoG(|image|) − LoG(|truth|)‖ / ‖LoG(|truth|)‖: edges and fine structure.

    Laplacian of Gaussian with σ = 1.5 pixels in a 15 × 15 window (Ravishankar and Bresler 2011, doi
    10.1109/TMI.2010.2090538).
    """

    def edges(values: Array) -> Array:
        return np.asarray(ndimage.gaussian_laplace(_magnitude(values), 1.5, truncate=7 / 1.5))

    reference = edges(truth)
    return float(np.linalg.norm(edges(image) - reference) / max(float(np.linalg.norm(reference)), 1e-300))


def ssim(image: Array, truth: Array, data_range: float) -> float:
    """Mean structural similarity, uniform 7 × 7 window, K₁ = 0.01, K₂ = 0.03 (Wang et al., IEEE TIP 2004).

    Sample covariances and a border of 3 pixels left out, as scikit-image does by default.
    """
    x, y = _magnitude(image), _magnitude(truth)
    if min(x.shape) < _SSIM_WINDOW:
        raise ValueError(f"SSIM needs images of at least {_SSIM_WINDOW} pixels a side, got {x.shape}")
    n_window = _SSIM_WINDOW**2
    unbiased = n_window / (n_window - 1)

    def mean(values: Array) -> Array:
        return np.asarray(ndimage.uniform_filter(values, size=_SSIM_WINDOW))

    mean_x, mean_y = mean(x), mean(y)
    variance_x = unbiased * (mean(x * x) - mean_x**2)
    variance_y = unbiased * (mean(y * y) - mean_y**2)
    covariance = unbiased * (mean(x * y) - mean_x * mean_y)
    c1, c2 = (0.01 * data_range) ** 2, (0.03 * data_range) ** 2
    similarity = ((2 * mean_x * mean_y + c1) * (2 * covariance + c2)) / (
        (mean_x**2 + mean_y**2 + c1) * (variance_x + variance_y + c2)
    )
    border = _SSIM_WINDOW // 2
    return float(similarity[border:-border, border:-border].mean())


def frc(image: Array, truth: Array) -> float:
    """Resolution by Fourier ring correlation: cycles per pixel up to which the image is like the truth.

    Where `ring_correlation`, smoothed over three rings, first falls below 1/2; 0.5 (Nyquist's, a period of two pixels)
    if it never does. The threshold is the usual 1/7 of two independent noisy images (Nieuwenhuizen et al. 2013, doi
    10.1038/nmeth.2448) for one against the truth: √(2·(1/7)/(1 + 1/7)) = 1/2 (Rosenthal and Henderson 2003, doi
    10.1016/j.jmb.2003.07.013).
    """
    frequencies, correlation = ring_correlation(image, truth)
    smooth = ndimage.uniform_filter1d(correlation, _SMOOTHED, mode="nearest")
    below = np.flatnonzero(smooth < FRC_THRESHOLD)
    if not below.size:
        return _NYQUIST
    i = int(below[0])
    if i == 0:
        return 0.0
    share = (smooth[i - 1] - FRC_THRESHOLD) / (smooth[i - 1] - smooth[i])
    return float(frequencies[i - 1] + share * (frequencies[i] - frequencies[i - 1]))


def ring_correlation(image: Array, truth: Array) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """(frequencies[r] in cycles per pixel, correlation[r]) of rings of Fourier space one sample wide, up to Nyquist's.

    Re Σ F·T* / √(Σ|F|² Σ|T|²), sums over a ring; means are subtracted, and an eighth of each side tapered to zero at
    either end (Tukey's window), because the jump from one edge to the other would be the same in both. 1 where a ring
    of both is empty, 0 where that of one is.
    """
    x, y = _magnitude(image), _magnitude(truth)
    window, rings, twice, frequencies = _rings(x.shape[0], x.shape[1])
    first, second = (np.fft.rfft2((each - each.mean()) * window) for each in (x, y))
    sums = [
        np.bincount(rings, (twice * values).ravel(), minlength=frequencies.size + 1)[:-1]
        for values in ((first * second.conj()).real, np.abs(first) ** 2, np.abs(second) ** 2)
    ]
    cross, power, power_of_truth = sums
    least = 1e-20 * max(float(power_of_truth.sum()), float(power.sum()), 1e-280)
    is_empty, is_empty_there = power <= least, power_of_truth <= least
    correlation = np.where(is_empty & is_empty_there, 1.0, 0.0)
    np.divide(cross, np.sqrt(power * power_of_truth), out=correlation, where=~(is_empty | is_empty_there))
    return frequencies, correlation


@lru_cache(maxsize=8)
def _rings(rows: int, columns: int) -> tuple[Array, Array, Array, Array]:
    """(window[H, W], ring of each sample of `rfft2`, flat, how often its column stands for, frequencies[r]).

    The mean and what is beyond the last frequency are in a ring of their own, the last.
    """
    tapers = []
    for side in (rows, columns):
        from_edge = (np.minimum(np.arange(side), np.arange(side)[::-1]) + 0.5) / max(_TAPER * side, 0.5)
        tapers.append(np.sin(np.pi / 2 * np.minimum(from_edge, 1)) ** 2)
    n_rings = max(min(rows, columns) // 2, 1)
    radius = np.hypot(np.fft.fftfreq(rows)[:, None], np.fft.rfftfreq(columns)[None]) * min(rows, columns)
    rings = np.round(radius).astype(np.int64) - 1
    rings[(rings < 0) | (rings > n_rings)] = n_rings
    along = np.arange(columns // 2 + 1)
    twice = np.where((along == 0) | (2 * along == columns), 1.0, 2.0)  # the other half of the plane is the conjugate
    frequencies = np.arange(1, n_rings + 1) / min(rows, columns)
    return np.outer(*tapers), rings.ravel(), twice, frequencies


METRICS: Mapping[str, Callable[[Array, Array, float], float]] = {
    "psnr_db": psnr,
    "ssim": ssim,
    "nrmse": lambda image, truth, _: nrmse(image, truth),
    "hfen": lambda image, truth, _: hfen(image, truth),
    "frc": lambda image, truth, _: frc(image, truth),
}
"""Of an image, the truth and the data range, by their names in `acqplan.core.measures`."""


def _magnitude(image: Array) -> npt.NDArray[np.float64]:
    return np.abs(image).astype(np.float64) if np.iscomplexobj(image) else np.asarray(image, dtype=np.float64)
