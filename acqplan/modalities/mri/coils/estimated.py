"""Coil maps for acquired data, from the calibration region of each acquisition alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property
from typing import Protocol

import numpy as np
import numpy.typing as npt
import torch

from acqplan.modalities.mri.coils.compression import PrincipalCoils, principal_coils, virtual
from acqplan.modalities.mri.coils.espirit import check_width, espirit_maps
from acqplan.modalities.mri.sensing import CartesianMRI
from acqplan.sensing.acquisition import Acquisition, LazySequence, Scan
from acqplan.sensing.measurement import averaged, misfits
from acqplan.sensing.model import SensingModel
from acqplan.sensing.pattern import Pattern

_LOOKED_AT = 9  # images, evenly over a scan, that say which coils are the principal ones

Complex = npt.NDArray[np.complex64]


class Planned(Protocol):
    """What is needed of a plan."""

    @property
    def sensing(self) -> SensingModel:
        """The catalogue."""
        ...

    @property
    def pattern(self) -> Pattern:
        """What was chosen of it."""
        ...


def scan_with_maps(scan: Scan, plan: Planned, *, n_virtual: int | float | None = None) -> Scan:
    """The scan with coil maps, each image's computed when it is asked for.

    An acquisition with several coils and without maps gets those of `espirit_maps` from the widest centre of k-space
    that it measured completely; repeats are averaged. All images share one phase reference, and one set of virtual
    coils, from the calibration data of at most nine images.

    Parameters
    ----------
    n_virtual
        Compress the readings to so many virtual coils (fewer make a reconstruction quicker), or, if a float up to 1.0
        is given, to as many as hold this share of the calibration data's energy; None: all coils.

    Raises
    ------
    AcquisitionError
        When an image is asked for whose fully measured centre is too narrow.
    """
    estimation = _Estimation(scan.acquisitions, plan, n_virtual)
    return replace(scan, acquisitions=LazySequence(estimation.with_maps, range(len(scan.acquisitions))))


def with_maps(acquisition: Acquisition, plan: Planned, *, n_virtual: int | float | None = None) -> Acquisition:
    """One acquisition with coil maps, as of `scan_with_maps`; itself if it has some, or has one coil."""
    return _Estimation([acquisition], plan, n_virtual).with_maps(0)


class _Estimation:
    """Maps for acquisitions of one plan that share a phase reference."""

    def __init__(self, acquisitions: Sequence[Acquisition], plan: Planned, n_virtual: int | float | None) -> None:
        if n_virtual is not None:  # what is impossible is refused before anything is read
            principal_coils(np.ones((1, 1), np.complex64)).first(n_virtual)
        self._acquisitions, self._plan, self._n_virtual = acquisitions, plan, n_virtual

    def with_maps(self, i: int) -> Acquisition:
        """Acquisition ``i`` with maps."""
        acquisition = self._acquisitions[i]
        sensing = self._plan.sensing
        if not isinstance(sensing, CartesianMRI) or not needs_maps(acquisition, self._plan):
            return acquisition
        centre = calibration_data(acquisition, sensing, self._plan.pattern)
        unit = sensing.unit_name
        check_width(
            min(centre.shape[1:]), f"{acquisition.source} has several coils, and its fully measured centre of {unit}s"
        )
        principal = self._principal
        if principal is None or len(principal.basis) != len(centre):
            principal = principal_coils(centre)
        reference = principal.basis[:, 0]
        if self._n_virtual is not None:
            basis = principal.first(self._n_virtual)
            readings = virtual(acquisition.readings, basis, axis=1)
            acquisition, centre = replace(acquisition, readings=readings), virtual(centre, basis)
            reference = np.eye(len(centre), dtype=np.complex64)[0]
        return replace(acquisition, coil_maps=espirit_maps(centre, sensing.image_shape, reference))

    @cached_property
    def _principal(self) -> PrincipalCoils | None:
        """The principal coils of the scan."""
        n = len(self._acquisitions)
        chosen = np.unique(np.linspace(0, n - 1, min(_LOOKED_AT, n)).round().astype(int))
        sensing = self._plan.sensing
        assert isinstance(sensing, CartesianMRI)
        samples: list[Complex] = []
        for i in chosen:
            acquisition = self._acquisitions[int(i)]
            if needs_maps(acquisition, self._plan):
                centre = calibration_data(acquisition, sensing, self._plan.pattern)
                samples.append(centre.reshape(len(centre), -1))
        alike = [each for each in samples if len(each) == len(samples[0])]
        return principal_coils(np.concatenate(alike, axis=1)) if alike else None


def needs_maps(acquisition: Acquisition, plan: Planned) -> bool:
    """Whether it has several coils and no maps; data that can't be right are left to the checks that say why."""
    readings, expected = acquisition.readings, plan.sensing.reading_shape
    order = acquisition.units(plan.pattern)
    return (
        isinstance(plan.sensing, CartesianMRI)
        and acquisition.coil_maps is None
        and readings.ndim == 1 + len(expected)
        and readings.shape[0] == order.size
        and readings.shape[1] > 1
        and readings.shape[2:] == expected[1:]
        and readings.dtype.kind == "c"
        and bool(np.isin(order, plan.pattern.order).all())
        and bool(np.isfinite(_single(readings)).all())
        and misfits(readings, plan.sensing).size == 0
    )


def calibration_data(acquisition: Acquisition, sensing: CartesianMRI, pattern: Pattern) -> Complex:
    """The widest centre of k-space that was measured completely: [C, width, columns], of points [C, width, width]."""
    order = acquisition.units(pattern)
    width = sensing.measured_width(order)
    units = sensing.calibration_units(width)
    place = np.full(sensing.n_units, -1)
    place[units] = np.arange(units.size)
    chosen = place[order] >= 0
    readings = torch.from_numpy(_single(acquisition.readings)[chosen])
    mean, _ = averaged(readings, place[order[chosen]], units.size)
    centre = np.moveaxis(mean.numpy(), 1, 0)
    if sensing.encoding == "points":
        centre = centre.reshape(-1, width, width)
    return np.ascontiguousarray(centre)


def _single(readings: npt.NDArray[np.generic]) -> Complex:
    with np.errstate(over="ignore"):  # what overflows is infinite, and refused for that
        return np.asarray(readings).astype(np.complex64, copy=False)
