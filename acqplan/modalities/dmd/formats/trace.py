"""The trace of a single-pixel detector, as acqplan and other programs write it.

A file holds one value per shown frame, or a continuous signal that is cut into frames.
"""

from __future__ import annotations

import codecs
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from acqplan.core import npy
from acqplan.core.errors import AcquisitionError, InstrumentError
from acqplan.core.registry import register
from acqplan.formats.acquired import TEXTS, acquisition_from, checked_digest, fields_of, first_bytes
from acqplan.formats.contracts import AcquiredReader, AcquiredTable, AcquiredWriter
from acqplan.modalities.dmd.facts import FrameFacts
from acqplan.modalities.dmd.traces import files
from acqplan.modalities.dmd.traces.detector import Detector
from acqplan.modalities.dmd.traces.reading import UNIT, PatternTrace, lamp_of_pairs, read_pattern_trace
from acqplan.modalities.dmd.traces.settings import FrameSet, TraceSettings
from acqplan.plan.plan import MISSING_AT_MOST, Plan
from acqplan.sensing.acquisition import Acquisition

_TITLE = "# acqplan detector"
_CAUSES = {
    "saturated": ("at the end of the detector's range", "Lower the light or the gain, and acquire again."),
    "dropped": ("missing", "Acquire again, or pass the plan that was played."),
    "repeated": ("there more than once", "Acquire again."),
}


@register("instruments", "trace")
class Trace(AcquiredReader, AcquiredWriter):
    """The signal of a single-pixel detector; options as in `acqplan.modalities.dmd.traces.settings.TraceSettings`.

    ``detector`` is the name of a detector file. Files that acqplan wrote state their own settings.
    """

    summary = "Detector traces of any program: NumPy, CSV, HDF5 or MATLAB; per frame, or continuous with a trigger."
    modalities = ("hadamard_dmd",)
    acquired_suffixes = (".csv", ".npy", ".h5", ".mat")

    def __init__(
        self,
        detector: str | None = None,
        signal: str | None = None,
        frame_numbers: str | None = None,
        trigger: str | None = None,
        trigger_level: float | None = None,
        sample_rate_hz: float | None = None,
        frame_time_us: float | None = None,
        start_us: float | None = None,
        settling_us: float | None = None,
        dark_frames: FrameSet = None,
        reference_frames: FrameSet = None,
        saturation: float | None = None,
        drift: str = "auto",
        second_signal: str | None = None,
    ) -> None:
        self.settings = TraceSettings(
            None if detector is None else Detector.load(detector),
            signal,
            frame_numbers,
            trigger,
            trigger_level,
            sample_rate_hz,
            frame_time_us,
            start_us,
            settling_us,
            dark_frames,
            reference_frames,
            saturation,
            drift,
            second_signal,
        )

    @classmethod
    def recognises(cls, path: Path) -> bool:
        try:
            kind = files.kind_of(path)
            if kind == "hdf5":
                return files.read_table(path).texts.get("format") == files.FORMAT
        except AcquisitionError:
            return False
        return kind in ("mat5", "mat73", "npy") or (kind == "text" and is_trace(path))

    def write_acquired(self, acquisition: Acquisition, plan: Plan, path: Path) -> None:
        """Readings as one photo-electron value per frame; ``.npy`` and ``.mat`` have no place for plan and digest."""
        if path.suffix.lower() in (".h5", ".mat"):
            _, texts = fields_of(acquisition, plan)
            values = np.asarray(acquisition.readings, dtype=np.float32).ravel()
            files.write_table(
                files.Table({"signal": values}, {**texts, "frames": str(values.size), "unit": UNIT}), path
            )
        else:
            write_trace(acquisition, plan, path)

    def read_acquired(self, path: Path, plan: Plan) -> Acquisition:
        return read_trace(path, plan, self.settings)


@register("acquired_tables", "hadamard_dmd")
class TraceTable(AcquiredTable):
    """One value per shown frame, as CSV."""

    @classmethod
    def recognises(cls, path: Path) -> bool:
        return is_trace(path)

    def read(self, path: Path, plan: Plan) -> Acquisition:
        return read_trace(path, plan)

    def write(self, acquisition: Acquisition, plan: Plan, path: Path) -> None:
        write_trace(acquisition, plan, path)


def is_trace(path: Path) -> bool:
    """Whether a file is a detector trace as text: acqplan's own, or one that starts with a number."""
    try:
        text = codecs.getincrementaldecoder("utf-8-sig")().decode(first_bytes(path, 4096))  # may end within a letter
    except (AcquisitionError, UnicodeDecodeError):
        return False
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith("#")]
    return text.startswith(_TITLE) or (bool(lines) and _is_number(lines[0].split(",")[0]))


def write_trace(acquisition: Acquisition, plan: Plan, path: Path) -> None:
    """Write readings[n, frames_per_unit] as one value per frame; ``.npy`` float32[frames], anything else CSV."""
    _check_detector(plan, InstrumentError)
    values = np.asarray(acquisition.readings, dtype=np.float32).ravel()
    if path.suffix.lower() == ".npy":
        npy.save_array(path, values)
        return
    _, texts = fields_of(acquisition, plan)
    header = {
        **{name: " ".join(text.split()) for name, text in texts.items()},
        "frames": str(values.size),
        "unit": UNIT,
        "rows": "one per shown frame; the + and then the - frame of each reading",
    }
    lines = [f"{_TITLE} trace", *(f"# {name}: {text}" for name, text in header.items()), "frame,photo_electrons"]
    lines.extend(f"{frame},{value:.9g}" for frame, value in enumerate(values.tolist()))  # 9 digits: float32 exactly
    path.write_text("\n".join(lines) + "\n", encoding="utf-8", newline="\n")


