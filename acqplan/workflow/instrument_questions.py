"""What the shared rooms ask of an instrument, until each modality answers for itself."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol

from acqplan.core.errors import OutputError, RecipeError
from acqplan.core.files import atomic_file
from acqplan.core.seeding import torch_generator
from acqplan.formats.contracts import PatternFormat
from acqplan.images import ImageRecord
from acqplan.modalities.dmd.microscope import Microscope, Recorded, record_trace
from acqplan.modalities.dmd.traces.detector import Detector
from acqplan.modalities.dmd.traces.files import SUFFIXES, write_table
from acqplan.modalities.dmd.traces.fitting import FittedDetector as FittedDetector
from acqplan.modalities.dmd.traces.fitting import fitted_detector as fitted_detector
from acqplan.modalities.mri.coils import simulated_maps
from acqplan.plan.components import check_keywords
from acqplan.plan.plan import Plan
from acqplan.sensing.model import SensingModel
from acqplan.sensing.noise import NoiseModel


def result_unit(plan: Plan) -> str:
    """Unit of a reconstructed image's values, in words."""
    return "relative" if plan.sensing.is_complex else "photo-electrons per pixel and frame"


def image_suffix(plan: Plan) -> str:
    """Suffix of the image files that such an instrument's users expect."""
    return ".nii.gz" if plan.sensing.is_complex else ".tif"


def images_are_intensities(plan: Plan) -> bool:
    """Whether images for this plan have to be non-negative."""
    return not plan.sensing.is_complex


_NOISE_SETTINGS = {"std"}, {"photons", "read_noise_e", "dark_e"}


def noise_with(plan: Plan, changed: Mapping[str, float]) -> NoiseModel:
    """The plan's noise with some settings changed."""
    mri, dmd = _NOISE_SETTINGS
    if (dmd if plan.sensing.is_complex else mri) & set(changed):
        raise RecipeError(
            f"Noise settings of another modality were given for a {plan.sensing.kind} plan.",
            "Use --noise for MRI; --photons, --read-noise and --dark for the DMD.",
        )
    try:
        model: NoiseModel = replace(plan.noise, **changed)  # type: ignore[type-var]
    except TypeError as error:
        raise RecipeError(
            f"The plan's noise {plan.noise.kind} has no setting {', '.join(changed)}.", "Leave the flag out."
        ) from error
    return model


def misfit_noise(plan: Plan, changed: Mapping[str, float]) -> NoiseModel:
    """The plan's noise with some settings changed, to measure a misfit against."""
    if changed and not plan.sensing.is_complex:
        raise RecipeError("--noise is for MRI plans.", "Leave it out: a DMD plan's noise is counted in photons.")
    return noise_with(plan, changed)


def played_format(plan: Plan) -> tuple[str, dict[str, Any]]:
    """Format, and its settings, of the files that a virtual instrument plays unless some are given."""
    if plan.sensing.is_complex:
        return "bart", {}
    rows, columns = plan.sensing.image_shape
    return "dmd-tiff", {"device": f"{columns}x{rows}", "scale": 1}  # a mirror array just as large as the pattern


def virtual_sensing(plan: Plan, settings: Mapping[str, Any], seed: int) -> tuple[SensingModel, str]:
    """The plan's model as it is on the virtual instrument, and what to add to ``64 readings``."""
    n = settings.get("coils") or plan.modality.preparation(plan.recipe).n_coils
    if n > 1 and not plan.sensing.is_complex:
        raise RecipeError(f"{n} coils were given for a {plan.sensing.kind} plan.", "Leave --coils out.")
    if n == 1:
        return plan.sensing, ""
    maps = simulated_maps(n, plan.sensing.image_shape, torch_generator(seed, "coils"))
    return plan.sensing.with_coil_maps(maps), f" of {n} simulated coils"


class Recording(Protocol):
    """Data of an instrument's own kind."""

    @property
    def contents(self) -> str:
        """In words: what the file holds."""

    def remarks(self, path: Path) -> list[str]:
        """What went wrong in the instrument, and how the file is to be read; one sentence each."""

    def write(self, path: Path, *, overwrite: bool) -> None:
        """Write the file, whole or not at all."""


class Recorder(Protocol):
    """A virtual instrument that writes data of its own kind."""

    def check(self, path: Path) -> None:
        """Raise `OutputError` if the data can't be written as ``path``."""

    def record(
        self, plan: Plan, instrument: PatternFormat, folder: Path, record: ImageRecord, *, noise: NoiseModel, seed: int
    ) -> Recording:
        """Play the exported files in ``folder`` on an image."""


def recorder(plan: Plan, settings: Mapping[str, Any], *, several: bool, as_format: str | None) -> Recorder | None:
    """The virtual instrument that writes data of its own kind, if it is asked for one."""
    faults = {name: value for name, value in settings.items() if name != "coils"}
    if not faults:
        return None
    if plan.sensing.is_complex or several or as_format not in (None, "trace"):
        raise RecipeError(
            "--detector and --option are of the virtual microscope, which writes a DMD's detector trace.",
            "Leave them out, or pass a DMD plan, one image, and no other format.",
        )
    detector = faults.pop("detector", None)
    check_keywords(Microscope, faults, "The virtual microscope")
    return _TraceRecorder(Microscope(**faults), None if detector is None else Detector.load(Path(detector)))


class _TraceRecorder:
    def __init__(self, microscope: Microscope, detector: Detector | None) -> None:
        self._microscope, self._detector = microscope, detector

    def check(self, path: Path) -> None:
        if path.suffix.lower() not in SUFFIXES:
            raise OutputError(
                f"A detector trace can't be written as {path}.", f"Choose a name that ends in {', '.join(SUFFIXES)}."
            )

    def record(
        self, plan: Plan, instrument: PatternFormat, folder: Path, record: ImageRecord, *, noise: NoiseModel, seed: int
    ) -> Recording:
        how: dict[str, Any] = {"microscope": self._microscope, "detector": self._detector, "noise": noise, "seed": seed}
        return _Trace(record_trace(plan, instrument, folder, record, **how))


class _Trace:
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
            options = " ".join(f"--option {name}={value}" for name, value in stated.items())
            remarks.append(f"The file can't say how to read it: --assume-plan --detector FILE {options}")
        return remarks

    def write(self, path: Path, *, overwrite: bool) -> None:
        with atomic_file(path, overwrite=overwrite) as temporary:
            write_table(self._recorded.table, temporary)


def title_of_sensing(kind: str) -> str:
    """What people call the instrument of a sensing model."""
    return {"cartesian_mri": "MRI", "hadamard_dmd": "DMD"}.get(kind, kind)
