"""What a single-pixel detector's trace tells of itself: lost frames, the clock, the lamp, and the order.

A ± pair's sum is all of the image's light, whatever its pattern (the mirrors off in one frame are on in the other): it
shows drift and frames that don't belong together without a reference. Unit 0 has all mirrors on, its − frame is dark,
and no pattern has more contrast: it shows the order. What these can't tell (two other units exchanged) is not reported.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.stats import spearmanr

from acqplan.modalities.dmd.facts import TraceFacts, facts_of
from acqplan.modalities.dmd.noise import PoissonGaussian
from acqplan.modalities.dmd.sensing import HadamardDMD
from acqplan.modalities.dmd.slow_course import drift, smooth, spread
from acqplan.plan.plan import Plan
from acqplan.plan.verification import Check, Finding, named
from acqplan.sensing.acquisition import Acquisition, Scan

CLOCK_AT_MOST = 0.01
"""Share by which the measured frame time may differ from the planned one."""
DRIFT_AT_LEAST = 0.01
"""Share of the light below which a drift isn't reported."""

_JITTER_AT_MOST = 0.05
_SIGMAS = 6.0
_OUTLIER_SIGMAS = 8.0
_MIN_READINGS = 16
_MIN_ORDERED = 64
_DARK_AT_MOST = 0.1
_SIGNAL_AT_LEAST = 4.0
_TIES = 3

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Trace:
    """Readings of one acquisition in float64[n, values], their units, and their places in the order of acquisition."""

    source: str
    values: Floats
    units: npt.NDArray[np.int64]
    places: npt.NDArray[np.int64]
    facts: TraceFacts
    is_certain: bool
    """The values are photo-electrons for sure: a detector converted them, or acqplan wrote them."""

    @property
    def sums(self) -> Floats:
        return np.asarray(self.values.sum(1))

    @property
    def differences(self) -> Floats:
        return np.asarray(self.values[:, 0] - self.values[:, 1])


def traces_of(plan: Plan, scan: Scan) -> Iterator[Trace]:
    if not isinstance(plan.sensing, HadamardDMD):
        return
    for acquisition in scan.acquisitions:
        trace = _trace(plan, acquisition, facts_of(scan))
        if trace is not None:
            yield trace


def _trace(plan: Plan, acquisition: Acquisition, facts: TraceFacts) -> Trace | None:
    """None where the readings are wrong in a way that other checks report."""
    order = acquisition.units(plan.pattern)
    values = np.asarray(acquisition.readings)
    if values.shape != (order.size, *plan.sensing.reading_shape) or values.dtype.kind not in "fiu":
        return None
    if not np.isin(order, plan.pattern.order).all():  # of another pattern, or of a catalogue of another size
        return None
    values = values.astype(np.float64)
    if not np.isfinite(values).all() or not values.any():
        return None
    places = np.asarray(() if facts.positions is None else facts.positions, dtype=np.int64)
    if places.size != order.size:
        places = np.arange(order.size)
    is_certain = facts.in_electrons or acquisition.pattern_digest is not None
    return Trace(acquisition.source, values, order.astype(np.int64), places, facts, is_certain)


def frames(plan: Plan, scan: Scan) -> Iterator[Finding]:
    """Frames that were dropped, repeated or saturated, and triggers that came too early."""
    for trace in traces_of(plan, scan):
        stated = trace.facts.frames
        for name, what in (
            ("dropped", "without a reading of their own (a missing trigger or row)"),
            ("repeated", "with more than one reading"),
            ("saturated", "at the end of the detector's range"),
        ):
            numbers: tuple[int, ...] = getattr(stated, name)
            if numbers:
                yield Finding(
                    "warning",
                    name,
                    f"{trace.source} has {len(numbers)} of {stated.shown} frames {what}: {named(numbers)}.",
                    "Their coefficients are reconstructed as not measured.",
                )
        lowest = np.setdiff1d(plan.pattern.calibration, trace.units)
        if lowest.size:
            yield Finding(
                "warning",
                "lowest missing",
                f"{trace.source} lacks {lowest.size} of the {plan.pattern.calibration.size} lowest coefficients, "
                f"which hold most of the image: {named(lowest.tolist())}.",
                "Acquire again: without them the image may be far off.",
            )
        if stated.spurious_triggers:
            yield Finding(
                "note",
                "spurious triggers",
                f"{trace.source} has {stated.spurious_triggers} triggers within a frame; they were passed over.",
            )


