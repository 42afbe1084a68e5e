"""Images as an instrument measures them with any pattern: simulated from prepared images, or of raw k-space.

`Simulated` measures images with a plan's noise, the same for every pattern of the same readings. `RawScans` are fully
sampled scans, of which each pattern is given its own samples: phase, coils and noise are the scanner's. Their
reference is the image of all samples, combined with maps from the 24 central lines (or the square of points), with its
own noise; the data are scaled so that its peak is 1.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import torch

from acqplan.core.seeding import torch_generator
from acqplan.images import ImageRecord
from acqplan.learning.evaluation import measures, sensing_of
from acqplan.modalities.mri.coils.estimated import with_maps
from acqplan.plan.plan import Plan
from acqplan.reconstructors.reconstructor import Reconstructor
from acqplan.sensing.acquisition import Acquisition
from acqplan.sensing.measurement import coefficients_of, measure, measured
from acqplan.sensing.model import SensingModel
from acqplan.sensing.noise import NoiseModel
from acqplan.sensing.pattern import Pattern
from acqplan.workflow.inputs import scan_of

BATCH = 8
WIDTH = 24  # of the calibration region of a raw scan's reference
Row = dict[str, Any]


class Images(Protocol):
    """Where rows of subject and metrics come from."""

    def rows(self, network: Reconstructor, pattern: Pattern) -> list[Row]:
        """Of each image, measured with the pattern and reconstructed by the network."""
        ...

    def rows_of_plan(self, plan: Plan) -> list[Row]:
        """The same of a plan."""
        ...


@dataclass(frozen=True)
class Planned:
    """What maps are estimated for."""

    sensing: SensingModel
    pattern: Pattern


@dataclass(frozen=True)
class Simulated:
    """Prepared images, of several coils each with its own maps, measured with noise.

    The networks know the true maps, or with ``estimates_maps`` those that acqplan gets from the calibration region.
    """

    records: Sequence[ImageRecord]
    sensing: SensingModel
    noise: NoiseModel
    estimates_maps: bool = False

    def rows(self, network: Reconstructor, pattern: Pattern) -> list[Row]:
        """See `Images`."""
        counts, found = torch.from_numpy(pattern.counts.astype(np.float32))[None], []
        for first in range(0, len(self.records), BATCH):
            some = self.records[first : first + BATCH]
            true = sensing_of(some, self.sensing)
            images = torch.from_numpy(np.stack([record.array for record in some])) * self.noise.image_scale
            with torch.inference_mode():
                noise, known = torch_generator(first, "benchmark"), None if self.estimates_maps else true
                coefficients, seen = measure(images, counts, true, self.noise, noise, known)
                made = network(coefficients, counts, seen).numpy() / self.noise.image_scale
            for record, image in zip(some, made, strict=True):
                quality = measures(image, record.array, float(record.data_range))
                found.append({"subject": record.subject, **quality})
        return found

    def rows_of_plan(self, plan: Plan) -> list[Row]:
        """See `Images`."""
        return self.rows(plan.reconstructor, plan.pattern)


@dataclass(frozen=True, eq=False)
class RawImage:
    """One fully sampled image: the acquisition, its coefficients[1, K, …], and its reference[rows, columns]."""

    subject: str
    acquisition: Acquisition
    coefficients: torch.Tensor
    reference: npt.NDArray[Any]


@dataclass(frozen=True)
class RawScans:
    """Fully sampled images of one matrix."""

    images: Sequence[RawImage]
    sensing: SensingModel

    @classmethod
    def of_files(cls, plan: Plan, paths: Sequence[str]) -> RawScans:
        """All images of the files, each file a subject."""
        found = []
        for path in paths:
            for acquired in scan_of(plan, path).acquisitions:
                found.append(raw_image(Path(path).name, acquired, plan))
        return cls(found, plan.sensing)

    def halves(self) -> tuple[RawScans, RawScans]:
        """Every other image to tune on, and the others; a single one is both."""
        return (replace(self, images=self.images[::2]), replace(self, images=self.images[1::2] or self.images))

    def rows(self, network: Reconstructor, pattern: Pattern) -> list[Row]:
        """See `Images`; maps are estimated from the calibration region."""
        counts = torch.from_numpy(pattern.counts.astype(np.float32))[None]
        found = []
        for image in self.images:
            with torch.inference_mode():
                seen = measured(image.coefficients, counts, self.sensing)
                made = network(seen, counts, self._known(image, pattern))[0].numpy()
            found.append(_row(image, made))
        return found

    def _known(self, image: RawImage, pattern: Pattern) -> SensingModel:
        order = np.sort(pattern.order)
        acquired = Acquisition(image.acquisition.readings[order], None, image.subject, order)
        return self.sensing.for_scan(with_maps(acquired, Planned(self.sensing, pattern)))

    def rows_of_plan(self, plan: Plan) -> list[Row]:
        """See `Images`."""
        return [
            _row(image, plan.reconstruct(plan.planned_only(image.acquisition), assume_plan=True))
            for image in self.images
        ]


def raw_image(subject: str, acquired: Acquisition, plan: Plan) -> RawImage:
    """A fully sampled acquisition with its reference, scaled."""
    sensing, whole = plan.sensing, Pattern(np.arange(plan.sensing.n_units, dtype=np.int32), plan.sensing.n_units)
    order = acquired.units(whole)
    centre = np.isin(order, sensing.calibration_units(min(WIDTH, *sensing.grid_shape)))
    calibration = Acquisition(acquired.readings[centre], None, subject, order[centre])
    maps = with_maps(calibration, Planned(sensing, whole)).coil_maps
    acquired = Acquisition(acquired.readings, None, subject, order, maps)
    known = sensing.for_scan(acquired)
    coefficients, counts = coefficients_of(acquired, whole, known)
    if not bool((counts > 0).all()):
        raise SystemExit(f"{subject} isn't fully sampled.")
    reference = known.adjoint(coefficients)[0].numpy()
    peak = float(np.abs(reference).max())
    coefficients = coefficients / peak
    scaled = Acquisition(coefficients[0].numpy(), None, subject, whole.order)
    return RawImage(subject, scaled, coefficients, reference / peak)


def _row(image: RawImage, made: npt.NDArray[Any]) -> Row:
    return {"subject": image.subject, **measures(made, image.reference, 1.0)}
