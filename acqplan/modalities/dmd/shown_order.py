"""Whether the frames were shown, and recorded, in the plan's order: what a trace's numbers say of it.

Unit 0 has all mirrors on, its − frame is dark, and no pattern has more contrast: it shows the order. Without it there
is the spectrum: that of most images falls with sequency. Some samples' doesn't (single points, a dense texture), but
then it is even; one that is uneven and yet scattered over the catalogue without rule was put into disorder. What these
can't tell (two units exchanged, an even spectrum in another order) is not reported.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import scipy

from acqplan.core.words import named
from acqplan.modalities.dmd.checks import (
    MIN_READINGS,
    OUTLIER_SIGMAS,
    Floats,
    Trace,
    spectrum_of,
    traces_of,
    undisturbed,
)
from acqplan.modalities.dmd.noise import PoissonGaussian
from acqplan.modalities.dmd.slow_course import smooth, spread
from acqplan.plan.plan import Plan
from acqplan.plan.verification import Check, Finding
from acqplan.sensing.acquisition import Scan

_SIGMAS = 6.0
_DARK_AT_MOST = 0.1
_LESS_AT_LEAST = 0.25  # of the light
_LEAST_REFERENCES = 4
_MIN_ORDERED = 64
_SIGNAL_AT_LEAST = 4.0
_EVEN_SIGMAS = 4.0  # of the kurtosis of normal numbers
_FEW = 4  # coefficients: a grating has no more, and tells nothing of the order
_FALL_SIGMAS, _LIKE_SIGMAS = 2.0, 2.5  # beyond which there is a rule
_RISE_SIGMAS = 4.0  # a fine grating may look so


def order(plan: Plan, scan: Scan) -> Iterator[Finding]:
    """Signs that the frames were shown, or recorded, in another order than the plan's."""
    for trace in traces_of(plan, scan):
        if trace.values.shape[1] == 2:
            found = list(_pair_order(plan, trace))
        else:
            found = list(_reference_order(plan, trace))
        yield from found or _disorder(plan, trace)


_ORDER_REMEDY = "Show the frames of this plan's export, in their order, from the first on."


def _pair_order(plan: Plan, trace: Trace) -> Iterator[Finding]:
    sums = trace.sums
    middle = float(np.median(sums))
    if middle <= 0 or sums.size < MIN_READINGS:
        return
    if _is_shifted(trace):
        yield Finding(
            "error",
            "order",
            f"{trace.source} is shifted: + and − frames add up to the same light if pairs begin one frame later, not "
            "as it stands.",
            "A frame is missing or too many before the first one, or the pattern was started in its middle. "
            + _ORDER_REMEDY,
        )
        return
    sigma = spread(sums)
    at_zero = trace.units == 0
    local = np.maximum(smooth(sums), 0.05 * middle)
    contrast = trace.differences / local  # 1: all the light is in the + frame
    is_usual = np.abs(sums - local) <= OUTLIER_SIGMAS * sigma + 1e-6 * middle
    others = np.flatnonzero(~at_zero & is_usual)
    if at_zero.any() and others.size:
        # No pattern has more contrast than all mirrors on, then off.
        here = float(np.median(contrast[at_zero]))
        strongest = int(others[np.argmax(np.abs(contrast[others]))])
        largest, tolerance = abs(float(contrast[strongest])), _SIGMAS * sigma / middle + 0.02
        if here < 0 and -here > largest - tolerance and -here > tolerance:
            yield Finding(
                "error",
                "signs",
                f"{trace.source} has the light in the − frame of the pattern with all mirrors on, not in the + frame.",
                "Show the frames inverted, or exchange the values of each pair: mirrors that are on seem to send the "
                "light away from the detector.",
            )
            return
        if largest > abs(here) + tolerance:
            yield Finding(
                "error",
                "order",
                f"{trace.source} was recorded in another order: where all mirrors are on, then off (reading "
                f"{trace.places[np.flatnonzero(at_zero)[0]]}), the frames differ by {here:.0%} of the light, at "
                f"reading {trace.places[strongest]} by {largest:.0%}.",
                _ORDER_REMEDY,
            )
            return
        if here < 1 - _DARK_AT_MOST - tolerance:
            yield Finding(
                "warning",
                "background",
                f"{trace.source} keeps {(1 - here) / 2:.0%} of a pair's light with all mirrors off.",
                _background_remedy(trace),
            )
    # Whatever the pattern, a pair's sum fluctuates by noise alone, the difference by the image besides.
    of_sums = sigma**2
    of_differences = float(np.var(trace.differences[others])) if others.size else 0.0
    expected = middle + 2 * _read_noise(plan) ** 2
    if of_sums > 0.25 * of_differences and of_sums > 16 * expected:
        yield Finding(
            "error" if trace.is_certain else "warning",
            "order",
            f"{trace.source}: the sums of + and − frames fluctuate by {np.sqrt(of_sums) / middle:.1%}, "
            f"{np.sqrt(of_sums / expected):.0f} times as much as their noise: they are no pairs.",
            _ORDER_REMEDY,
        )


