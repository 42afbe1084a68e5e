"""What a plan is worth on images that it hasn't seen."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from acqplan.images import ImageRecord, ImageStack, TrainingImages, load_stacks
from acqplan.learning.evaluation import Evaluation, Scene
from acqplan.learning.evaluation import evaluate as evaluate_scene
from acqplan.learning.image_sets import evaluation_images
from acqplan.learning.noisy_truth import noisy_truth_warnings
from acqplan.plan.plan import Plan
from acqplan.plan.verification import other_numbers
from acqplan.sensing.noise import NoiseModel
from acqplan.workflow.error_calibration import CalibrationOrFile, MapCoverage, calibration_of, map_coverage
from acqplan.workflow.inputs import PlanOrFile, plan_of
from acqplan.workflow.results import RESULT_FORMAT

DATA_RANGE = "largest magnitude of each image at the plan's size"
T = TypeVar("T")


@dataclass(frozen=True, eq=False)
class Measured:
    """The evaluation of a plan, or of several that count as one.

    Parameters
    ----------
    name
        What the plan is called.
    evaluation
        What is measured of each image (`Modality.measures`), of the reconstructions ``plan`` and ``zero_filled``.
    images
        The images as prepared, all of them as test images.
    paths, seed
        Where the images come from, and the seed of the noise.
    error_map
        What the plan's error maps hold on these images, if a calibration of them was given.
    runs
        Of several plans that count as one, each on the same images; ``evaluation`` is their mean, ``plan`` the first.
    """

    name: str
    plan: Plan
    evaluation: Evaluation
    images: TrainingImages
    paths: list[str]
    seed: int = 0
    runs: tuple[Measured, ...] = ()
    error_map: MapCoverage | None = None

    @property
    def records(self) -> tuple[ImageRecord, ...]:
        """The images, as prepared."""
        return self.images.test

    @property
    def warnings(self) -> list[str]:
        """What the numbers aren't evidence for."""
        return [
            *self.seen,
            *self.elsewhere,
            *(() if self.error_map is None else self.error_map.warnings),
            *noisy_truth_warnings(self.evaluation, self.records),
            *self.images.warnings,
        ]

    @property
    def seen(self) -> list[str]:
        """One warning of each plan that was trained on some of these images."""
        if self.runs:
            return list(dict.fromkeys(warning for each in self.runs for warning in each.seen))
        return trained_on(self.name, self.plan, self.paths)

    @property
    def elsewhere(self) -> list[str]:
        """One warning of each network that computes otherwise here than where the plan was finished."""
        if self.runs:
            return [warning for each in self.runs for warning in each.elsewhere]
        return [f"{self.name}: {each.text} {each.remedy}" for each in other_numbers(self.plan)]

    def numbers(self) -> dict[str, Any]:
        """JSON-ready: what was measured, and on what."""
        budget = self.plan.budget
        return {
            "plan": self.name,
            "plan_id": self.plan.plan_id,
            **({"plan_ids": [each.plan.plan_id for each in self.runs]} if self.runs else {}),
            "count": budget.n_readings,
            "n_units": budget.n_units,
            "unit": self.plan.sensing.unit_name,
            "acceleration": budget.acceleration,
            "size": list(self.plan.sensing.image_shape),
            "designer": self.plan.recipe.designer.kind,
            "reconstructor": self.plan.reconstructor.kind,
            "data_range": DATA_RANGE,
            "image_fingerprint": self.images.fingerprint,
            "n_images": len(self.records),
            **self.evaluation.summary(),
            **({} if self.error_map is None else {"error_map": self.error_map.spec()}),
        }

    def table(self) -> dict[str, Any]:
        """JSON-ready: the numbers, and how to get them again."""
        return {
            "format": RESULT_FORMAT,
            **self.numbers(),
            "paths": self.paths,
            "seed": self.seed,
            "warnings": self.warnings,
            "noise": noise_table(self.plan.noise),
        }


