"""A continuous signal cut into frames: one value each, without the settling time."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from acqplan.core.errors import AcquisitionError

_MIN_SHARE = 0.75
"""Of the usual interval: a trigger that comes sooner is a spurious one."""

_MOST_NUMBER = 1 << 53  # up to it float64 holds every whole number

Array = npt.NDArray[Any]
Ints = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Frames:
    """One value per shown frame.

    Parameters
    ----------
    values
        float64[frames], mean of a frame's samples; NaN where a frame has none.
    dropped
        Numbers of frames without a value of their own: a trigger or a row that is missing.
    repeated
        Numbers of frames with more than one value: it isn't known which is right.
    saturated
        Numbers of frames with a sample at the end of the detector's range.
    spurious
        How many triggers came within a frame and were passed over.
    interval_s
        Median time from trigger to trigger, or None where it isn't known.
    jitter_s
        Standard deviation of the intervals between neighbours, or None.
    samples
        Samples averaged to a frame's value, the least of all frames; 1 for one value per frame.
    """

    values: npt.NDArray[np.float64]
    dropped: Ints = field(default_factory=lambda: np.zeros(0, np.int64))
    repeated: Ints = field(default_factory=lambda: np.zeros(0, np.int64))
    saturated: Ints = field(default_factory=lambda: np.zeros(0, np.int64))
    spurious: int = 0
    interval_s: float | None = None
    jitter_s: float | None = None
    samples: int = 1

    @property
    def measured(self) -> npt.NDArray[np.bool_]:
        """bool[frames]: whether the frame has one trustworthy value."""
        measured = np.ones(len(self.values), dtype=np.bool_)
        for lost in (self.dropped, self.repeated, self.saturated):
            measured[lost] = False
        return measured


def whole_numbers(numbers: Array, source: str) -> Ints:
    """int64[rows]: the numbers of frames in a file, flat; `AcquisitionError` if there are none or one can't be such."""
    flat = numbers.astype(np.float64).ravel()
    usable = (flat >= 0) & (flat <= _MOST_NUMBER) & (flat == np.floor(flat))
    if not usable.all() or not flat.size:
        found = f": row {int(np.argmin(usable)) + 1} says {flat[np.argmin(usable)]:g}" if flat.size else ""
        raise AcquisitionError(
            f"{source} numbers its frames with something else than whole numbers from 0{found}.",
            "Give each value the number of its frame, counted from 0.",
        )
    return flat.astype(np.int64)


def numbered(values: Array, frames: Ints, n_frames: int | None, source: str) -> Frames:
    """One value per row with the number of its frame (`whole_numbers`): missing and repeated numbers are found.

    Raises `AcquisitionError` if there aren't as many numbers as values, if they descend, or exceed ``n_frames``.
    """
    if frames.shape != values.shape:
        raise AcquisitionError(
            f"{source} has {frames.size} frame numbers for {values.size} values.",
            "Give each value the number of its frame, counted from 0.",
        )
    if (np.diff(frames) < 0).any():
        late = int(np.flatnonzero(np.diff(frames) < 0)[0]) + 1
        raise AcquisitionError(
            f"{source} has frame {frames[late]} after frame {frames[late - 1]}, counted from 0.",
            "Give the values in the order in which the frames were shown.",
        )
    last = int(frames[-1])
    if n_frames is not None and last >= n_frames:
        raise AcquisitionError(
            f"{source} has frame {last}, but only {n_frames} frames were shown, counted from 0.",
            "Pass the plan that was played, or correct the numbers.",
        )
    total = last + 1 if n_frames is None else n_frames
    if total > 10 * len(values) + 10:
        raise AcquisitionError(
            f"{source} has {len(values)} of {total} frames.", "Pass the plan that was played, or acquire again."
        )
    counts = np.bincount(frames, minlength=total)
    whole = np.full(total, np.nan)
    whole[frames] = values
    return Frames(whole, dropped=np.flatnonzero(counts == 0), repeated=np.flatnonzero(counts > 1))


def rising_edges(trigger: Array, level: float | None, source: str) -> Ints:
    """Samples at which a trigger channel rises through ``level`` (default: half-way), with a fifth of hysteresis.

    Raises `AcquisitionError` if it never does.
    """
    low, high = (float(value) for value in (np.min(trigger), np.max(trigger)))
    middle = (low + high) / 2 if level is None else level
    band = 0.1 * (high - low)
    up, down = trigger >= min(middle + band, high), trigger < middle - band
    state = np.where(up, 1, np.where(down, 0, -1)).astype(np.int8)
    known = np.flatnonzero(state >= 0)
    rises = known[1:][np.diff(state[known]) == 1] if known.size else known
    if known.size and state[known[0]] == 1 and rises.size:
        # High from the first sample on: the first frame began there (or before, and can't be told).
        rises = np.concatenate([known[:1], rises])
    if not (high > low) or not rises.size:
        raise AcquisitionError(
            f"{source} has a trigger channel that never rises through {middle:g}.",
            "Name the right channel, or give trigger_level.",
        )
    return rises.astype(np.int64)


