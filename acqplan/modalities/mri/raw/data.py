"""What a scanner stored: k-space readouts on the full Cartesian grid, in the order in which they were acquired."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from acqplan.sensing.acquisition import Geometry

Lines = npt.NDArray[np.complex64]
Index = npt.NDArray[np.int32]

IMAGE_AXES = {"lines": (1, 0, 2), "points": (1, 2, 0)}
"""Axes of a raw volume (readout, ky, kz or slice) that are rows, columns and slices of a plan's images."""


@dataclass(frozen=True, eq=False)
class RawData:
    """Readouts of one Cartesian scan: imaging and calibration; noise, dummies and navigators are left out.

    Parameters
    ----------
    lines
        complex64[n, coils, samples], along the readout: k-space, centre at ``samples // 2``, readout oversampling
        removed with an orthonormal transform, prewhitened if the file holds a noise scan.
    ky, kz
        int32[n], position on the full grid, from 0, centre at N // 2; ``kz`` is 0 of a 2D scan.
    slice, repetition, average
        int32[n], from 0; slices ascend in space where the file says where they are.
    is_calibration
        bool[n]: belongs to the calibration region.
    is_imaging
        bool[n]: belongs to the k-space of the image (a separately acquired calibration doesn't).
    matrix
        (readout, ky, kz), sides of the full grid.
    source
        The file, for messages.
    field_of_view_mm
        (readout, ky, kz) without the oversampling of the readout; of a 2D scan the last is the slice's thickness.
        None where the file doesn't say.
    geometry
        Voxel index (readout, ky, kz; of a 2D scan readout, ky, slice) of the image to millimetres, or None.
    noise_std
        √E|n|² of a sample in ``lines``, or None if unknown; 1 after prewhitening.
    texts
        ``plan_id``, ``pattern_digest`` and ``source`` where the file carries them.
    parameters
        ``TR_ms``, ``TE_ms``, ``flip_angle_deg`` … where the file carries them; JSON-ready.
    saturated
        int32: positions in ``lines`` of readouts with clipped samples, as far as can be told.
    coil_maps
        complex64[coils, rows, columns] where acqplan wrote some to the file, else None.
    states_order
        Whether ``lines`` are in the order of acquisition; some files state only what was acquired.
    """

    lines: Lines
    ky: Index
    kz: Index
    slice: Index
    repetition: Index
    average: Index
    is_calibration: npt.NDArray[np.bool_]
    is_imaging: npt.NDArray[np.bool_]
    matrix: tuple[int, int, int]
    source: str
    field_of_view_mm: tuple[float, float, float] | None = None
    geometry: Geometry | None = None
    noise_std: float | None = None
    texts: Mapping[str, str] = field(default_factory=dict)
    parameters: Mapping[str, Any] = field(default_factory=dict)
    saturated: tuple[int, ...] = ()
    coil_maps: Lines | None = None
    states_order: bool = True

    @property
    def n_coils(self) -> int:
        """Number of receive coils."""
        return int(self.lines.shape[1])

    @cached_property
    def n_slices(self) -> int:
        """Number of slices; 1 of a 3D scan."""
        return int(self.slice.max()) + 1 if self.slice.size else 0

    @property
    def is_3d(self) -> bool:
        """Whether two axes are phase-encoded."""
        return self.matrix[2] > 1

    def counts(self, slice: int | None = None) -> Index:
        """int32[kz, ky] of one slice, or [slices, kz, ky]: how often each position was measured for the image."""
        if slice is None:
            return np.stack([self.counts(i) for i in range(self.n_slices)])
        used = self.lines_of(slice)
        _, n_ky, n_kz = self.matrix
        flat = np.bincount(self.kz[used] * n_ky + self.ky[used], minlength=n_ky * n_kz)
        return flat.reshape(n_kz, n_ky).astype(np.int32)

    @cached_property
    def n_measured(self) -> int:
        """How many positions of all slices were measured for the image; the header alone makes nothing large."""
        used = self.is_imaging
        return len(np.unique(np.stack([self.slice[used], self.kz[used], self.ky[used]]), axis=1).T)

    def lines_of(self, slice: int) -> npt.NDArray[np.int64]:
        """Positions in ``lines`` of the imaging readouts of a slice, in the order of acquisition."""
        return np.flatnonzero(self.is_imaging & (self.slice == slice))

    def kspace(self, slice: int = 0) -> tuple[Lines, Index]:
        """(complex64[coils, kz, ky, readout], int32[kz, ky]): mean of all that was measured, zero elsewhere."""
        used, counts = self.lines_of(slice), self.counts(slice)
        n_readout, n_ky, n_kz = self.matrix
        grid = np.zeros((n_kz * n_ky, self.n_coils, n_readout), np.complex64)
        position = self.kz[used] * n_ky + self.ky[used]
        if counts.max(initial=0) <= 1:
            grid[position] = self.lines[used]
        else:
            np.add.at(grid, position, self.lines[used])
            grid /= np.maximum(counts, 1).reshape(-1, 1, 1)
        return np.moveaxis(grid, 0, 1).reshape(self.n_coils, n_kz, n_ky, n_readout), counts

    def volume_geometry(self, encoding: str) -> Geometry | None:
        """Geometry of the images that an encoding makes, (row, column, slice) to millimetres, or None.

        ``lines``: rows are ky, columns the readout. ``points``: rows are ky, columns kz, slices the readout.
        """
        return None if self.geometry is None else self.geometry.turned(IMAGE_AXES[encoding])

    @property
    def is_fully_sampled(self) -> bool:
        """Whether every position of every slice was measured."""
        return bool(self.n_slices) and self.n_measured == self.n_slices * self.matrix[1] * self.matrix[2]
