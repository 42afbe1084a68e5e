"""Evidence: simulate held-out images with a plan's frozen pattern and measure what comes back."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from acqplan.core.math.metrics import METRICS
from acqplan.core.measures import USUAL
from acqplan.core.seeding import stream_seed, torch_generator
from acqplan.images import ImageRecord
from acqplan.plan.modality import modality_of
from acqplan.reconstructors.reconstructor import Reconstructor
from acqplan.reconstructors.supplied import Shares, measured_part, shares
from acqplan.reconstructors.zero_filled import ZeroFilled
from acqplan.sensing.measurement import Spoil, measure
from acqplan.sensing.model import SensingModel
from acqplan.sensing.noise import NoiseModel
from acqplan.sensing.pattern import Pattern

_MOST_PROJECTED = 24  # images of several coils: each takes as long as reconstructing it


@dataclass(frozen=True, eq=False)
class Scene:
    """What is acquired and how: the parts of a plan that don't depend on its network.

    ``spoil``: a fault of the instrument, which no reconstruction knows of.
    """

    sensing: SensingModel
    pattern: Pattern
    noise: NoiseModel
    spoil: Spoil | None = None


@dataclass(frozen=True, eq=False)
class Evaluation:
    """Metrics per image and reconstructor.

    ``supplied``: of each image (of several coils, of at most `_MOST_PROJECTED`), its place and what the reconstruction
    ``plan`` supplied, where that was asked for; its magnitude is among ``images``, by this name, if they are few.
    ``rows``: subject, index, data_range, and per reconstructor a table of `Modality.measures`. ``images``: the same
    reconstructors' images[n, H, W], in the units of prepared images, not part of `summary`.
    """

    rows: list[dict[str, Any]]
    images: dict[str, npt.NDArray[Any]] = field(default_factory=dict)
    supplied: dict[int, Shares] = field(default_factory=dict)

    @property
    def means(self) -> dict[str, dict[str, float]]:
        """Mean over the images, per reconstructor and measure."""
        names = [name for name, value in self.rows[0].items() if isinstance(value, dict)]
        return {
            name: {measure: float(np.mean([row[name][measure] for row in self.rows])) for measure in self.rows[0][name]}
            for name in names
        }

    @property
    def per_subject(self) -> dict[str, dict[str, dict[str, float]]]:
        """`means` of each subject on its own."""
        subjects = sorted({row["subject"] for row in self.rows})
        return {s: Evaluation([row for row in self.rows if row["subject"] == s]).means for s in subjects}

    @classmethod
    def averaged(cls, evaluations: Sequence[Evaluation]) -> Evaluation:
        """Each image's mean over evaluations of the same images: other noise, or other plans. Images of the first."""
        if len(evaluations) == 1:
            return evaluations[0]
        rows = []
        for same in zip(*(each.rows for each in evaluations), strict=True):
            tables = {name: value for name, value in same[0].items() if isinstance(value, dict)}
            means = {
                name: {measure: float(np.mean([row[name][measure] for row in same])) for measure in table}
                for name, table in tables.items()
            }
            rows.append(same[0] | means)
        return cls(rows, evaluations[0].images)

    def values(self, reconstructor: str, measure: str) -> npt.NDArray[np.float64]:
        """float64[n]: a measure of each image."""
        return np.array([row[reconstructor][measure] for row in self.rows], dtype=np.float64)

    def summary(self, most_rows: int | None = None) -> dict[str, Any]:
        """JSON-ready: per image (unless these are more than ``most_rows``), per subject, and means."""
        images = {} if most_rows is not None and len(self.rows) > most_rows else {"images": self.rows}
        return {**images, "subjects": self.per_subject, "mean": self.means}


def sensing_of(records: Sequence[ImageRecord], sensing: SensingModel) -> SensingModel:
    """The model with each image's own, true coil maps, where they have some."""
    maps = [record.coil_maps for record in records if record.coil_maps is not None]
    return sensing.with_coil_maps(torch.from_numpy(np.stack(maps))) if maps else sensing


