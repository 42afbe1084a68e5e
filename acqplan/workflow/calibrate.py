"""A detector from a dark and a bright recording."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from acqplan.core import registry
from acqplan.core.errors import RecipeError
from acqplan.core.files import check_writable
from acqplan.plan.in_use import FittedDetector


def calibrate(
    dark: str | Path,
    bright: str | Path,
    output: str | Path | None = None,
    *,
    options: Mapping[str, Any] | None = None,
    offset_adu: float | None = None,
    exposure_s: float | None = None,
    adc_bits: int | None = None,
    saturation_adu: float | None = None,
    repeats: int | None = None,
    levels: Sequence[float] | None = None,
    overwrite: bool = False,
) -> FittedDetector:
    """Fit a detector's gain, offset and noise to a dark and a bright recording, and check that it is linear.

    Parameters
    ----------
    dark, bright
        Recordings of one value per frame, without light, and with light of several levels one after the other.
    output
        Detector file to write, JSON; None: the detector is only returned.
    options
        How to read both files, as when acquired data are read.
    offset_adu
        Value without light and dark current (default: the dark recording's mean).
    exposure_s
        Time of a frame in seconds; needed with ``offset_adu``.
    adc_bits
        Bits of the converter.
    saturation_adu
        From here on the detector doesn't follow the light.
    repeats
        Values of each light level (default: found by itself).
    levels
        Light of each level in any unit: the means have to be linear in it.

    Raises
    ------
    RecipeError, AcquisitionError
        A setting or a recording isn't right, or the detector isn't linear.
    OutputError
        ``output`` exists (without ``overwrite``) or can't be written.
    """
    target = None if output is None else Path(output)
    if target is not None:
        check_writable(target, overwrite=overwrite)
    fitting = [cls for cls in registry.kinds("modalities").values() if cls.fits_detectors]
    if not fitting:
        raise RecipeError("No instrument has a detector to calibrate.", "Install the package of one that has.")
    fitted: FittedDetector = fitting[0]().fitted_detector(
        Path(dark),
        Path(bright),
        options=options,
        exposure_s=exposure_s,
        offset_adu=offset_adu,
        adc_bits=adc_bits,
        saturation_adu=saturation_adu,
        repeats=repeats,
        levels=levels,
    )
    if target is not None:
        fitted.save(target, overwrite=overwrite)
    return fitted
