"""From a detector's file to the photo-electrons of every shown frame."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import scipy

from acqplan.core.errors import AcquisitionError
from acqplan.modalities.dmd.facts import FrameFacts, TraceFacts
from acqplan.modalities.dmd.traces import cutting
from acqplan.modalities.dmd.traces.cutting import Frames
from acqplan.modalities.dmd.traces.files import Table, read_table
from acqplan.modalities.dmd.traces.settings import Layout, TraceSettings, layout

_MANY = 2  # values for each frame, at least: a continuous trace
_FRAME_COLUMNS = ("frame", "frames", "frame_number", "number", "index")
_MIN_REFERENCE = 0.05
"""Share of the usual reference below which the lamp was off: there is nothing to divide by."""
_WINDOW_SHARE, _MIN_WINDOW = 1 / 32, 9

_MAX_NUMBER = 1 << 26

UNIT = "photo-electrons per frame, dark signal subtracted"
"""What a trace says of its values (the text ``unit``) that needs no detector's file."""

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Planned = Callable[[int | None], Layout]
"""The layout of a pattern's frames, given how many a file seems to hold."""


@dataclass(frozen=True, eq=False)
class PatternTrace:
    """Photo-electrons of the pattern's frames, in the order shown.

    Parameters
    ----------
    values
        float64[frames of the pattern], photo-electrons with the dark signal subtracted, drift corrected.
    measured
        bool, same shape: whether each has one trustworthy value.
    texts
        What the file states (plan, digest, …).
    facts
        What is held against the plan.
    """

    values: Floats
    measured: npt.NDArray[np.bool_]
    texts: dict[str, str]
    facts: TraceFacts = field(default_factory=TraceFacts)


@dataclass(frozen=True, eq=False)
class Shown:
    """One value for every frame that was shown, as the file has it.

    ``pattern``, ``dark`` and ``reference`` are the numbers of those frames, ``settings`` what the file was read with,
    ``texts`` what it states.
    """

    frames: Frames
    pattern: Ints
    dark: Ints
    reference: Ints
    settings: TraceSettings
    texts: dict[str, str]


def read_frames(
    path: Path,
    settings: TraceSettings,
    n_pattern: int | None,
    check: Callable[[dict[str, str]], None] = lambda texts: None,
) -> Shown:
    """One value per shown frame.

    ``n_pattern``: how many frames the pattern has, None if there is no pattern (a calibration recording). ``check``
    is given the texts that the file states before anything else is looked at.

    Raises
    ------
    AcquisitionError
        The file can't be read, lacks an array, or doesn't hold as many frames.
    RecipeError
        Settings that contradict each other.
    """
    source = str(path)
    # Of a file of which an array is named only what is named: the rest may be large, or no numbers.
    table = read_table(path, _wanted(settings) if settings.signal is not None else ())
    check(table.texts)
    settings = settings.with_stated(table.texts, source)
    if not all(name in table.arrays for name in _wanted(settings)):
        table = read_table(path, _wanted(settings))
    planned = None if n_pattern is None else partial(layout, settings, n_pattern)
    cut = _cut if settings.is_continuous else _one_per_frame
    frames = cut(table, settings, planned, source)
    n_shown = len(frames.values)
    none = np.zeros(0, dtype=np.int64)
    shown = Layout(n_shown, np.arange(n_shown), none, none) if planned is None else planned(n_shown)
    if shown.total != n_shown:
        extra = f", {shown.dark.size} dark and {shown.reference.size} reference frames"
        missed = f" ({frames.dropped.size} of them missing in between)" if frames.dropped.size else ""
        if not settings.is_continuous and n_shown >= _MANY * shown.total:
            raise AcquisitionError(
                f"{source} holds {n_shown} values, the plan shows {shown.total} frames: it looks like a continuous "
                "trace, and its sample rate isn't known.",
                "Give sample_rate_hz, and frame_time_us or the array of the trigger (trigger).",
            )
        raise AcquisitionError(
            f"{source} holds {n_shown} frames{missed}, the plan shows {shown.total}: {n_pattern} of its "
            f"pattern{extra * bool(shown.dark.size + shown.reference.size)}.",
            "Pass the plan that was played, and say which frames aren't the pattern's (dark_frames, reference_frames).",
        )
    return Shown(frames, shown.pattern, shown.dark, shown.reference, settings, table.texts)


