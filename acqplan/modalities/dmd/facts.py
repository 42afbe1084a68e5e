"""What a single-pixel detector's trace states of a scan."""

from __future__ import annotations

from dataclasses import dataclass

from acqplan.sensing.acquisition import Facts, Scan


@dataclass(frozen=True)
class FrameFacts:
    """The frames of a trace, numbered from 0 in the order shown.

    Parameters
    ----------
    shown
        How many there are.
    dropped, repeated, saturated
        Numbers of those without a value of their own, with more than one, and at the end of the detector's range.
    spurious_triggers
        How many triggers came within a frame and were passed over.
    interval_s, jitter_s
        Median time from trigger to trigger and the standard deviation of the intervals; None where there were none.
    samples
        Samples averaged to a frame's value, the least of all frames.
    """

    shown: int = 0
    dropped: tuple[int, ...] = ()
    repeated: tuple[int, ...] = ()
    saturated: tuple[int, ...] = ()
    spurious_triggers: int = 0
    interval_s: float | None = None
    jitter_s: float | None = None
    samples: int = 1


@dataclass(frozen=True)
class TraceFacts(Facts):
    """Facts of a trace.

    Parameters
    ----------
    frames
        What happened to the frames.
    positions
        Place of each reading in the order of acquisition, where some were lost.
    in_electrons
        The values are photo-electrons: a detector file converted them, or the trace says so.
    other_unit
        What the trace says its values are, where that is no photo-electrons and nothing converted them.
    drift_corrected
        By what the lamp's drift was corrected: ``references`` or ``pairs``.
    reference_change
        Share by which the reference frames change.
    """

    frames: FrameFacts = FrameFacts()
    positions: tuple[int, ...] | None = None
    in_electrons: bool = False
    other_unit: str | None = None
    drift_corrected: str | None = None
    reference_change: float | None = None


def facts_of(scan: Scan) -> TraceFacts:
    """What is stated of a scan, all unknown where that was no trace."""
    return scan.facts if isinstance(scan.facts, TraceFacts) else TraceFacts(scan.facts.saturated)
