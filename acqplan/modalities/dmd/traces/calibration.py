"""A detector from two recordings, one dark and one bright: the photon transfer method.

Light that arrives as Poisson photo-electrons gives a value whose variance grows linearly with its mean; the slope is
the gain (Janesick, Photon Transfer, SPIE Press 2007):

    variance = gain · (mean − dark mean) + dark variance

Variances are those of successive differences, which a slow drift of the lamp doesn't change (von Neumann 1941).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt
import scipy

from acqplan.core.errors import AcquisitionError, RecipeError
from acqplan.modalities.dmd.traces.detector import Detector

MIN_DARK, MIN_BRIGHT = 32, 64
CURVATURE_AT_MOST = 0.1
"""Share by which the mean-variance line may bend up to the largest value before the detector isn't linear."""
NONLINEAR_AT_MOST = 0.01
"""Share of the largest signal by which a level may lie off the line through known levels."""

_SIGMAS = 4.0
_LARGEST = 1e30  # ADU: squares of squares are still numbers
_CLIPPED_SHARE = 0.02
_STEP_RATIO = 1.8
_STEP_SIGMAS = 5.0
_SPREAD = 1.5
_STEPS = 4096
_KEPT = 0.95  # of the squared differences between successive values
SCATTER = 3.35  # n times the relative variance of a variance of `block`, of normal noise (simulated)
_NARROWEST = 1e-24  # squared mean over variance, or its inverse, of any detector
_LEAST_VARIANCE = 1e-6  # of the mean one, where most blocks don't scatter at all
_NEIGHBOURS = 0.26  # differences share values with their neighbours: so much / n more remains of the smallest
_BLOCKS = 24
_WITHIN_AT_MOST = 0.1
"""Share of the signal by which the two halves of a light level may differ."""

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Block:
    """Consecutive values of one light level: mean, variance of a value, number of values."""

    mean: float
    variance: float
    n: int

    @property
    def mean_error(self) -> float:
        """Standard error of the mean."""
        return math.sqrt(self.variance / self.n)


def fit_detector(
    dark: Floats,
    bright: Floats,
    *,
    offset_adu: float | None = None,
    exposure_s: float | None = None,
    adc_bits: int | None = None,
    saturation_adu: float | None = None,
    repeats: int | None = None,
    levels: Sequence[float] | None = None,
) -> Detector:
    """The detector that gave these values, with standard errors and what was checked of its linearity.

    Parameters
    ----------
    dark, bright
        float64[n] values (ADU, one per frame) without light, and with light of one or, better, several levels, each
        held for a while.
    offset_adu
        Value without light *and* dark current, where it is known (a photon counter: 0). Then the dark recording gives
        the dark current, which needs ``exposure_s``. Otherwise the mean of the dark recording is the offset, and the
        fluctuation of the dark counts is in the read noise.
    repeats
        Values of each level, one level after the other; None: blocks are formed, those with a step in them left out.
    levels
        Light of each level in any unit, such as the share of mirrors on, 0 in the dark: the means have to be linear in
        it, the dark recording's included.

    Raises
    ------
    AcquisitionError
        Too few values, no light, no noise, clipped, or not linear.
    RecipeError
        Settings that don't fit each other.
    """
    full_scale = Detector(1.0, 0.0, saturation_adu=saturation_adu, adc_bits=adc_bits).full_scale_adu
    for name, values, least in (("dark", dark, MIN_DARK), ("bright", bright, MIN_BRIGHT)):
        _check_recording(name, values, least, full_scale, may_be_zero=offset_adu is not None)
    at_rest = block(dark)
    if levels is not None and repeats is None:
        if len(levels) < 2 or bright.size % len(levels):
            raise RecipeError(
                f"The bright recording's {bright.size} values can't be {len(levels)} levels of equal length.",
                "Give each level as many values, and one light level for each.",
            )
        repeats = bright.size // len(levels)
    blocks = _blocks(bright, repeats, full_scale)
    if levels is not None and len(levels) != len(blocks):
        raise RecipeError(
            f"There are {len(levels)} light levels for {len(blocks)} blocks of {repeats} values.", "Give one for each."
        )
    brightest = max(blocks, key=lambda block: block.mean)
    signal = brightest.mean - at_rest.mean
    if signal < _SIGMAS * math.hypot(brightest.mean_error, at_rest.mean_error):
        raise AcquisitionError(
            f"The bright recording has a mean of up to {brightest.mean:.6g}, the dark one of {at_rest.mean:.6g}: there "
            "is no light in it.",
            "Check that the recordings aren't exchanged, and give more light.",
        )
    if not any(block.variance > at_rest.variance for block in blocks):
        raise AcquisitionError(
            "The bright recording fluctuates no more than the dark one: photons do.",
            "Record single readings, not averages or a simulation without noise.",
        )
    line = _fitted([at_rest, *blocks], at_rest.mean, degree=1)
    gain, gain_error = line.values[1], line.errors[1]
    linearity = _linearity([at_rest, *blocks], at_rest, gain)
    if gain <= 0 or gain < 2 * gain_error:
        raise AcquisitionError(
            f"The variance doesn't grow with the light: {gain:.3g} ± {gain_error:.3g} ADU per photo-electron.",
            "Record more values, at several levels of light.",
        )
    if levels is not None:
        assert repeats is not None
        _check_levels(bright.reshape(-1, repeats), at_rest)
        linearity |= _level_linearity(blocks, levels, at_rest)
    return _detector(
        at_rest, gain, gain_error, offset_adu, exposure_s, adc_bits, saturation_adu,
        {"dark_values": int(dark.size), "bright_values": int(bright.size), "blocks": len(blocks),
         "largest_adu": brightest.mean, "linearity": linearity},
    )  # fmt: skip


