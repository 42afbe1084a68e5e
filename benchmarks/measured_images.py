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

from acqplan.images import ImageRecord
from acqplan.learning.evaluation import Scene, evaluate, measures
from acqplan.modalities.mri.coils.estimated import with_maps
from acqplan.plan.plan import Plan
from acqplan.reconstructors.reconstructor import Reconstructor
from acqplan.sensing.acquisition import Acquisition
from acqplan.sensing.measurement import coefficients_of, measured
from acqplan.sensing.model import SensingModel
from acqplan.sensing.noise import NoiseModel
from acqplan.sensing.pattern import Pattern
from acqplan.workflow.inputs import scan_of

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


class EstimatedMaps(Reconstructor):
    """A network or solver of acqplan on maps that are estimated from each image's own calibration region."""

    kind, summary, reference, is_trained = "estimated-maps", "", "", False

    def __init__(self, network: Reconstructor) -> None:
        super().__init__()
        self.network = network

    def forward(self, coefficients: torch.Tensor, counts: torch.Tensor, sensing: SensingModel) -> torch.Tensor:
        order = np.flatnonzero(counts[0].numpy()).astype(np.int32)
        planned = Planned(sensing, Pattern(order, sensing.n_units))
        images = []
        for i, each in enumerate(coefficients):
            acquired = with_maps(Acquisition(each.numpy()[order], None, "benchmark", order), planned)
            level = None if sensing.noise_level is None else sensing.noise_level[i : i + 1]
            own = sensing.for_scan(acquired).with_noise_level(level)
            images.append(self.network(coefficients[i : i + 1], counts, own))
        return torch.cat(images)


@dataclass(frozen=True)
class Simulated:
    """Prepared images, of several coils each with its own maps, measured with noise."""

    records: Sequence[ImageRecord]
    sensing: SensingModel
    noise: NoiseModel
    estimates_maps: bool = False

    def rows(self, network: Reconstructor, pattern: Pattern) -> list[Row]:
        """See `Images`; the network estimates its maps itself, if at all."""
        found = evaluate(Scene(self.sensing, pattern, self.noise), {"found": network}, self.records).rows
        return [{"subject": row["subject"], **row["found"]} for row in found]

    def rows_of_plan(self, plan: Plan) -> list[Row]:
        """See `Images`."""
        network = plan.reconstructor
        return self.rows(EstimatedMaps(network) if self.estimates_maps else network, plan.pattern)


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
        """See `Images`; the network estimates its maps itself."""
        counts = torch.from_numpy(pattern.counts.astype(np.float32))[None]
        found = []
        for image in self.images:
            with torch.inference_mode():
                seen = measured(image.coefficients, counts, self.sensing)
                made = network(seen, counts, self.sensing)[0].numpy()
            found.append(_row(image, made))
        return found

    def rows_of_plan(self, plan: Plan) -> list[Row]:
        """See `Images`."""
        return [
            _row(image, plan.reconstruct(plan.planned_only(image.acquisition), assume_plan=True))
            for image in self.images
        ]


def raw_image(subject: str, acquired: Acquisition, plan: Plan) -> RawImage:
    """A fully sampled acquisition with its reference, scaled."""
    sensing = plan.sensing
    order = np.arange(sensing.n_units, dtype=np.int32)
    whole = Pattern(order, sensing.n_units)
    acquired = replace(acquired, coil_maps=None)
    coefficients, counts = coefficients_of(acquired, whole, sensing)
    if not bool((counts > 0).all()):
        raise SystemExit(f"{subject} isn't fully sampled.")
    readings = coefficients[0].numpy()
    width = min(WIDTH, *sensing.grid_shape)
    centre = np.sort(sensing.calibration_units(width)).astype(np.int32)
    maps = with_maps(
        Acquisition(readings[centre], None, subject, centre), Planned(sensing, Pattern(centre, sensing.n_units))
    ).coil_maps
    reference = sensing.for_scan(Acquisition(readings, None, subject, order, maps)).adjoint(coefficients)[0].numpy()
    peak = float(np.abs(reference).max())
    scaled = Acquisition(readings / np.float32(peak), None, subject, order)
    return RawImage(subject, scaled, coefficients / peak, reference / peak)


def _row(image: RawImage, made: npt.NDArray[Any]) -> Row:
    return {"subject": image.subject, **measures(made, image.reference, 1.0)}
