"""Recipes of trainings that take a moment, images for them, and ways to stop them early."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from acqplan.learning.progress import Progress
from acqplan.learning.training import design
from acqplan.plan.components import Component
from acqplan.plan.recipe import BudgetSettings, ImageSettings, Recipe, TrainingSettings

SUBJECTS, SLICES, SIDE = 5, 3, 20
STEPS, JOINT = 8, 4
SMALL: dict[str, dict[str, Any]] = {
    "unet": {"channels": 2, "levels": 1},
    "unrolled": {"stages": 1, "channels": 2, "depth": 1, "start_iterations": 2},
    "wavelet": {"iterations": 4, "levels": 2},
}


def blobs(seed: int) -> np.ndarray[Any, Any]:
    """A few soft discs on a bright body: float32[SLICES, SIDE, SIDE]."""
    numbers = np.random.default_rng(seed)
    y, x = np.mgrid[-1 : 1 : SIDE * 1j, -1 : 1 : SIDE * 1j]
    images = np.zeros((SLICES, SIDE, SIDE))
    for image in images:
        image += 0.5 / (1 + np.exp(20 * (np.hypot(x, 1.2 * y) - 0.8)))
        for cy, cx, radius in numbers.uniform([-0.5, -0.5, 0.1], [0.5, 0.5, 0.3], (4, 3)):
            image += 0.3 / (1 + np.exp(30 * (np.hypot(x - cx, y - cy) - radius)))
    return images.astype(np.float32)


def write_scans(folder: Path) -> Path:
    """A file of `SLICES` images for each of `SUBJECTS`."""
    folder.mkdir()
    for i in range(SUBJECTS):
        np.save(folder / f"subject{i}.npy", blobs(i))
    return folder


def make_recipe(
    scans: Path,
    *,
    modality: str = "mri",
    designer: str = "learned",
    reconstructor: str = "unrolled",
    encoding: str = "points",
    budget: str = "4x",
    seed: int = 0,
    **settings: Any,
) -> Recipe:
    is_mri = modality == "mri"
    return Recipe(
        modality,
        seed,
        ImageSettings([str(scans)], [16, 16], None if is_mri else "resample"),
        Component("cartesian_mri", {"encoding": encoding}) if is_mri else None,
        BudgetSettings(budget),
        designer=Component(designer),
        reconstructor=Component(reconstructor, SMALL.get(reconstructor, {})),
        training=TrainingSettings(
            **{"steps": STEPS, "batch_size": 2, "joint_share": JOINT / STEPS, "threads": 1, **settings}
        ),
    )


def from_base(recipe: Recipe, base: Path, **training: Any) -> Recipe:
    """The recipe that starts from a base of its own, its designer left open, for as long as it is told."""
    return replace(recipe.with_settings("training", **{"base": str(base), "steps": None, **training}), designer=None)


class Stop(Exception):
    """Stands for whatever ends a training early."""


class Interrupt:
    """A listener that stops after a step."""

    def __init__(self, step: int, error: type[BaseException] = Stop) -> None:
        self.step, self.error = step, error

    def __call__(self, progress: Progress) -> None:
        if progress.step == self.step:
            raise self.error


def interrupt(recipe: Recipe, path: Path, step: int, error: type[BaseException] = Stop) -> None:
    with pytest.raises(error):
        design(recipe, progress=Interrupt(step, error), checkpoint=path)
    assert path.is_file()