def clock(plan: Plan, scan: Scan) -> Iterator[Finding]:
    """The time from trigger to trigger against the plan's picture time."""
    for trace in traces_of(plan, scan):
        stated = trace.facts.frames
        interval_s, jitter_s = stated.interval_s, stated.jitter_s
        planned_s = plan.budget.reading_time_s
        if interval_s is None:
            continue
        if planned_s is not None:
            planned_s /= plan.sensing.frames_per_unit
            if abs(interval_s / planned_s - 1) > CLOCK_AT_MOST:
                yield Finding(
                    "warning",
                    "clock",
                    f"{trace.source} has a frame every {1e6 * interval_s:.6g} µs, the plan every "
                    f"{1e6 * planned_s:.6g} µs.",
                    "Check the sample rate and the picture time: dark counts and noise are others than planned.",
                )
        if jitter_s is not None and jitter_s > _JITTER_AT_MOST * interval_s:
            yield Finding(
                "warning",
                "jitter",
                f"{trace.source} has frames whose times differ by {jitter_s / interval_s:.0%} (standard deviation).",
                "Check the trigger's cable and level.",
            )


def clipping(plan: Plan, scan: Scan) -> Iterator[Finding]:
    """Many readings at exactly the largest value, and runs of one value."""
    for trace in traces_of(plan, scan):
        flat = trace.values.ravel()
        levels, counts = np.unique(flat, return_counts=True)
        if levels.size > 8 and counts[-1] >= _TIES and counts[-1] > 3 * max(1.0, float(counts[-6:-1].mean())):
            share = counts[-1] / flat.size
            yield Finding(
                "error" if share > 0.1 else "warning",
                "clipped",
                f"{trace.source} has {counts[-1]} frames at exactly {levels[-1]:g}, its largest: it looks clipped.",
                "Say where the detector saturates (--option saturation=…, or its detector file), or give less light.",
            )
        usual = float((counts.astype(np.float64) ** 2).sum()) / flat.size**2  # chance of two equal values
        equal = flat[1:] == flat[:-1]
        runs = equal[1:] & equal[:-1] & (flat[2:] != levels[-1])
        if runs.sum() >= 1 and runs.sum() > 10 * usual**2 * flat.size and usual < 0.05:
            first = int(np.flatnonzero(runs)[0])
            yield Finding(
                "warning",
                "stuck",
                f"{trace.source} has the same value three times running from value {first} on ({flat[first]:g}): "
                "readings look repeated.",
                "Check that the converter was read once for each frame.",
            )


