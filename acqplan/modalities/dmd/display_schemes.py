"""How ±1 Hadamard patterns are shown on mirrors that are on or off, and decoded again.

N pixels; H[u, p] = ±1 the pattern of unit u, H[0] all +1 and H[:, 0] all +1; x the image in photo-electrons that a
pixel gives during one frame with its mirror on; T = Σx. The coefficient is c_u = Σ_p H[u, p] x_p/√N.

=============  ================================  ==========================  =================================
scheme         frames of unit u                  readings                    c_u √N
=============  ================================  ==========================  =================================
pairs          mirrors on where +1, where −1     y₊, y₋                      y₊ − y₋
two-detector   on where +1; light from the       y₊ (on), y₋ (off) of one    y₊ − y₋
               mirrors that are off is read too  frame
dc             on where +1; unit 0 all on        y                           2y − y_0
s-matrix       on where −1; unit 0 all on;       y                           y_0 − 2y; y_0 for unit 0
               pixel 0 always off
=============  ================================  ==========================  =================================

With ``dc`` and ``s-matrix`` the reading of unit 0 decodes every other unit: it belongs to every pattern, and repeating
it pays. Its noise e_0 enters all coefficients alike, so their noise is correlated: cov(c_u, c_v) = ±var(y_0)/(n_0 N).
In the image e_0 gathers around pixel 0. The S-matrix (Harwit and Sloane, *Hadamard Transform Optics*, 1979) never
lights pixel 0: of the whole catalogue, what is left of e_0 is nothing, and the adjoint without pixel 0 is the exact
inverse S⁻¹ = (2/N)(2Sᵀ − 1) of the N − 1 frames.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from typing import ClassVar

import numpy as np
import numpy.typing as npt
import torch

from acqplan.core.errors import RecipeError

Bits = npt.NDArray[np.bool_]


class DisplayScheme(ABC):
    """One way to show and to decode. Attributes:

    frame_signs
        For each frame of a unit, the sign of the pattern where its mirrors are on (unit 0: of all mirrors).
    reading_shape
        Readings of one unit.
    is_referenced
        Unit 0's reading decodes all the others.
    keeps_corner
        Pixel 0 (row 0, column 0) is seen.
    light_share
        Mean share of the image's light that one frame sends to the detectors, over the patterns but unit 0.
    """

    kind: ClassVar[str]
    summary: ClassVar[str]
    frame_signs: ClassVar[tuple[int, ...]]
    reading_shape: ClassVar[tuple[int, ...]]
    is_referenced: ClassVar[bool]
    keeps_corner: ClassVar[bool] = True
    light_share: ClassVar[float]

    @abstractmethod
    def readings(self, total: torch.Tensor, difference: torch.Tensor) -> torch.Tensor:
        """T[B, 1] and Σ_p H[u, p] x_p [B, K] -> expected readings[B, K, *reading_shape]."""

    @abstractmethod
    def decode(self, readings: torch.Tensor) -> torch.Tensor:
        """readings[B, K, *reading_shape] -> Σ_p H[u, p] x_p [B, K]. Of other units it needs unit 0's at most."""

    @abstractmethod
    def variance(self, variance: torch.Tensor) -> torch.Tensor:
        """Variances of the (averaged) readings [B, K, *reading_shape] -> those of what `decode` gives, [B, K]."""

    @abstractmethod
    def frames(self, positive: Bits, unit: int) -> Bits:
        """Mirrors on, bool[frames, rows, columns], of the unit whose pattern is +1 where ``positive``."""

    @abstractmethod
    def seen(self, on: torch.Tensor, total: torch.Tensor) -> torch.Tensor:
        """Light from the mirrors that are on, [n, frames], and T -> readings[n, *reading_shape]."""


