"""A detector from two recordings in files, and what a person wants to know of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from acqplan.core.errors import AcqplanError, RecipeError
from acqplan.modalities.dmd.formats.trace import Trace
from acqplan.modalities.dmd.traces.calibration import fit_detector
from acqplan.modalities.dmd.traces.detector import Detector
from acqplan.modalities.dmd.traces.reading import recording
from acqplan.plan.components import Component, check_options

_LABELS = {
    "gain_adu_per_e": "Gain / ADU per photo-electron",
    "offset_adu": "Offset / ADU",
    "read_noise_e": "Read noise / photo-electrons",
    "dark_current_e_per_s": "Dark current / electrons per second",
}


@dataclass(frozen=True)
class FittedDetector:
    """A detector that two recordings gave."""

    detector: Detector

    @property
    def numbers(self) -> list[tuple[str, str]]:
        """(name with unit, value ± standard error) of what was fitted."""
        detector = self.detector
        return [
            (label, f"{getattr(detector, name):.6g} ± {detector.uncertainty[name]:.2g}")
            for name, label in _LABELS.items()
            if name in detector.uncertainty
        ]

    @property
    def notes(self) -> list[str]:
        """How well it was found linear, where that was checked."""
        linearity = self.detector.calibration["linearity"]
        if not linearity["checked"]:
            return []
        return [
            f"Linear up to {self.detector.calibration['largest_adu']:.6g} ADU: the mean-variance line bends by "
            f"{100 * linearity['curvature']:.2g} ± {100 * linearity['curvature_error']:.2g} %."
        ]

    @property
    def warnings(self) -> list[str]:
        """What wasn't checked."""
        linearity = self.detector.calibration["linearity"]
        if linearity["checked"] or "level_deviation" in linearity:
            return []
        return ["The bright recording has one light level: that the detector is linear wasn't checked."]

    def save(self, path: Path, *, overwrite: bool = False) -> None:
        """Write the detector file; see `Detector.save`."""
        self.detector.save(path, overwrite=overwrite)


def fitted_detector(
    dark: Path,
    bright: Path,
    *,
    options: Mapping[str, Any] | None = None,
    exposure_s: float | None = None,
    offset_adu: float | None = None,
    adc_bits: int | None = None,
    saturation_adu: float | None = None,
    repeats: int | None = None,
    levels: Sequence[float] | None = None,
) -> FittedDetector:
    """The detector that recorded ``dark`` without light and ``bright`` with light; see `fit_detector`.

    Parameters
    ----------
    options
        How to read both files: settings of the format ``trace``.
    exposure_s
        Time of a frame; None: what ``options`` say.

    Raises
    ------
    RecipeError, AcquisitionError
        A setting or a recording isn't right; both files are named.
    """
    given = dict(options or {})
    check_options("instruments", Component("trace", given))
    if "detector" in given:
        raise RecipeError("A calibration takes no detector.", "Leave the option out.")
    settings = Trace(**given).settings
    try:
        detector = fit_detector(
            recording(dark, settings),
            recording(bright, settings),
            offset_adu=offset_adu,
            exposure_s=exposure_s or settings.frame_time_s,
            adc_bits=adc_bits,
            saturation_adu=saturation_adu,
            repeats=repeats,
            levels=levels,
        )
    except AcqplanError as error:
        raise type(error)(f"{dark} and {bright}: {error.problem}", error.remedy) from error
    told = {**detector.calibration, "dark": str(dark), "bright": str(bright)}
    return FittedDetector(replace(detector, calibration=told))