def lamp(plan: Plan, scan: Scan) -> Iterator[Finding]:
    """The light from frame to frame: drift, readings that fall out, no light at all."""
    for trace in traces_of(plan, scan):
        change = trace.facts.reference_change
        corrected = trace.facts.drift_corrected
        if change is not None and change > DRIFT_AT_LEAST:
            yield Finding(
                "note" if corrected else "warning",
                "drift",
                f"{trace.source}: the reference frames change by {change:.1%}"
                + (f"; corrected by {corrected}." if corrected else "."),
                "" if corrected else "Correct it: --option drift=references.",
            )
        light = light_of(plan, trace)
        if light is None:
            continue
        places, values, why = light
        middle = float(np.median(values))
        if middle <= 0:
            yield Finding(
                "error", "no light", f"{trace.source} has no light: {why} is {middle:.3g}.", "Check lamp and offset."
            )
            continue
        sigma = spread(values)
        course = smooth(values)
        out = np.flatnonzero(np.abs(values - course) > _OUTLIER_SIGMAS * sigma + 1e-6 * middle)
        if values.size >= _MIN_READINGS and 0 < out.size <= max(1, values.size // 10):
            yield Finding(
                "warning",
                "outliers",
                f"{trace.source} has {out.size} readings with more or less light than those around: number "
                f"{named(places[out].tolist())}.",
                "A frame was lost, shown twice, or disturbed. Acquire again if it matters.",
            )
        change = drift(np.delete(values, out) if out.size <= values.size // 10 else values, sigma)
        if change is not None and abs(change) > DRIFT_AT_LEAST:
            yield Finding(
                "warning",
                "drift",
                f"{trace.source}: {why} changes by {change:+.1%} from beginning to end"
                + (f", after correction by {corrected}." if corrected else "."),
                _drift_remedy(trace),
            )


def order(plan: Plan, scan: Scan) -> Iterator[Finding]:
    """Signs that the frames were shown, or recorded, in another order than the plan's."""
    for trace in traces_of(plan, scan):
        if trace.values.shape[1] == 2:
            found = list(_pair_order(plan, trace))
        else:
            found = list(_reference_order(plan, trace))
        yield from found or _decay(plan, trace)


_ORDER_REMEDY = "Show the frames of this plan's export, in their order, from the first on."


def _pair_order(plan: Plan, trace: Trace) -> Iterator[Finding]:
    sums = trace.sums
    middle = float(np.median(sums))
    if middle <= 0 or sums.size < _MIN_READINGS:
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
    is_usual = np.abs(sums - local) <= _OUTLIER_SIGMAS * sigma + 1e-6 * middle
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


def _drift_remedy(trace: Trace) -> str:
    """Of a lamp and of an offset the opposite is right, and the pairs' sums alone can't tell them apart."""
    if trace.facts.drift_corrected:
        return "Acquire again with a steadier lamp: what is left of the drift is in the image."
    if trace.values.shape[1] != 2:
        return "Show reference frames (--option reference_frames=…): uncorrected, the drift is in the image."
    return (
        "If the lamp drifts, correct it with --option drift=pairs, or by reference frames. If the detector's offset "
        "does (dark frames would tell), leave it: pairs have cancelled it, and drift=pairs would harm."
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
    return later.size >= _MIN_READINGS and spreads[0] < 0.25 * spreads[1]


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


def _decay(plan: Plan, trace: Trace) -> Iterator[Finding]:
    """Coefficients of images fall with sequency; if these don't, the order is likely another."""
    import torch

    values = torch.zeros((1, plan.sensing.n_units, *plan.sensing.reading_shape), dtype=torch.float64)
    values[0, torch.from_numpy(trace.units)] = torch.from_numpy(trace.values)
    coefficients = plan.sensing.decode(values)[0].numpy()
    units = np.setdiff1d(np.unique(trace.units), [0])
    if units.size < _MIN_ORDERED:
        return
    energy = coefficients[units] ** 2
    noise = plan.sensing.decoded_variance(plan.noise.variance(values))[0].numpy()[units]
    if energy.mean() < _SIGNAL_AT_LEAST * noise.mean():
        return
    correlation = float(spearmanr(energy, plan.sensing.distance()[units]).statistic)
    if not correlation * np.sqrt(units.size - 1) < -2:
        yield Finding(
            "warning",
            "order",
            f"{trace.source}: the coefficients don't fall with sequency as those of images do (rank correlation "
            f"{correlation:+.2f}): it may have been recorded in another order.",
            _ORDER_REMEDY,
        )


def light_of(plan: Plan, trace: Trace) -> tuple[npt.NDArray[np.int64], Floats, str] | None:
    """(places, values, what they are) of readings that see all of the light."""
    if trace.values.shape[1] == 2:
        return trace.places, trace.sums, "the sum of + and − frames"
    reference = trace.units == plan.sensing.reference_unit
    if reference.any():
        return trace.places[reference], trace.values[reference, 0], "the light with all mirrors on"
    return None


def _read_noise(plan: Plan) -> float:
    return plan.noise.read_noise_e if isinstance(plan.noise, PoissonGaussian) else 0.0


CHECKS: tuple[Check, ...] = (frames, clock, clipping, lamp, order)