def read_trace(path: Path, plan: Plan, settings: TraceSettings | None = None) -> Acquisition:
    """Read a trace of any file and setting that `acqplan.modalities.dmd.traces` knows.

    Readings with a frame that was dropped, repeated or saturated are left out: `Acquisition.order` names the units of
    the others. A trace without plan or digest can't say which pattern it was acquired with.

    Raises
    ------
    AcquisitionError
        Not such a file, a value that is no number, another number of frames than the plan shows, or too many that
        aren't measured.
    """
    _check_detector(plan, AcquisitionError)
    sensing, n_readings = plan.sensing, plan.pattern.n_readings
    n_values = sensing.reading_shape[0]
    n_arms = n_values // sensing.frames_per_unit
    settings = settings or TraceSettings()
    picture_time_s = (
        None if plan.budget.reading_time_s is None else plan.budget.reading_time_s / sensing.frames_per_unit
    )

    def check(texts: dict[str, str]) -> None:
        """A trace of another plan is told by its digest rather than by its length."""
        digest = checked_digest(texts.get("pattern_digest"), path)
        plan.check_acquisition(Acquisition(np.zeros(0), digest, str(path)), assume_plan=True)

    if n_arms == 2 and settings.second_signal is None:
        settings = settings.with_stated(files.read_table(path).texts, str(path))
    if n_arms == 2 and settings.second_signal is not None:
        trace = _of_two_arms(path, settings, n_readings, check, picture_time_s)
    else:
        if settings.second_signal is not None:
            raise AcquisitionError(f"The plan of {path} has one detector, two signals are named.", "Name one.")
        trace = read_pattern_trace(
            path,
            settings,
            n_readings * n_values,
            n_values,
            check,
            together=n_arms == 2,
            picture_time_s=picture_time_s,
        )
    measured = np.asarray(trace.measured.reshape(n_readings, n_values).all(axis=1))
    _check_measured(measured, trace.facts.frames, path)
    order = None if measured.all() else plan.pattern.order[measured]
    reference = sensing.reference_unit
    if order is not None and reference is not None and not (order == reference).any():
        raise AcquisitionError(
            f"{path} lost every reading of coefficient {reference}, which decodes all the others.", "Acquire again."
        )
    readings = trace.values.reshape(n_readings, n_values)[measured]
    texts: dict[str, str] = {name: trace.texts[name] for name in TEXTS if name in trace.texts}
    acquisition = acquisition_from({"readings": readings.ravel()}, texts, path, plan)
    return replace(
        acquisition,
        order=order,
        order_is_assumed=order is not None and acquisition.pattern_digest is None,
        facts=trace.facts
        if order is None
        else replace(trace.facts, positions=tuple(np.flatnonzero(measured).tolist())),
    )


def _of_two_arms(
    path: Path,
    settings: TraceSettings,
    n_readings: int,
    check: Callable[[dict[str, str]], None],
    picture_time_s: float | None,
) -> PatternTrace:
    """Two signals on one clock, as a trace whose values alternate between the arms."""
    drift = "none" if settings.drift == "pairs" else settings.drift
    first = replace(settings, drift=drift, second_signal=None)
    arms = [
        read_pattern_trace(path, each, n_readings, 1, check, picture_time_s=picture_time_s)
        for each in (first, replace(first, signal=settings.second_signal))
    ]
    values = np.stack([arm.values for arm in arms], axis=1).ravel()
    measured = np.repeat(arms[0].measured & arms[1].measured, 2)
    one, other = (arm.facts for arm in arms)
    frames = replace(one.frames, saturated=tuple(sorted({*one.frames.saturated, *other.frames.saturated})))
    facts = replace(one, frames=frames, saturated=tuple(sorted({*one.saturated, *other.saturated})))
    if settings.drift == "pairs":
        values = values / lamp_of_pairs(values, measured, 2, str(path), together=True)
        facts = replace(facts, drift_corrected="pairs")
    return PatternTrace(values, measured, arms[0].texts, facts)


def _check_measured(measured: npt.NDArray[np.bool_], frames: FrameFacts, path: Path) -> None:
    """Raise `AcquisitionError` that names the commonest cause if too many readings are lost."""
    lost = int((~measured).sum())
    if lost <= MISSING_AT_MOST * measured.size:
        return
    lost_by = {name: len(getattr(frames, name)) for name in _CAUSES}
    cause = max(_CAUSES, key=lambda name: lost_by[name])
    what, remedy = _CAUSES[cause]
    raise AcquisitionError(
        f"{path} has {lost_by[cause]} of {frames.shown} frames {what}: {lost} of {measured.size} readings are "
        f"lost, at most {MISSING_AT_MOST:.0%} may be.",
        remedy,
    )


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True


def _check_detector(plan: Plan, error: type[AcquisitionError] | type[InstrumentError]) -> None:
    if plan.sensing.is_complex or len(plan.sensing.reading_shape) != 1:
        raise error(
            f"A detector trace holds one real value per frame, not the readings of a {plan.sensing.kind} plan.",
            "Use a format that acqplan formats lists for it.",
        )
