"""What a single-pixel detector's trace tells of itself: lost frames, the clock, and the lamp.

A ± pair's sum is all of the image's light, whatever its pattern (the mirrors off in one frame are on in the other): it
shows drift and frames that don't belong together without a reference.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import torch

from acqplan.core.words import named
from acqplan.modalities.dmd.facts import TraceFacts, facts_of
from acqplan.modalities.dmd.sensing import HadamardDMD
from acqplan.modalities.dmd.slow_course import drift, smooth, spread
from acqplan.plan.plan import Plan
from acqplan.plan.verification import Check, Finding
from acqplan.sensing.acquisition import Acquisition, Scan
from acqplan.sensing.measurement import averaged

CLOCK_AT_MOST = 0.01
"""Share by which the measured frame time may differ from the planned one."""
DRIFT_AT_LEAST = 0.01
"""Share of the light below which a drift isn't reported."""

OUTLIER_SIGMAS = 8.0
"""Scatter of the light beyond which a frame was disturbed."""
MIN_READINGS = 16
"""Readings without which their course can't be told."""

_JITTER_AT_MOST = 0.05
_TIES = 3
_NO_LIGHT_SIGMAS = 4.0
_MANY = 32

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
    """The values are said to be photo-electrons: by a detector's file, the trace itself, or as acqplan's readings."""

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
        # A detector's trace may carry the digest and be in any unit; acqplan's own files hold photo-electrons.
        is_own = acquisition.pattern_digest is not None and not isinstance(scan.facts, TraceFacts)
        trace = _trace(plan, acquisition, facts_of(scan), is_own)
        if trace is not None:
            yield trace


def _trace(plan: Plan, acquisition: Acquisition, facts: TraceFacts, is_own: bool) -> Trace | None:
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
    return Trace(acquisition.source, values, order.astype(np.int64), places, facts, facts.in_electrons or is_own)


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
        middle, sigma = float(np.median(values)), spread(values)
        error = sigma / np.sqrt(values.size) if values.size >= _MANY else 0.0  # of few it isn't known well
        if middle <= 0 or float(np.mean(values)) < _NO_LIGHT_SIGMAS * error:
            yield Finding(
                "error",
                "no light",
                f"{trace.source} has no light: {why} is {middle:.3g}" + (f" ± {error:.2g}." if error else "."),
                "Check lamp and offset.",
            )
            continue
        out = _disturbed(values)
        if values.size >= MIN_READINGS and 0 < out.size <= max(1, values.size // 10):
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


def _disturbed(values: Floats) -> npt.NDArray[np.int64]:
    """Places of values that differ from those around."""
    off = np.abs(values - smooth(values))
    return np.flatnonzero(off > OUTLIER_SIGMAS * spread(values) + 1e-6 * float(np.median(values)))


def undisturbed(plan: Plan, trace: Trace) -> Trace:
    """Without the readings that have another light than those around, where the readings show all of it."""
    sees_all = np.ones(len(trace.values), bool)
    if trace.values.shape[1] != 2:
        sees_all = trace.units == plan.sensing.reference_unit
    light = trace.values[sees_all].sum(1)
    kept = np.ones(len(trace.values), bool)
    if light.size >= MIN_READINGS:
        kept[np.flatnonzero(sees_all)[_disturbed(light)]] = False
    return replace(trace, values=trace.values[kept], units=trace.units[kept], places=trace.places[kept])


def spectrum_of(plan: Plan, trace: Trace) -> tuple[npt.NDArray[np.int64], Floats, Floats]:
    """(units, squared coefficients, variances by the plan's noise) of what was measured, all [n], without unit 0."""
    mean, counts = averaged(torch.from_numpy(trace.values), trace.units, plan.sensing.n_units)
    variance = plan.noise.variance(mean) / counts.clamp(min=1)[:, None]
    units = np.setdiff1d(trace.units, [0])
    coefficients = plan.sensing.decode(mean[None])[0].numpy()[units]
    return units, coefficients**2, plan.sensing.decoded_variance(variance[None])[0].double().numpy()[units]


def light_of(plan: Plan, trace: Trace) -> tuple[npt.NDArray[np.int64], Floats, str] | None:
    """(places, values, what they are) of readings that see all of the light."""
    if trace.values.shape[1] == 2:
        return trace.places, trace.sums, "the sum of + and − frames"
    reference = trace.units == plan.sensing.reference_unit
    if reference.any():
        return trace.places[reference], trace.values[reference, 0], "the light with all mirrors on"
    return None


CHECKS: tuple[Check, ...] = (frames, clock, clipping, lamp)