def _background_remedy(trace: Trace) -> str:
    told = ["Screen off stray light"]
    if trace.facts.frames.samples > 1:
        told.insert(0, "Leave out what is still seen of the frame before (--option settling_us=…)")
    if not trace.facts.in_electrons:
        told.append("give the detector's file")
    return ", or ".join(told) + ": in pairs a background cancels, its noise stays."


def _is_shifted(trace: Trace) -> bool:
    """Whether pairs formed one frame later fit much better; as sums of neighbours in the wrong order they don't."""
    if (np.diff(trace.places) != 1).any():
        return False
    later = trace.values.ravel()[1:-1].reshape(-1, 2).sum(1)
    spreads = [float(np.std(sums - smooth(sums))) for sums in (later, trace.sums)]
    return later.size >= MIN_READINGS and spreads[0] < 0.25 * spreads[1]


def _reference_order(plan: Plan, trace: Trace) -> Iterator[Finding]:
    """Schemes of one frame a unit: all mirrors on give twice the light of any other pattern, about."""
    values = trace.values[:, 0]
    reference = plan.sensing.reference_unit
    is_reference = trace.units == reference
    if reference is None or not is_reference.any() or is_reference.all():
        return
    whole, others = float(np.median(values[is_reference])), float(np.median(values[~is_reference]))
    if whole <= 0 or not 0.3 < others / whole < 0.7:
        yield Finding(
            "error",
            "order",
            f"{trace.source} reads {whole:.4g} with all mirrors on and {others:.4g} with half of them (median): "
            "it was recorded in another order, or has an offset.",
            _ORDER_REMEDY,
        )
        return
    off = whole - values[is_reference]
    others = (off > _LESS_AT_LEAST * whole) & (off > OUTLIER_SIGMAS * 1.4826 * float(np.median(np.abs(off))))
    if is_reference.sum() >= _LEAST_REFERENCES and others.any():
        yield Finding(
            "warning",
            "order",
            f"{trace.source} has far less light in some readings with all mirrors on than in the others: number "
            f"{named(trace.places[is_reference][others].tolist())}. It may have been recorded in another order.",
            _ORDER_REMEDY,
        )


def _disorder(plan: Plan, trace: Trace) -> Iterator[Finding]:
    """A spectrum that is uneven, and rises with sequency, or neither falls nor is alike in neighbouring units."""
    units, energy, noise = spectrum_of(plan, undisturbed(plan, trace))
    if units.size < _MIN_ORDERED or energy.mean() < _SIGNAL_AT_LEAST * noise.mean() or not _is_uneven(energy):
        return
    fall = -float(scipy.stats.spearmanr(energy, plan.sensing.distance()[units]).statistic) * np.sqrt(units.size - 1)
    is_rising = fall < -_RISE_SIGMAS  # as in the opposite order
    if is_rising or (fall < _FALL_SIGMAS and abs(_likeness(energy, units, plan.sensing.grid_shape)) < _LIKE_SIGMAS):
        yield Finding(
            "warning",
            "order",
            f"{trace.source}: few coefficients hold most of the energy, as of an image, but they are scattered over "
            "all sequencies: it may have been recorded in another order.",
            _ORDER_REMEDY,
        )


def _is_uneven(energy: Floats) -> bool:
    """Whether the energies differ by more than random signs make them, and not by one or two coefficients alone.

    A coefficient of pixels without relation is a sum with random signs: its fourth moment is at most three times the
    square of its second (independent zero-mean terms that are bounded by ± their size).
    """
    kurtosis = float(np.mean(energy**2) / np.mean(energy) ** 2)
    return 3 + _EVEN_SIGMAS * math.sqrt(24 / energy.size) < kurtosis < energy.size / _FEW


def _likeness(energy: Floats, units: npt.NDArray[np.int64], grid_shape: tuple[int, ...]) -> float:
    """Correlation of the ranks of neighbours on the catalogue's grid, in its standard errors without any."""
    ranks = np.full(grid_shape, np.nan)
    ranks.flat[units] = (scipy.stats.rankdata(energy) - (energy.size + 1) / 2) * np.sqrt(12) / energy.size
    products = [(ranks[1:] * ranks[:-1]).ravel(), (ranks[:, 1:] * ranks[:, :-1]).ravel()]
    both = np.concatenate(products)
    both = both[np.isfinite(both)]
    return float(both.sum() / np.sqrt(both.size)) if both.size else 0.0


def _read_noise(plan: Plan) -> float:
    return plan.noise.read_noise_e if isinstance(plan.noise, PoissonGaussian) else 0.0


CHECKS: tuple[Check, ...] = (order,)
