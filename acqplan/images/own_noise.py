"""The noise that an image brings along: no reconstruction can come nearer to it than that."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

_MEDIAN_OF_NORMAL = 0.6745  # of the absolute value, over the standard deviation


def own_noise(image: npt.NDArray[Any]) -> float:
    """Standard deviation of white noise in a real or complex image [H, W], in its units.

    From the median of the finest diagonal Haar coefficients of the magnitude (Donoho & Johnstone, Biometrika 81:425,
    1994), for images that are smooth in more than half of their pixels. A margin of zeros gives too little, fine
    structure everywhere too much.
    """
    pixels = np.abs(image).astype(np.float64)
    height, width = (side // 2 * 2 for side in pixels.shape)
    a, b = pixels[0:height:2, 0:width:2], pixels[0:height:2, 1:width:2]
    c, d = pixels[1:height:2, 0:width:2], pixels[1:height:2, 1:width:2]
    return float(np.median(np.abs(a - b - c + d) / 2) / _MEDIAN_OF_NORMAL)
