"""Detector traces as other programs write them: one value per frame, or a continuous signal."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from acqplan.core.errors import AcquisitionError
from acqplan.core.registry import register
from acqplan.formats.acquired import fields_of
from acqplan.formats.contracts import AcquiredReader, AcquiredWriter
from acqplan.modalities.dmd.formats.detector_trace import is_trace, read_trace, write_trace
from acqplan.modalities.dmd.traces import files
from acqplan.modalities.dmd.traces.detector import Detector
from acqplan.modalities.dmd.traces.settings import FrameSet, TraceSettings
from acqplan.plan.plan import Plan
from acqplan.sensing.acquisition import Acquisition


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
            files.write_table(files.Table({"signal": values}, {**texts, "frames": str(values.size)}), path)
        else:
            write_trace(acquisition, plan, path)

    def read_acquired(self, path: Path, plan: Plan) -> Acquisition:
        return read_trace(path, plan, self.settings)