def simulated(
    records: Sequence[ImageRecord], scene: Scene, *, seed: int = 0
) -> tuple[torch.Tensor, torch.Tensor, SensingModel]:
    """(images[n, H, W] in detector units, measured coefficients[n, K, …], their sensing model) of prepared images.

    Measured with the true coil maps of each image; the sensing model, and the images' phase, are as `measure` says that
    a reconstruction knows them.
    """
    images = torch.from_numpy(np.stack([record.array for record in records])) * scene.noise.image_scale
    counts = torch.from_numpy(scene.pattern.counts.astype(np.float32))[None]
    generator = torch_generator(seed, "evaluate")
    true = sensing_of(records, scene.sensing)
    coefficients, sensing = measure(images, counts, true, scene.noise, generator, spoil=scene.spoil)
    return sensing.seen_through(images, true), coefficients, sensing


def evaluate(
    scene: Scene,
    reconstructors: dict[str, Reconstructor],
    records: Sequence[ImageRecord],
    *,
    seed: int = 0,
    batch_size: int = 8,
    with_supplied: bool = False,
) -> Evaluation:
    """Simulate each image once and reconstruct it with every reconstructor, and zero-filled besides.

    All reconstructors see the same noise. PSNR and SSIM use each record's ``data_range``.
    ``with_supplied``: also what ``plan`` supplied beyond what was measured.
    """
    everyone: dict[str, Reconstructor] = {**reconstructors, "zero_filled": ZeroFilled()}
    scale = scene.noise.image_scale
    counts = torch.from_numpy(scene.pattern.counts.astype(np.float32))[None]
    parts: dict[str, list[torch.Tensor]] = {name: [] for name in everyone}
    supplied: dict[int, Shares] = {}
    maps: list[torch.Tensor] = []
    with torch.inference_mode():
        first = 0
        for truth, coefficients, sensing in measured_batches(records, scene, seed, batch_size):
            for name, reconstructor in everyone.items():
                parts[name].append(reconstructor(coefficients, counts, sensing))
            every = 1 if sensing.is_unitary else -(-len(records) // _MOST_PROJECTED)
            if with_supplied and any((first + i) % every == 0 for i in range(len(truth))):
                image = parts["plan"][-1]
                rest = image - measured_part(image, counts, sensing)
                found = enumerate(shares(image, rest, truth, counts, sensing), first)
                supplied |= {place: each for place, each in found if place % every == 0}
                if len(records) <= _MOST_PROJECTED:
                    maps.append(rest.abs())
            first += len(truth)
    images = {name: torch.cat(each).numpy() / scale for name, each in parts.items()}
    if maps:
        images["supplied"] = torch.cat(maps).numpy() / scale
    rows, names = [], modality_of(scene.sensing).measures
    for i, record in enumerate(records):
        row: dict[str, Any] = {
            "subject": record.subject,
            "index": record.index,
            "data_range": float(record.data_range),
        }
        for name in everyone:
            row[name] = measures(images[name][i], record.array, float(record.data_range), names)
        rows.append(row)
    return Evaluation(rows, images, supplied)


def measured_batches(
    records: Sequence[ImageRecord], scene: Scene, seed: int, batch_size: int
) -> Iterator[tuple[torch.Tensor, torch.Tensor, SensingModel]]:
    """Batches of what `simulated` gives; of several coils made one after another: they are large."""
    batches = [records[i : i + batch_size] for i in range(0, len(records), batch_size)]
    if records[0].coil_maps is None:
        images, coefficients, sensing = simulated(records, scene, seed=seed)
        assert sensing.noise_level is not None
        levels = sensing.noise_level.split(batch_size)
        parts = zip(images.split(batch_size), coefficients.split(batch_size), levels, strict=True)
        for shown, some, level in parts:
            yield shown, some, sensing.with_noise_level(level)
        return
    for i, some in enumerate(batches):
        yield simulated(some, scene, seed=stream_seed(seed, f"batch {i}"))


def measures(
    image: npt.NDArray[Any], truth: npt.NDArray[Any], data_range: float, names: Sequence[str] = USUAL
) -> dict[str, float]:
    """What is measured of one image, by name (`acqplan.core.measures`)."""
    return {name: METRICS[name](image, truth, data_range) for name in names}