def recording(path: Path, settings: TraceSettings) -> Floats:
    """float64[n] of a recording without a pattern: the value of each frame that has one, saturated ones included."""
    frames = read_frames(path, settings, None).frames
    kept = np.ones(len(frames.values), dtype=np.bool_)
    kept[frames.dropped] = kept[frames.repeated] = False
    return np.asarray(frames.values[kept])


def _wanted(settings: TraceSettings) -> tuple[str, ...]:
    names = (settings.signal, settings.trigger, settings.frame_numbers)
    return tuple(name for name in names if name is not None)


def _cut(table: Table, settings: TraceSettings, planned: Planned | None, source: str) -> Frames:
    """Frames of a continuous signal."""
    signal = _signal(table, settings, source)
    rate = settings.sample_rate_hz
    assert rate is not None
    settling_s = 1e-6 * (settings.settling_us or 0)
    full_scale = _full_scale(settings, signal)
    if settings.trigger is not None:
        trigger = table.arrays[settings.trigger].ravel()
        if trigger.shape != signal.shape or not np.isfinite(trigger).all():
            raise AcquisitionError(
                f"{source} has {trigger.size} trigger samples for {signal.size} of the signal, or some aren't finite.",
                "Record both on one clock.",
            )
        return cutting.by_trigger(
            signal,
            cutting.rising_edges(trigger, settings.trigger_level, source),
            sample_rate_hz=rate,
            settling_s=settling_s,
            frame_time_s=settings.frame_time_s,
            full_scale=full_scale,
            source=source,
        )
    assert settings.frame_time_s is not None
    start_s = 1e-6 * (settings.start_us or 0)
    held = max(1, int((signal.size / rate - start_s) / settings.frame_time_s + 1e-6))
    n_frames = held if planned is None else planned(held).total
    return cutting.by_rate(
        signal,
        n_frames=n_frames,
        sample_rate_hz=rate,
        frame_time_s=settings.frame_time_s,
        start_s=start_s,
        settling_s=settling_s,
        full_scale=full_scale,
        source=source,
    )