def _detector(
    at_rest: Block,
    gain: float,
    gain_error: float,
    offset_adu: float | None,
    exposure_s: float | None,
    adc_bits: int | None,
    saturation_adu: float | None,
    calibration: dict[str, Any],
) -> Detector:
    dark_e, dark_error = 0.0, 0.0
    if offset_adu is not None:
        dark_e = (at_rest.mean - offset_adu) / gain
        dark_error = math.hypot(at_rest.mean_error / gain, dark_e * gain_error / gain)
        if dark_e < -_SIGMAS * dark_error:
            raise AcquisitionError(
                f"The dark recording's mean of {at_rest.mean:.6g} is below the offset of {offset_adu:g}.",
                "Correct the offset, or leave it out.",
            )
        dark_e = max(0.0, dark_e)
        if dark_e and exposure_s is None:
            raise RecipeError(
                f"The dark recording has {dark_e:.4g} electrons per frame, and nothing says how long a frame lasts.",
                "Give the exposure, like --exposure 50us.",
            )
    variance_e = at_rest.variance / gain**2
    variance_error = variance_e * math.hypot(math.sqrt(SCATTER / at_rest.n), 2 * gain_error / gain)
    read_variance = variance_e - dark_e
    if read_variance < -_SIGMAS * math.hypot(variance_error, dark_error):
        raise AcquisitionError(
            f"The dark recording fluctuates by {variance_e:.4g} e², less than its {dark_e:.4g} dark electrons would.",
            "Correct the offset, or record single readings rather than averages.",
        )
    read_noise = math.sqrt(max(0.0, read_variance))
    error = math.hypot(variance_error, dark_error)
    uncertainty = {
        "gain_adu_per_e": gain_error,
        "offset_adu": 0.0 if offset_adu is not None else at_rest.mean_error,
        "read_noise_e": error / (2 * read_noise) if read_noise > math.sqrt(error) else math.sqrt(error),
    }
    rate = 0.0
    if dark_e and exposure_s is not None:
        rate = dark_e / exposure_s
        uncertainty["dark_current_e_per_s"] = dark_error / exposure_s
    return Detector(
        gain_adu_per_e=gain,
        offset_adu=at_rest.mean if offset_adu is None else offset_adu,
        read_noise_e=read_noise,
        dark_current_e_per_s=rate,
        saturation_adu=saturation_adu,
        adc_bits=adc_bits,
        exposure_s=exposure_s,
        uncertainty=uncertainty,
        calibration={**calibration, "dark_mean_adu": at_rest.mean, "dark_std_adu": math.sqrt(at_rest.variance)},
    )


def _check_recording(name: str, values: Floats, least: int, full_scale: float | None, may_be_zero: bool) -> None:
    if values.size < least:
        raise AcquisitionError(f"The {name} recording has {values.size} values, it needs {least}.", "Record more.")
    if not np.isfinite(values).all():
        raise AcquisitionError(
            f"The {name} recording has {int((~np.isfinite(values)).sum())} values that are NaN or infinite.",
            "Record it again.",
        )
    lowest, highest = float(values.min()), float(values.max())
    if max(-lowest, highest) > _LARGEST:
        raise AcquisitionError(
            f"The {name} recording has a value of {max(-lowest, highest):.3g}: no detector gives that.",
            "Record it again.",
        )
    if lowest == highest and not (name == "dark" and may_be_zero):
        raise AcquisitionError(
            f"The {name} recording is {lowest:g} throughout: a detector's values fluctuate.",
            "Check that it was connected, and that it isn't clipped.",
        )
    at_top = float(np.mean(values >= (highest if full_scale is None else full_scale)))
    at_bottom = float(np.mean(values == lowest))
    # Whole numbers often coincide, but fewer at the end than just before it.
    near_top = float(np.mean(values == np.sort(np.unique(values))[-2])) if lowest < highest else 0.0
    near_bottom = float(np.mean(values == np.unique(values)[1])) if lowest < highest else 0.0
    if at_top > _CLIPPED_SHARE and (full_scale is not None or at_top > 2 * near_top):
        raise AcquisitionError(
            f"The {name} recording is clipped: {at_top:.0%} of its values are at {highest:g}.",
            "Give less light or gain, so that the brightest level stays below the end of the range.",
        )
    if name == "dark" and not may_be_zero and at_bottom > _CLIPPED_SHARE and at_bottom > 2 * near_bottom:
        raise AcquisitionError(
            f"The dark recording is clipped: {at_bottom:.0%} of its values are at {lowest:g}.",
            "Raise the converter's offset; for a photon counter say that its offset is 0.",
        )