def by_trigger(
    signal: Array,
    edges: Ints,
    *,
    sample_rate_hz: float,
    settling_s: float = 0.0,
    frame_time_s: float | None = None,
    full_scale: float | None = None,
    source: str,
) -> Frames:
    """Frames that begin at ``edges`` (samples). A gap of m intervals means m − 1 missed triggers.

    The frame before a missed trigger keeps its value (its own time is known from the usual interval); those whose
    trigger is missing have none. Triggers much sooner than the usual interval are passed over.
    """
    usual = float(np.median(np.diff(edges))) if edges.size > 1 else float(len(signal) - edges[0])
    if frame_time_s is not None and usual < _MIN_SHARE * frame_time_s * sample_rate_hz:
        usual = frame_time_s * sample_rate_hz  # so many spurious ones that they are the usual
    kept = [int(edges[0])]
    for edge in edges[1:].tolist():
        if edge - kept[-1] >= _MIN_SHARE * usual:
            kept.append(edge)
    starts = np.array(kept, dtype=np.int64)
    steps = np.maximum(1, np.round(np.diff(starts) / usual).astype(np.int64))
    numbers = np.concatenate([[0], np.cumsum(steps)])
    neighbours = np.diff(starts)[steps == 1]
    interval = float(np.median(neighbours)) if neighbours.size else usual
    # A trigger may be one sample late; the last frame ends like the others.
    ends = np.minimum(starts + round(interval), np.append(starts[1:], len(signal)))
    values, saturated, samples = _averaged(signal, starts, ends, settling_s * sample_rate_hz, full_scale, source)
    total = int(numbers[-1]) + 1
    whole = np.full(total, np.nan)
    whole[numbers] = values
    return Frames(
        whole,
        dropped=np.setdiff1d(np.arange(total), numbers),
        saturated=numbers[saturated],
        spurious=len(edges) - len(starts),
        interval_s=interval / sample_rate_hz,
        jitter_s=float(np.std(neighbours)) / sample_rate_hz if neighbours.size else None,
        samples=samples,
    )


def by_rate(
    signal: Array,
    *,
    n_frames: int,
    sample_rate_hz: float,
    frame_time_s: float,
    start_s: float = 0.0,
    settling_s: float = 0.0,
    full_scale: float | None = None,
    source: str,
) -> Frames:
    """Frames of a known time one after the other from ``start_s`` on.

    Raises `AcquisitionError` if the signal ends before the last frame.
    """
    bounds = np.round((start_s + np.arange(n_frames + 1) * frame_time_s) * sample_rate_hz).astype(np.int64)
    if bounds[-1] > len(signal) + 1:  # a program may round the last one down
        held = max(0, int((len(signal) / sample_rate_hz - start_s) / frame_time_s))
        raise AcquisitionError(
            f"{source} holds {len(signal)} samples, enough for {held} frames of {1e6 * frame_time_s:g} µs; "
            f"the plan shows {n_frames}.",
            "Check frame_time_us, sample_rate_hz and start_us, or pass the plan that was played.",
        )
    ends = np.minimum(bounds[1:], len(signal))
    values, saturated, samples = _averaged(signal, bounds[:-1], ends, settling_s * sample_rate_hz, full_scale, source)
    return Frames(values, saturated=np.flatnonzero(saturated), samples=samples)


def _averaged(
    signal: Array, starts: Ints, ends: Ints, settling: float, full_scale: float | None, source: str
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.bool_], int]:
    """(mean of each frame's samples after the settling, whether one is saturated, samples of the shortest frame)."""
    first = starts + int(np.ceil(settling - 1e-9))
    samples = ends - first
    if samples.min() < 1:
        short = int(np.argmin(samples))
        raise AcquisitionError(
            f"{source} has {int(ends[short] - starts[short])} samples for frame {short}, none of them after "
            f"{settling:g} samples of settling.",
            "Shorten settling_us, or sample faster.",
        )
    bounds = np.stack([first, ends], axis=1).ravel()
    is_at_end = bounds[-1] == len(signal)
    indices = bounds[:-1] if is_at_end else bounds
    sums = np.add.reduceat(signal, indices, dtype=np.float64)[::2]
    saturated = np.zeros(len(starts), dtype=np.bool_)
    if full_scale is not None:
        saturated = np.maximum.reduceat(signal, indices)[::2] >= full_scale
    return sums / samples, saturated, int(samples.min())
