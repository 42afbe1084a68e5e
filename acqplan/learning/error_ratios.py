"""How a plan's errors compare with the size that the jackknife tells of them, on simulated scans of known images."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from scipy import ndimage

from acqplan.images import ImageRecord
from acqplan.learning.evaluation import measured_batches
from acqplan.learning.stresses import scene_of
from acqplan.plan.plan import Plan
from acqplan.reconstructors.jackknife import Jackknife, magnitude

OBJECT = 0.1
"""Of the largest magnitude, both smoothed over 3 × 3 pixels: brighter pixels are the object."""
_BATCH = 4


@dataclass(frozen=True, eq=False)
class ErrorRatios:
    """Of one image, over the object's pixels.

    Parameters
    ----------
    subject
        Whom or what it shows.
    ratios
        float32[n]: error of the magnitude over its size s, as the jackknife tells it.
    width
        Mean of s, over the image's largest magnitude.
    """

    subject: str
    ratios: npt.NDArray[np.float32]
    width: float


def object_pixels(truth: npt.NDArray[Any]) -> npt.NDArray[np.bool_]:
    """bool[H, W]: where there is something in a magnitude[H, W]."""
    smooth = ndimage.uniform_filter(truth.astype(np.float64), 3)
    return np.asarray(smooth > OBJECT * smooth.max())


def error_ratios(plan: Plan, records: Sequence[ImageRecord], how: Jackknife, *, seed: int = 0) -> list[ErrorRatios]:
    """Of prepared images, measured with the plan's pattern and noise (of ``seed``); none of an empty one."""
    counts = torch.from_numpy(plan.pattern.counts.astype(np.float32))[None]
    kept = plan.pattern.fixed(plan.sensing.reference_unit)
    found, first = [], 0
    with torch.inference_mode():
        for images, coefficients, sensing in measured_batches(records, scene_of(plan), seed, _BATCH):
            made = plan.reconstructor(coefficients, counts, sensing)
            sizes = how.error_size(plan.reconstructor, made, coefficients, counts, sensing, kept)
            truths = magnitude(images).numpy()
            errors = np.abs(magnitude(made).numpy() - truths)
            for i, (truth, error, size) in enumerate(zip(truths, errors, sizes, strict=True)):
                inside = object_pixels(truth)
                if inside.any():
                    ratios, width = error[inside] / size[inside], float(size[inside].mean() / truth.max())
                    found.append(ErrorRatios(records[first + i].subject, ratios, width))
            first += len(truths)
    return found


def by_subject(found: Sequence[ErrorRatios]) -> dict[str, npt.NDArray[np.float32]]:
    """The ratios of all images of each subject."""
    names = sorted({each.subject for each in found})
    return {name: np.concatenate([each.ratios for each in found if each.subject == name]) for name in names}


def mean_width(found: Sequence[ErrorRatios]) -> float:
    """Each image counting once."""
    return float(np.mean([each.width for each in found]))
