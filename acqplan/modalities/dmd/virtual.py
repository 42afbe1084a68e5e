"""The virtual microscope of a plan: readings, or with a detector or faults the trace that its program would write."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from acqplan.core.errors import OutputError, RecipeError
from acqplan.core.files import atomic_file
from acqplan.core.registry import register
from acqplan.formats.contracts import PatternFormat
from acqplan.formats.virtual import Recorder, Recording, VirtualInstrument
from acqplan.images import ImageRecord
from acqplan.modalities.dmd.in_use import NO_TRACE
from acqplan.modalities.dmd.microscope import Microscope, Recorded, record_trace
from acqplan.modalities.dmd.traces.detector import Detector
from acqplan.modalities.dmd.traces.files import SUFFIXES, write_table
from acqplan.plan.components import Component, check_keywords
from acqplan.plan.plan import Plan
from acqplan.sensing.noise import NoiseModel


@register("virtual_instruments", "dmd")
class VirtualMicroscope(VirtualInstrument):
    """A microscope with a ``detector`` (its file), and what may be wrong with it: the settings of `Microscope`."""

    def __init__(self, plan: Plan, settings: Mapping[str, Any]) -> None:
        super().__init__(plan, {})
        faults = dict(settings)
        detector = faults.pop("detector", None)
        check_keywords(Microscope, faults, "The virtual microscope")
        self._recorder: Recorder | None = None
        if settings:
            self._recorder = TraceRecorder(
                Microscope(**faults), None if detector is None else Detector.load(Path(detector))
            )

    def played(self) -> Component:
        rows, columns = self.plan.sensing.image_shape  # a mirror array just as large as the pattern
        return Component("dmd-tiff", {"device": f"{columns}x{rows}", "scale": 1})

    @property
    def recorder(self) -> Recorder | None:
        return self._recorder


class TraceRecorder(Recorder):
    """Records a detector's trace; see `record_trace`."""

    def __init__(self, microscope: Microscope, detector: Detector | None) -> None:
        self._microscope, self._detector = microscope, detector

    def check(self, path: Path | None, *, as_format: str | None = None, several: bool = False) -> None:
        if several or as_format not in (None, "trace"):
            raise RecipeError(*NO_TRACE)
        if path is None:
            raise RecipeError("A detector trace needs a file.", "Name one.")
        if path.suffix.lower() not in SUFFIXES:
            raise OutputError(
                f"A detector trace can't be written as {path}.", f"Choose a name that ends in {', '.join(SUFFIXES)}."
            )

    def record(
        self, plan: Plan, instrument: PatternFormat, folder: Path, record: ImageRecord, *, noise: NoiseModel, seed: int
    ) -> Recording:
        return Trace(
            record_trace(
                plan,
                instrument,
                folder,
                record,
                microscope=self._microscope,
                detector=self._detector,
                noise=noise,
                seed=seed,
            )
        )


class Trace(Recording):
    """A recorded trace."""

    def __init__(self, recorded: Recorded) -> None:
        self._recorded = recorded

    @property
    def contents(self) -> str:
        return f"{len(next(iter(self._recorded.table.arrays.values())))} rows"

    def remarks(self, path: Path) -> list[str]:
        recorded = self._recorded
        lost = [("dropped", recorded.dropped), ("repeated", recorded.repeated)]
        told = [f"{name} {', '.join(map(str, numbers))}" for name, numbers in lost if numbers]
        remarks = [f"Frames {'; '.join(told)}."] if told else []
        if path.suffix.lower() in (".npy", ".mat"):
            stated = {name: value for name, value in recorded.settings.stated().items() if name != "detector"}
            if path.suffix.lower() == ".npy":  # its columns have numbers for names
                columns = {name: str(number) for number, name in enumerate(recorded.table.arrays)}
                stated = {name: columns.get(value, value) for name, value in stated.items()}
            options = " ".join(f"--option {name}={value}" for name, value in stated.items())
            remarks.append(f"The file can't say how to read it: --assume-plan --detector FILE {options}")
        return remarks

    def write(self, path: Path, *, overwrite: bool = False) -> None:
        with atomic_file(path, overwrite=overwrite) as temporary:
            write_table(self._recorded.table, temporary)
