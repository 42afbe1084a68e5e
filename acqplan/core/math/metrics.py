"""How close a reconstruction is to the truth: PSNR, SSIM, NRMSE on magnitude images.

All take arrays [H, W] (complex ones are compared by magnitude) and return a float.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import ndimage

Array = npt.NDArray[Any]
_SSIM_WINDOW = 7


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


def _magnitude(image: Array) -> npt.NDArray[np.float64]:
    return np.abs(image).astype(np.float64) if np.iscomplexobj(image) else np.asarray(image, dtype=np.float64)