class Pairs(DisplayScheme):
    """Complementary pairs: each pattern and its negative. A constant background cancels, and so does slow drift."""

    kind = "pairs"
    summary = "each pattern and its negative, two frames; background and slow drift cancel"
    frame_signs: ClassVar[tuple[int, ...]] = (1, -1)
    reading_shape = (2,)
    is_referenced = False
    light_share = 0.5

    def readings(self, total: torch.Tensor, difference: torch.Tensor) -> torch.Tensor:
        return torch.stack([(total + difference) / 2, (total - difference) / 2], dim=-1)

    def decode(self, readings: torch.Tensor) -> torch.Tensor:
        return readings[..., 0] - readings[..., 1]

    def variance(self, variance: torch.Tensor) -> torch.Tensor:
        return variance.sum(-1)

    def frames(self, positive: Bits, unit: int) -> Bits:
        return np.stack([positive, ~positive])

    def seen(self, on: torch.Tensor, total: torch.Tensor) -> torch.Tensor:
        return on


class TwoDetector(Pairs):
    """Pairs in one frame: a detector in each arm reads what the mirrors send there. The DMD is in the image path."""

    kind = "two-detector"
    summary = "pairs in one frame, a detector in each arm of the DMD: all the light, half the frames"
    frame_signs = (1,)
    light_share = 1.0

    def frames(self, positive: Bits, unit: int) -> Bits:
        return positive[None].copy()

    def seen(self, on: torch.Tensor, total: torch.Tensor) -> torch.Tensor:
        return torch.cat([on, total - on], dim=-1)


class DC(DisplayScheme):
    """(H + 1)/2: one frame a pattern; all mirrors on (unit 0) is read besides, several times."""

    kind = "dc"
    summary = "one frame a pattern, (H+1)/2, and repeated frames with all mirrors on"
    frame_signs = (1,)
    reading_shape = (1,)
    is_referenced = True
    light_share = 0.5

    def readings(self, total: torch.Tensor, difference: torch.Tensor) -> torch.Tensor:
        return ((total + difference) / 2)[..., None]

    def decode(self, readings: torch.Tensor) -> torch.Tensor:
        values = readings[..., 0]
        return 2 * values - values[:, :1]

    def variance(self, variance: torch.Tensor) -> torch.Tensor:
        values = variance[..., 0]
        return torch.cat([values[:, :1], 4 * values[:, 1:] + values[:, :1]], dim=1)

    def frames(self, positive: Bits, unit: int) -> Bits:
        return positive[None].copy()

    def seen(self, on: torch.Tensor, total: torch.Tensor) -> torch.Tensor:
        return on


class SMatrix(DC):
    """S = (1 − H)/2 without pixel 0: one frame a pattern, half of the mirrors on, a background spread evenly."""

    kind = "s-matrix"
    summary = "one frame a pattern, (1-H)/2; pixel 0 stays dark; a background spreads evenly"
    frame_signs = (-1,)
    keeps_corner = False

    def readings(self, total: torch.Tensor, difference: torch.Tensor) -> torch.Tensor:
        values = (total - difference) / 2
        return torch.cat([total.expand_as(values[:, :1]), values[:, 1:]], dim=1)[..., None]

    def decode(self, readings: torch.Tensor) -> torch.Tensor:
        values = readings[..., 0]
        return torch.cat([values[:, :1], values[:, :1] - 2 * values[:, 1:]], dim=1)

    def frames(self, positive: Bits, unit: int) -> Bits:
        shown = ~positive
        if unit == 0:
            shown = np.ones_like(positive)
            shown[0, 0] = False
        return shown[None]


SCHEMES: dict[str, DisplayScheme] = {scheme.kind: scheme for scheme in (Pairs(), TwoDetector(), DC(), SMatrix())}


def scheme_named(kind: str) -> DisplayScheme:
    """The scheme of that kind; `RecipeError` if there is none."""
    if kind not in SCHEMES:
        raise RecipeError(f"There is no display scheme {kind!r}.", f"Choose one of: {', '.join(SCHEMES)}.")
    return SCHEMES[kind]


def best_reference_repeats(n_patterns: int) -> int:
    """How often to show unit 0 beside ``n_patterns`` others: the whole number nearest √n/2, at least 1.

    At a fixed total time the variance summed over the coefficients is ∝ (n + M) n (4 + 1/M), least at M = √n/2.
    """
    return max(1, round(math.sqrt(n_patterns) / 2))
