"""Noise of each display scheme, and which one suits a microscope.

Symbols as in `display_schemes`; b the dark counts and background of a frame, σ the read noise, both in
photo-electrons; M the readings of unit 0. A reading with the signal y has the variance v(y) = y + b + σ². Every unit
measured once, the pixels of the adjoint image have the variances

=============  =================================  ==============================================
scheme         other pixels                       pixel 0
=============  =================================  ==============================================
pairs          (T + 2b + 2σ²)/N                   the same
two-detector   (T + 2b + 2σ²)/N                   the same
dc             4 (Σ v_u + v_0/M)/N²               (4 Σ v_u + (N − 2)² v_0/M)/N², nearly v_0/M
s-matrix       4 Σ v_u/N²                         0: it isn't seen
=============  =================================  ==============================================

with sums over the units but 0: Σ v_u = ((N − 2) T + N x_0)/2 + (N − 1)(b + σ²) for dc, and N T/2 + (N − 1)(b + σ²) for
the S-matrix (whose T is without pixel 0). A background that isn't subtracted adds nothing with pairs, 2b/N to every
pixel with the S-matrix, and b to pixel 0 alone with dc. Where only some units are measured, that pixel is a blob.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from acqplan.modalities.dmd.display_schemes import SCHEMES, best_reference_repeats

CLEARLY = 0.9
"""Pairs, which forgive background and drift, are left only for noise below this share of theirs."""
_SHIFT = 0.02  # of the background, unknown or drifting: what dark frames before and after a scan leave


def pixel_variance(
    scheme: str,
    image: npt.NDArray[np.floating[Any]],
    *,
    read_noise_e: float,
    background_e: float = 0.0,
    reference_repeats: int = 1,
) -> npt.NDArray[np.float64]:
    """float64[rows, columns]: noise variance of each pixel of the adjoint image, every unit measured once.

    Parameters
    ----------
    image
        [rows, columns], photo-electrons that a pixel gives during one frame with its mirror on.
    read_noise_e, background_e
        σ and b, photo-electrons per frame (and detector).
    reference_repeats
        M, with ``dc``.
    """
    n, total, corner = image.size, float(image.sum()), float(image.flat[0])
    rest = background_e + read_noise_e**2
    if scheme == "s-matrix":
        result = np.full(image.shape, 4 / n**2 * (n * (total - corner) / 2 + (n - 1) * rest))
        result.flat[0] = 0
        return result
    if scheme != "dc":
        return np.full(image.shape, (total + 2 * rest) / n)
    patterns = ((n - 2) * total + n * corner) / 2 + (n - 1) * rest
    reference = (total + rest) / reference_repeats
    result = np.full(image.shape, 4 / n**2 * (patterns + reference))
    result.flat[0] = (4 * patterns + (n - 2) ** 2 * reference) / n**2
    return result


@dataclass(frozen=True)
class SchemeNoise:
    """What a scheme would give in the time of the asked one; root mean squares over the image, of the mean pixel.

    ``noise``: shot, dark and read noise. ``background``: what an unknown part of the background leaves.
    ``exposure``: of a frame, over the one asked for. ``read_share``: part of the noise's variance from reading.
    """

    frames: int
    exposure: float
    noise: float
    read_share: float
    background: float

    @property
    def total(self) -> float:
        """Both, as a root mean square."""
        return float(np.hypot(self.noise, self.background))


@dataclass(frozen=True)
class Recommendation:
    """Which scheme suits, ``text`` why, and the numbers of every scheme."""

    scheme: str
    text: str
    schemes: dict[str, SchemeNoise]

    def spec(self) -> dict[str, Any]:
        """JSON-ready."""
        numbers = {
            kind: {
                "frames": each.frames,
                "exposure": each.exposure,
                "noise": each.noise,
                "read_share": each.read_share,
                "background": each.background,
            }
            for kind, each in self.schemes.items()
        }
        return {"scheme": self.scheme, "why": self.text, "schemes": numbers}


def recommend_scheme(
    *,
    n_pixels: int,
    n_patterns: int,
    scheme: str,
    electrons: float,
    read_noise_e: float,
    background_e: float,
) -> Recommendation:
    """Which scheme gives the least error at the same light-on time of the scan, the same units measured.

    One detector; what a second one would give is told besides. Shot noise is nearly the same for every scheme with
    one detector: there is no multiplex advantage. What differs is how often the detector is read, and what
    becomes of a background that isn't known exactly: 2 % of it are taken as unknown.

    Parameters
    ----------
    n_pixels, n_patterns
        Pixels of the image; readings of the plan, repeats included.
    scheme
        The one that the plan has: the others are given the same time, shared among their frames.
    electrons
        T: photo-electrons of a typical image during one frame of that scheme, all mirrors on.
    read_noise_e, background_e
        Read noise and mean background per frame of that scheme; the background grows with the exposure.
    """
    best_repeats = best_reference_repeats(n_patterns)
    is_whole = n_patterns >= n_pixels  # then unit 0's reading cancels from the S-matrix's image
    repeats = {"dc": best_repeats, "s-matrix": 1 if is_whole else best_repeats}
    frames_of = {"pairs": 2 * n_patterns, "two-detector": n_patterns}
    frames_of |= {kind: n_patterns + repeats[kind] for kind in repeats}
    table = {}
    for kind in SCHEMES:
        exposure = frames_of[scheme] / frames_of[kind]
        signal, background = electrons * exposure, background_e * exposure
        # Variance of a coefficient times N over the signal squared: each scheme's decode of a pattern's readings.
        is_exact = is_whole and kind == "s-matrix"
        if SCHEMES[kind].is_referenced:
            shared = 0.0 if is_exact else 1 / repeats[kind]
            light, readings = 2 * signal + shared * signal, 4 + shared
        else:
            light, readings = signal, 2.0
        read = readings * read_noise_e**2
        variance = light + readings * background + read
        unknown = _SHIFT * background if SCHEMES[kind].is_referenced else 0.0
        scale = np.sqrt(n_patterns) / signal  # to the mean pixel, signal/N; n coefficients of N
        left = unknown * (2 / signal if is_exact else scale)  # 2b/N everywhere, or all of it around pixel 0
        table[kind] = SchemeNoise(
            frames_of[kind], exposure, float(np.sqrt(variance) * scale), read / variance, float(left)
        )
    pairs = table["pairs"]
    best = min(("dc", "s-matrix"), key=lambda kind: table[kind].total)
    gain = 1 - table[best].total / pairs.total
    second = 1 - table["two-detector"].total / pairs.total
    also = f"A second detector in the other arm (two-detector) would save {second:.0%}, in the same time."
    if table[best].total < CLEARLY * pairs.total:
        text = (
            f"{best} suits: reading is {pairs.read_share:.0%} of the noise variance of pairs; with half the frames, "
            f"each exposed longer, the error is {gain:.0%} less in the same time. Keep the background steady. {also}"
        )
        return Recommendation(best, text, table)
    saved = f"would save {gain:.0%}" if gain >= 0.005 else "would save nothing"
    if gain < 0.005 and table[best].noise < CLEARLY * pairs.noise:
        saved = "would save less than what the background does to them, of which 2 % are taken as unknown"
    text = (
        f"pairs suit: reading is {pairs.read_share:.0%} of the noise variance, so that fewer, longer frames {saved}; "
        f"a constant background and slow drift cancel. {also}"
    )
    return Recommendation("pairs", text, table)
