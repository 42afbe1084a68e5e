"""The grey value of a colour image."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

LUMA = np.array([0.299, 0.587, 0.114])  # ITU-R BT.601


def grey(colour: npt.NDArray[Any]) -> tuple[npt.NDArray[Any], tuple[str, ...]]:
    """Grey values of ``colour`` [..., H, W, S] with S of 1 to 4 samples a pixel, and what to say about it.

    Samples 2 and 4 are an alpha channel. Equal channels are a grey image saved as colour; a
    single non-empty channel (a fluorophore shown in its colour) keeps its own values; all
    others become luminance.
    """
    warnings: tuple[str, ...] = ()
    n_samples = colour.shape[-1]
    if n_samples in (2, 4):
        alpha = colour[..., -1]
        if alpha.min() != alpha.max():
            warnings = ("its alpha channel is ignored",)
        colour = colour[..., :-1]
    if colour.shape[-1] == 1 or bool((colour == colour[..., :1]).all()):
        return colour[..., 0], warnings
    used = [c for c in range(3) if colour[..., c].any()]
    if len(used) == 1:
        name = ("red", "green", "blue")[used[0]]
        return colour[..., used[0]], (*warnings, f"a colour image: only its {name} channel holds anything and is used")
    luminance: npt.NDArray[np.float64] = colour[..., :3] @ LUMA
    return luminance, (*warnings, "a colour image: its luminance is used, which no detector measured")
