"""Weights in half precision: a plan of half the size, whose evidence is of the rounded weights themselves."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

Weights = Mapping[str, npt.NDArray[Any]]


def _half(array: npt.NDArray[Any]) -> npt.NDArray[Any] | None:
    """Of float32 values the nearest float16 ones; None of other types and of values too large for it."""
    if array.dtype != np.float32:
        return None
    with np.errstate(over="ignore"):
        half = array.astype(np.float16)
    return half if np.isfinite(half).all() else None


def rounded(weights: Weights) -> dict[str, npt.NDArray[Any]]:
    """Weights whose float32 arrays hold values of float16 only; arrays with larger values stay as they are."""
    halves = {name: _half(array) for name, array in weights.items()}
    return {
        name: array if (half := halves[name]) is None else half.astype(np.float32) for name, array in weights.items()
    }


def stored(weights: Weights) -> dict[str, npt.NDArray[Any]]:
    """As a file holds them: float16 where that loses nothing, else as they are."""
    halves = {name: _half(array) for name, array in weights.items()}
    return {
        name: array if (half := halves[name]) is None or not np.array_equal(half, array) else half
        for name, array in weights.items()
    }