def read_pattern_trace(
    path: Path,
    settings: TraceSettings,
    n_pattern: int,
    frames_per_unit: int,
    check: Callable[[dict[str, str]], None] = lambda texts: None,
    *,
    together: bool = False,
    picture_time_s: float | None = None,
) -> PatternTrace:
    """Photo-electrons of the pattern's ``n_pattern`` frames.

    ``picture_time_s``: time of a frame as planned, where the settings don't say it. ``together``: the values of a unit
    are those of two detectors in one frame, and count as frames here.

    Raises
    ------
    AcquisitionError
        As `read_frames`; or the reference or dark frames, or the sums of the pairs, can't be used.
    RecipeError
        Settings that contradict each other.
    """
    shown = read_frames(path, settings, n_pattern, check)
    frames, settings, pattern, reference = shown.frames, shown.settings, shown.pattern, shown.reference
    measured = frames.measured
    total = len(frames.values)
    values = _electrons(frames.values, measured, shown.dark, settings, frames.interval_s or picture_time_s, str(path))
    position = np.full(total, -1)
    position[pattern] = np.arange(n_pattern)
    saturated = position[frames.saturated]
    stated = shown.texts.get("unit")
    is_electrons = stated is not None and stated.startswith(UNIT.split()[0])
    facts = TraceFacts(
        tuple(np.unique(saturated[saturated >= 0] // frames_per_unit).tolist()),
        FrameFacts(
            total,
            tuple(frames.dropped.tolist()),
            tuple(frames.repeated.tolist()),
            tuple(frames.saturated.tolist()),
            frames.spurious,
            frames.interval_s,
            frames.jitter_s,
            frames.samples,
        ),
        in_electrons=settings.detector is not None or is_electrons,
        other_unit=None if settings.detector is not None or is_electrons else stated,
    )
    chosen = settings.drift
    if chosen == "auto":
        chosen = "references" if reference.size else "none"
    if reference.size:
        light = _lamp_of_references(values, measured, reference, total, str(path))
        facts = replace(facts, reference_change=float(light[reference].max() / light[reference].min() - 1))
        if chosen == "references":
            values = values / light
            facts = replace(facts, drift_corrected="references")
    values, measured = values[pattern], measured[pattern]
    if chosen == "pairs":
        values = values / lamp_of_pairs(values, measured, frames_per_unit, str(path), together=together)
        facts = replace(facts, drift_corrected="pairs")
    return PatternTrace(values, measured, shown.texts, facts)


def _one_per_frame(table: Table, settings: TraceSettings, planned: Planned | None, source: str) -> Frames:
    numbers_name = settings.frame_numbers
    if numbers_name is None:
        numbers_name = next((name for name in table.arrays if name.lower() in _FRAME_COLUMNS), None)
        is_pair_of_columns = not table.named and table.whole is None and len(table.arrays) == 2
        if numbers_name is None and is_pair_of_columns and settings.signal is None:
            numbers_name = "0"
    values = _signal(table, settings, source, but=numbers_name)
    numbers = None if numbers_name is None else cutting.whole_numbers(table.arrays[numbers_name], source)
    full_scale = _full_scale(settings, values)
    if "frames" in table.texts and table.texts["frames"].isdigit():
        stated = int(table.texts["frames"])
        n_rows = int(numbers.max()) + 1 if numbers is not None else values.size
        if n_rows < stated:
            raise AcquisitionError(
                f"{source} holds {n_rows} of {stated} frames.", "It is cut off: get a fresh copy of it."
            )
    if numbers is None:
        frames = Frames(values.astype(np.float64))
    else:
        last = int(numbers.max())
        n_frames = planned(last + 1 if last < _MAX_NUMBER else None).total if planned else None
        frames = cutting.numbered(values.astype(np.float64), numbers, n_frames, source)
    if full_scale is None:
        return frames
    with np.errstate(invalid="ignore"):
        return Frames(frames.values, frames.dropped, frames.repeated, np.flatnonzero(frames.values >= full_scale))


def _signal(table: Table, settings: TraceSettings, source: str, but: str | None = None) -> npt.NDArray[Any]:
    """The flat array of values or samples."""
    name = settings.signal
    if name is None:
        if table.whole is not None and not settings.is_continuous:
            return _real(table.whole, source).ravel()
        others = [each for each in table.arrays if each not in (but, settings.trigger, settings.frame_numbers)]
        if table.named:
            others = [each for each in others if each.lower() not in ("time", "time_s", "t")] or others
        if len(others) != 1:
            listed = ", ".join(map(repr, others[:12])) or "none"
            raise AcquisitionError(
                f"{source} has {len(others)} columns or arrays that may be the signal: {listed}.",
                "Name the one with the readings: --option signal=NAME.",
            )
        name = others[0]
    return _real(table.arrays[name], source).ravel()


def _real(values: npt.NDArray[Any], source: str) -> npt.NDArray[Any]:
    if values.dtype.kind not in "fiu":
        raise AcquisitionError(f"{source} holds a signal of type {values.dtype}, expected numbers.", "Name another.")
    return values


def _full_scale(settings: TraceSettings, values: npt.NDArray[Any]) -> float | None:
    """The first value that isn't a measurement; of short whole numbers without a detector their largest."""
    if settings.saturation is not None:
        return settings.saturation
    if settings.detector is not None:
        return settings.detector.full_scale_adu
    if values.dtype.kind in "iu" and values.dtype.itemsize <= 2:
        return float(np.iinfo(values.dtype).max)
    return None


def _electrons(
    values: Floats,
    measured: npt.NDArray[np.bool_],
    dark: Ints,
    settings: TraceSettings,
    interval_s: float | None,
    source: str,
) -> Floats:
    """Photo-electrons; dark frames, where there are some, replace the detector's offset and dark current."""
    detector = settings.detector
    usable = dark[measured[dark]]
    if dark.size and (not usable.size or not np.isfinite(values[usable]).all()):
        raise AcquisitionError(f"{source} has no dark frame that can be used.", "Correct dark_frames.")
    if usable.size:
        gain = 1.0 if detector is None else detector.gain_adu_per_e
        return np.asarray((values - values[usable].mean()) / gain)
    return values if detector is None else detector.electrons(values, settings.frame_time_s or interval_s)


def _lamp_of_references(
    values: Floats, measured: npt.NDArray[np.bool_], reference: Ints, total: int, source: str
) -> Floats:
    """float64[total]: the lamp's light at every frame, its mean over the references is 1; linear between them."""
    usable = reference[measured[reference]]
    light = values[usable]
    middle = float(np.median(light)) if usable.size else 0.0
    if not usable.size or not np.isfinite(light).all() or not light.min() > _MIN_REFERENCE * middle or middle <= 0:
        raise AcquisitionError(
            f"{source} has reference frames that are dark, or none that can be used.",
            "Show all mirrors on in them, and check their numbers: reference_frames counts from 0.",
        )
    return np.asarray(np.interp(np.arange(total), usable, light / light.mean()))


def lamp_of_pairs(
    values: Floats, measured: npt.NDArray[np.bool_], frames_per_unit: int, source: str, *, together: bool = False
) -> Floats:
    """float64[frames]: the lamp's light at every frame from the sums of + and − frames, its mean is 1.

    The mirrors on in the − frame are those off in the + frame, so each sum is all of the image's light whatever the
    pattern. Sums are smoothed by a line through each neighbourhood of a 32nd of the scan (Savitzky–Golay), and
    interpolated where a frame is lost. Values read ``together``, by one detector in each arm, aren't smoothed: their
    sum is the light of that very moment.
    """
    if frames_per_unit != 2:
        raise AcquisitionError(
            f"{source} was acquired without ± pairs, whose sums tell the lamp's drift.", "Use drift=references or none."
        )
    sums = values.reshape(-1, 2).sum(1)
    known = np.flatnonzero(measured.reshape(-1, 2).all(1) & np.isfinite(sums))
    if known.size < _MIN_WINDOW or not np.median(sums[known]) > 0:
        raise AcquisitionError(f"{source} has no light in its ± pairs.", "Use drift=none.")
    whole = np.interp(np.arange(sums.size), known, sums[known])
    if together:
        if not whole.min() > _MIN_REFERENCE * np.median(whole):
            raise AcquisitionError(f"{source} has frames without light.", "Use drift=none, and check the lamp.")
        return np.repeat(whole / whole.mean(), 2)
    window = min(max(_MIN_WINDOW, round(_WINDOW_SHARE * sums.size)) | 1, sums.size - 1 + sums.size % 2)
    smooth = scipy.signal.savgol_filter(whole, window, 1)
    if not smooth.min() > _MIN_REFERENCE * np.median(smooth):
        raise AcquisitionError(f"{source} has ± pairs without light.", "Use drift=none, and check the lamp.")
    # A pair's middle lies between its frames; the line goes on at both ends.
    ended = np.concatenate([[2 * smooth[0] - smooth[1]], smooth, [2 * smooth[-1] - smooth[-2]]])
    at = 2 * np.arange(-1, sums.size + 1) + 0.5
    return np.asarray(np.interp(np.arange(values.size), at, ended / smooth.mean()))
