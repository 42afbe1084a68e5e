"""A calibration of error maps: its file, and what it holds on other images."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt
import torch

from acqplan.core.errors import RecipeError
from acqplan.core.risk_control import coverage
from acqplan.images import ImageRecord
from acqplan.learning.error_ratios import by_subject, error_ratios, mean_width
from acqplan.plan.plan import Plan
from acqplan.reconstructors.jackknife import Jackknife
from acqplan.sensing.acquisition import Acquisition
from acqplan.workflow.results import RESULT_FORMAT

TOLERANCE = 0.03
"""So much less than what is stated is warned of."""
_MOST_BYTES = 1 << 24


class ErrorCalibration(msgspec.Struct, frozen=True, kw_only=True):
    """How a plan's error maps are made, and on whom that was calibrated.

    Parameters
    ----------
    plan_id
        Of the plan; of another one it says nothing.
    level
        Share of the object's pixels whose error is at most the map's, on average over subjects like these.
    factor
        What the jackknife's sizes are multiplied by.
    jackknife
        How these are told.
    subjects
        Of each subject that it was calibrated on: the coverage with the factor that the others give, or None where
        these are too few.
    width
        Mean of the map over the object's pixels, over each image's largest magnitude.
    n_images, image_fingerprint, paths, seed
        The images, and the seed of the noise.
    warnings
        What the calibration isn't evidence for.
    """

    plan_id: str
    level: float
    factor: float
    jackknife: Jackknife
    subjects: dict[str, float | None]
    width: float
    n_images: int
    image_fingerprint: str
    paths: list[str]
    seed: int = 0
    warnings: list[str] = msgspec.field(default_factory=list)

    @property
    def held_out_coverage(self) -> float | None:
        """Mean of ``subjects``, or None."""
        values = [each for each in self.subjects.values() if each is not None]
        return float(np.mean(values)) if values else None

    def table(self) -> dict[str, Any]:
        """JSON-ready, as its file holds it."""
        found: dict[str, Any] = {"format": RESULT_FORMAT, **msgspec.to_builtins(self)}
        return found | {"n_subjects": len(self.subjects), "held_out_coverage": self.held_out_coverage}

    def of(self, plan: Plan) -> ErrorCalibration:
        """Itself; `RecipeError` if it is of another plan."""
        if self.plan_id != plan.plan_id:
            raise RecipeError(
                f"The error calibration is of the plan {self.plan_id[:12]}, not of {plan.plan_id[:12]}.",
                "Name the file that acqplan error-map wrote of this plan, or calibrate this plan.",
            )
        return self

    def map_of(self, plan: Plan, acquisition: Acquisition, image: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
        """float32[*image_shape]: how large the error may be, of the image[*image_shape] of a completed acquisition."""
        with torch.inference_mode():
            coefficients, counts, sensing = plan.network_input(acquisition)
            whole = torch.from_numpy(image)[None]
            kept = plan.pattern.fixed(sensing.reference_unit)
            size = self.jackknife.error_size(plan.reconstructor, whole, coefficients, counts, sensing, kept)
        scaled: npt.NDArray[np.float32] = np.float32(self.factor) * size[0]
        return scaled


class ErrorMaps:
    """Gathered image by image: float32[n, rows, columns]."""

    def __init__(self, plan: Plan, calibration: ErrorCalibration, n_images: int) -> None:
        self._plan, self.calibration = plan, calibration
        self.maps = np.empty((n_images, *plan.sensing.image_shape), np.float32)

    def add(self, place: int, acquisition: Acquisition, image: npt.NDArray[Any]) -> None:
        """The image[*image_shape] that was reconstructed from a completed acquisition."""
        self.maps[place] = self.calibration.map_of(self._plan, acquisition, image)


def read_calibration(path: str | Path) -> ErrorCalibration:
    """What ``acqplan error-map`` wrote (`RecipeError` for another file)."""
    remedy = "Name the file that acqplan error-map wrote of this plan."
    try:
        with Path(path).open("rb") as stream:
            text = stream.read(_MOST_BYTES + 1)
        found = msgspec.json.decode(text, type=ErrorCalibration)
    except OSError as error:
        raise RecipeError(f"{path} can't be read: {error.strerror}.", remedy) from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise RecipeError(f"{path} isn't a calibration of error maps: {error}.", remedy) from error
    how = found.jackknife
    usable = 0 < found.level < 1 and 0 <= found.factor < math.inf and 2 <= how.groups <= _MOST_GROUPS
    if not (usable and 0 <= how.smoothing < _MOST_SMOOTHING and 0 <= how.floor < math.inf):
        raise RecipeError(f"{path} holds numbers that no calibration of error maps has.", remedy)
    return found


_MOST_GROUPS, _MOST_SMOOTHING = 100, 100.0
CalibrationOrFile = ErrorCalibration | str | Path
"""A calibration of error maps, or the name of its file."""


def calibration_of(plan: Plan, given: CalibrationOrFile) -> ErrorCalibration:
    """The calibration itself, or that of a file; `RecipeError` if it is none, or of another plan."""
    return (given if isinstance(given, ErrorCalibration) else read_calibration(given)).of(plan)


@dataclass(frozen=True)
class MapCoverage:
    """What a plan's error maps hold on images: share of the object's pixels whose error is at most the map's.

    Parameters
    ----------
    level
        What is stated.
    subjects
        Coverage of each subject.
    width
        As of `ErrorCalibration`.
    warnings
        Where it is less than stated, or no evidence.
    """

    level: float
    subjects: dict[str, float]
    width: float
    warnings: tuple[str, ...] = ()

    @property
    def mean(self) -> float:
        """Over subjects, each counting once."""
        return float(np.mean(list(self.subjects.values())))

    def spec(self) -> dict[str, Any]:
        """JSON-ready, without the warnings."""
        return {"level": self.level, "coverage": self.mean, "subjects": self.subjects, "width": self.width}


def map_coverage(
    plan: Plan, calibration: ErrorCalibration, records: Sequence[ImageRecord], *, seed: int = 0, known: bool = False
) -> MapCoverage:
    """On prepared images, simulated with the plan's pattern and noise; ``known``: some were calibrated on."""
    found = error_ratios(plan, records, calibration.jackknife, seed=seed)
    subjects = {name: coverage(ratios, calibration.factor) for name, ratios in by_subject(found).items()}
    mean, words = float(np.mean(list(subjects.values()))), f"{100 * calibration.level:g} %"
    warnings = []
    if known:
        warnings.append("The error maps were calibrated on some of these images: their coverage isn't evidence.")
    if mean < calibration.level - TOLERANCE:
        warnings.append(
            f"Error maps of {words} hold {100 * mean:.1f} % on these images (mean of {len(subjects)} subjects), which "
            "aren't like those that they were calibrated on: calibrate on images like these."
        )
    return MapCoverage(calibration.level, subjects, calibration.factor * mean_width(found), tuple(warnings))
