"""Evidence: simulate held-out images with a plan's frozen pattern and measure what comes back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from acqplan.images import ImageRecord
from acqplan.measurement import measure
from acqplan.metrics import nrmse, psnr, ssim
from acqplan.noise.base import NoiseModel
from acqplan.pattern import Pattern
from acqplan.reconstructors.base import Reconstructor
from acqplan.reconstructors.zero_filled import ZeroFilled
from acqplan.seeding import torch_generator
from acqplan.sensing.base import SensingModel

METRICS = ("psnr_db", "ssim", "nrmse")


@dataclass(frozen=True, eq=False)
class Scene:
    """What is acquired and how: the parts of a plan that don't depend on its network."""

    sensing: SensingModel
    pattern: Pattern
    noise: NoiseModel


@dataclass(frozen=True, eq=False)
class Evaluation:
    """Metrics per image and reconstructor.

    ``rows``: subject, index, data_range, and per reconstructor a table of `METRICS`. ``images``: the same
    reconstructors' images[n, H, W], in the units of prepared images, not part of `summary`.
    """

    rows: list[dict[str, Any]]
    images: dict[str, npt.NDArray[Any]] = field(default_factory=dict)

    @property
    def means(self) -> dict[str, dict[str, float]]:
        """Mean over the images, per reconstructor and metric."""
        names = [name for name, value in self.rows[0].items() if isinstance(value, dict)]
        return {
            name: {metric: float(np.mean([row[name][metric] for row in self.rows])) for metric in METRICS}
            for name in names
        }

    @property
    def per_subject(self) -> dict[str, dict[str, dict[str, float]]]:
        """`means` of each subject on its own."""
        subjects = sorted({row["subject"] for row in self.rows})
        return {s: Evaluation([row for row in self.rows if row["subject"] == s]).means for s in subjects}

    def summary(self) -> dict[str, Any]:
        """JSON-ready: per image, per subject, and means."""
        return {"images": self.rows, "subjects": self.per_subject, "mean": self.means}


def simulated(records: Sequence[ImageRecord], scene: Scene, *, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    """(images[n, H, W] in detector units, measured coefficients[n, K, …]) of prepared images."""
    images = torch.from_numpy(np.stack([record.array for record in records])) * scene.noise.image_scale
    counts = torch.from_numpy(scene.pattern.counts.astype(np.float32))[None]
    generator = torch_generator(seed, "evaluate")
    return images, measure(images, counts, scene.sensing, scene.noise, generator)


def evaluate(
    scene: Scene,
    reconstructors: dict[str, Reconstructor],
    records: Sequence[ImageRecord],
    *,
    seed: int = 0,
    batch_size: int = 8,
) -> Evaluation:
    """Simulate each image once and reconstruct it with every reconstructor, and zero-filled besides.

    All reconstructors see the same noise. PSNR and SSIM use each record's ``data_range``.
    """
    everyone: dict[str, Reconstructor] = {**reconstructors, "zero_filled": ZeroFilled()}
    scale = scene.noise.image_scale
    counts = torch.from_numpy(scene.pattern.counts.astype(np.float32))[None]
    _, coefficients = simulated(records, scene, seed=seed)
    images: dict[str, npt.NDArray[Any]] = {}
    with torch.inference_mode():
        for name, reconstructor in everyone.items():
            parts = [reconstructor(part, counts, scene.sensing) for part in coefficients.split(batch_size)]
            images[name] = torch.cat(parts).numpy() / scale
    rows = []
    for i, record in enumerate(records):
        row: dict[str, Any] = {
            "subject": record.subject,
            "index": record.index,
            "data_range": float(record.data_range),
        }
        for name in everyone:
            row[name] = measures(images[name][i], record.array, float(record.data_range))
        rows.append(row)
    return Evaluation(rows, images)


def measures(image: npt.NDArray[Any], truth: npt.NDArray[Any], data_range: float) -> dict[str, float]:
    """The `METRICS` of one image."""
    return {
        "psnr_db": psnr(image, truth, data_range),
        "ssim": ssim(image, truth, data_range),
        "nrmse": nrmse(image, truth),
    }
