"""The slow course of the light along a scan: its scatter, its running median, and its drift."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

_SIGMAS = 6.0
_BLOCKS = 8

Floats = npt.NDArray[np.float64]


def spread(values: Floats) -> float:
    """Standard deviation around the slow course of the values, from second differences; of many, robust to outliers."""
    if values.size < 4:
        return 0.0
    seconds = np.abs(np.diff(values, 2)) / np.sqrt(6)
    return float(1.4826 * np.median(seconds) if values.size >= 32 else np.sqrt(np.mean(seconds**2)))


def smooth(values: Floats) -> Floats:
    """Running median over a 16th of the values, at least five."""
    half = max(2, values.size // 32)
    padded = np.pad(values, half, mode="reflect") if values.size > half else np.pad(values, half, mode="edge")
    return np.asarray(np.median(np.lib.stride_tricks.sliding_window_view(padded, 2 * half + 1), axis=1))


def drift(values: Floats, sigma: float) -> float | None:
    """Relative change along the scan (largest difference of eight parts' medians), None if it is within the noise."""
    n_parts = min(_BLOCKS, values.size // 2)
    if n_parts < 3:
        return None
    parts = [np.median(part) for part in np.array_split(values, n_parts)]
    low, high = int(np.argmin(parts)), int(np.argmax(parts))
    error = 1.25 * sigma * np.sqrt(2 * n_parts / values.size)
    size = float(parts[high] - parts[low])
    if size < _SIGMAS * error:
        return None
    return size / float(np.median(values)) * (1 if high > low else -1)