def evaluate(
    plan: PlanOrFile,
    images: str | Path | Sequence[str | Path],
    *,
    name: str | None = None,
    limit: int | None = None,
    binning: int | None = None,
    seed: int = 0,
    error_calibration: CalibrationOrFile | None = None,
) -> Measured:
    """Measure PSNR, SSIM, NRMSE and resolution of a plan on images that it hasn't seen, and of its zero-filled images.

    Parameters
    ----------
    images
        Fully sampled images: files, folders, or a sample.
    name
        What the plan is called (default: the name of its file, or the beginning of its identity).
    limit
        Use so many images only, evenly over all.
    binning
        Of tiles: N x N pixels averaged into one; None: the images' own.
    seed
        Seed of the noise.
    error_calibration
        Of the plan's error maps (`acqplan.error_map`): also measure what they hold on these images.

    Raises
    ------
    PlanFileError, ImageError
        The plan or the images can't be used.
    RecipeError
        ``error_calibration`` is none, or of another plan.
    """
    loaded, paths = plan_of(plan), paths_of(images)
    calibration = None if error_calibration is None else calibration_of(loaded, error_calibration)
    chosen = evaluation_images(loaded.recipe, stacks_of(loaded, paths), binning=binning)
    part = replace(chosen, test=evenly(chosen.test, limit))
    made = measured(name or name_of(plan), loaded, loaded.noise, part, paths, seed)
    if calibration is None:
        return made
    known = bool(shared_places(paths, calibration.paths))
    return replace(made, error_map=map_coverage(loaded, calibration, part.test, seed=seed, known=known))


def measured(
    name: str,
    plan: Plan,
    noise: NoiseModel,
    images: TrainingImages,
    paths: list[str],
    seed: int,
    noise_seeds: int = 1,
) -> Measured:
    """A plan measured on prepared images with this noise; a mean over several draws of it, from ``seed`` on."""
    scene = Scene(plan.sensing, plan.pattern, noise)
    drawn = [
        evaluate_scene(scene, {"plan": plan.reconstructor}, images.test, seed=each)
        for each in range(seed, seed + noise_seeds)
    ]
    return Measured(name, plan, Evaluation.averaged(drawn), images, paths, seed)


def trained_on(name: str, plan: Plan, paths: Sequence[str]) -> list[str]:
    """One warning if a plan was trained on some of these images."""
    where = ", ".join(shared_places(paths, plan.recipe.images.all_paths))
    return [f"{name} was trained on images from {where}: these numbers aren't evidence."] if where else []


def name_of(plan: PlanOrFile) -> str:
    """What a plan is called unless it's told."""
    return f"plan {plan.plan_id[:12]}" if isinstance(plan, Plan) else str(plan)


def paths_of(images: str | Path | Sequence[str | Path]) -> list[str]:
    """Several files, folders or samples, or one."""
    return [str(images)] if isinstance(images, str | Path) else [str(path) for path in images]


def stacks_of(plan: Plan, paths: list[str]) -> list[ImageStack]:
    """The images, refused where the plan's instrument couldn't see such values."""
    return load_stacks(paths, require_non_negative=plan.modality.takes_intensities)


def evenly(items: Sequence[T], limit: int | None) -> tuple[T, ...]:
    """At most ``limit`` of the items, evenly over all."""
    if limit is None or limit >= len(items):
        return tuple(items)
    return tuple(items[i] for i in np.linspace(0, len(items) - 1, limit).round().astype(int))


def noise_table(noise: NoiseModel) -> dict[str, Any]:
    """JSON-ready: kind and settings."""
    return {"kind": noise.kind, **noise.spec()}


def shared_places(paths: Sequence[str], others: Sequence[str]) -> list[str]:
    """Files, folders and samples that are in both lists, however they are written."""
    return sorted(_places(paths) & _places(others))


def _places(paths: Sequence[str]) -> set[str]:
    return {path if path.startswith("sample:") else str(Path(path).resolve()) for path in paths}