def block(values: Floats) -> Block:
    """Mean and variance; the largest twentieth of the squared differences is left out: steps of the light are there."""
    squares = np.sort(np.diff(values) ** 2)
    kept = max(1, round(_KEPT * squares.size))
    variance = squares[:kept].mean() / _share_of_rest(kept, squares.size) / (2 * (1 + _NEIGHBOURS / values.size))
    return Block(float(values.mean()), float(variance), int(values.size))


@cache
def _share_of_rest(kept: int, total: int) -> float:
    """Expected mean of the ``kept`` smallest of ``total`` squares of standard normal numbers.

    A square x is among them if fewer than ``kept`` of the others are smaller: m∫ q(u) P[B(m − 1, u) < k] du / k, with q
    the quantile of χ² with one degree of freedom. As the share of a whole distribution it would be up to 3 % off.
    """
    u = (np.arange(_STEPS) + 0.5) / _STEPS
    chance = scipy.stats.binom.cdf(kept - 1, total - 1, u)
    return float(total * np.mean(scipy.stats.chi2.ppf(u, 1) * chance) / kept)


def _blocks(values: Floats, repeats: int | None, full_scale: float | None) -> list[Block]:
    if repeats is not None:
        if repeats < 16 or values.size % repeats or values.size // repeats < 1:
            raise RecipeError(
                f"The bright recording's {values.size} values can't be levels of {repeats} values each.",
                "Give at least 16 for each level, and all of them.",
            )
        return [block(part) for part in values.reshape(-1, repeats)]
    size = min(256, max(32, values.size // _BLOCKS))
    blocks = []
    for start in range(0, values.size - size + 1, size):
        part = values[start : start + size]
        squares = np.diff(part) ** 2
        without = (squares.sum() - squares.max()) / (squares.size - 1)
        has_step = squares.mean() > _STEP_RATIO * without or _has_step(part)
        if not has_step and (full_scale is None or part.max() < full_scale):
            blocks.append(block(part))
    if not blocks:
        raise AcquisitionError(
            "The bright recording holds no level long enough to tell its noise.",
            f"Hold each level for at least {2 * size} values, or say how many there are of each (--repeats).",
        )
    return blocks


def _has_step(values: Floats) -> bool:
    """Whether a step of more than a standard deviation describes the values significantly better than a drift alone.

    A faint level's step is no larger than some of the differences that noise makes; it still adds to their squares.
    """
    directions, norms = _steps(values.size)
    sizes = directions @ values / norms**2
    sigma = max(math.sqrt(block(values).variance), 1e-9 * float(np.abs(values).max()))  # of constant values: rounding
    is_step = (np.abs(sizes) > sigma) & (np.abs(sizes) * norms > _STEP_SIGMAS * sigma)
    return bool(is_step.any())


@cache
def _steps(n: int) -> tuple[Floats, Floats]:
    """For a step after each of n values but the last: its direction orthogonal to drifts [n − 1, n], and its length."""
    steps = (np.arange(n) > np.arange(n - 1)[:, None]).astype(np.float64)
    drifts = np.linalg.qr(np.stack([np.ones(n), np.arange(n)], axis=1))[0]
    directions = steps - steps @ drifts @ drifts.T
    return directions, np.linalg.norm(directions, axis=1)


@dataclass(frozen=True)
class _Fit:
    values: list[float]
    errors: list[float]


def _fitted(blocks: list[Block], origin: float, degree: int) -> _Fit:
    """Weighted polynomial of the variance in (mean − origin); the variance of a variance is `SCATTER` v²/n."""
    x = np.array([block.mean - origin for block in blocks])
    v = np.array([block.variance for block in blocks])
    n = np.array([block.n for block in blocks], dtype=np.float64)
    scale, unit = float(np.abs(x).max()), float(v.mean())
    if not (0 < scale < math.inf and 0 < unit < math.inf and _NARROWEST < scale**2 / unit < 1 / _NARROWEST):
        raise AcquisitionError(
            f"The recordings can't be fitted: means up to {scale:.4g} above the dark one, variances of {unit:.4g}.",
            "Pass recordings of the same detector in its own numbers, dark and lit.",
        )
    v = v / unit
    design = (x[:, None] / scale) ** np.arange(degree + 1)
    floor = max(float(np.median(v)), _LEAST_VARIANCE) * 1e-6
    model = np.ones_like(v)
    for _ in range(8):
        weight = n / (SCATTER * np.maximum(model, floor) ** 2)
        normal = design.T @ (design * weight[:, None])
        values = np.linalg.lstsq(normal, design.T @ (weight * v), rcond=None)[0]
        model = np.maximum(design @ values, floor)
    errors = np.sqrt(np.maximum(np.diag(np.linalg.pinv(normal)), 0))
    powers = scale ** np.arange(degree + 1) / unit
    return _Fit((values / powers).tolist(), (errors / powers).tolist())


def _linearity(blocks: list[Block], at_rest: Block, gain: float) -> dict[str, Any]:
    """How far the mean-variance line bends at the largest value, as a share of it, where several levels tell."""
    signals = np.array([block.mean - at_rest.mean for block in blocks[1:]])
    largest = float(signals.max())
    if largest < _SPREAD * max(float(signals.min()), 1e-9 * largest):
        return {"checked": False}
    bent = _fitted(blocks, at_rest.mean, degree=2)
    slope = bent.values[1]
    curvature = bent.values[2] * largest / slope if slope > 0 else math.copysign(math.inf, bent.values[2])
    error = abs(bent.errors[2] * largest / slope) if slope > 0 else 0.0
    if abs(curvature) > CURVATURE_AT_MOST and abs(curvature) > _SIGMAS * error:
        why = (
            "grows faster than the light: the lamp flickers"
            if curvature > 0
            else "falls behind: the detector saturates"
        )
        raise AcquisitionError(
            f"The detector isn't linear up to {at_rest.mean + largest:.6g} ADU: its variance {why} "
            f"({abs(curvature):.0%} off the line).",
            "Give less light" + (" or a steadier lamp." if curvature > 0 else ", or say from where on it saturates."),
        )
    return {"checked": True, "curvature": curvature, "curvature_error": error}


def _check_levels(levels: Floats, at_rest: Block) -> None:
    """Raise `AcquisitionError` if the two halves of a level [levels, values] differ: it holds several levels."""
    for number, values in enumerate(levels, start=1):
        halves = [block(part) for part in np.array_split(values, 2)]
        change = abs(halves[1].mean - halves[0].mean)
        error = math.hypot(halves[0].mean_error, halves[1].mean_error)
        if change > _WITHIN_AT_MOST * abs(values.mean() - at_rest.mean) and change > _SIGMAS * error:
            raise AcquisitionError(
                f"Level {number} of {len(levels)} of the bright recording isn't one: its first half has a mean of "
                f"{halves[0].mean:.6g}, its second of {halves[1].mean:.6g}.",
                "Give a light level for each that was recorded, all held for as many values.",
            )


def _level_linearity(blocks: list[Block], levels: Sequence[float], at_rest: Block) -> dict[str, Any]:
    """How far the means lie off the line through known light levels and the dark, as a share of the largest signal."""
    light = np.array([0.0, *levels], dtype=np.float64)
    means = np.array([at_rest.mean, *(block.mean for block in blocks)])
    errors = np.maximum([at_rest.mean_error, *(block.mean_error for block in blocks)], 1e-12)
    if not np.isfinite(light).all() or np.ptp(light[1:]) <= 0:
        raise RecipeError(f"The light levels are {list(levels)}.", "Give numbers that differ.")
    design = np.stack([np.ones_like(light), light], axis=1) / errors[:, None]
    fit = np.linalg.lstsq(design, means / errors, rcond=None)[0]
    off = means - fit[0] - fit[1] * light
    worst = int(np.argmax(np.abs(off)))
    share = float(abs(off[worst]) / max(abs(means.max() - at_rest.mean), 1e-12))
    if share > NONLINEAR_AT_MOST and abs(off[worst]) > _SIGMAS * errors[worst]:
        raise AcquisitionError(
            f"The detector isn't linear: at a light level of {light[worst]:g} its mean of {means[worst]:.6g} ADU is "
            f"{share:.1%} of the largest signal off the line.",
            "Give less light, or correct the levels.",
        )
    return {"level_deviation": share}
