"""A sensing pattern: which catalogue units are measured, in which order, how often."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

IntArray = npt.NDArray[np.int32]


def _frozen_int32(values: npt.ArrayLike | Iterable[int]) -> IntArray:
    array = np.array(values, dtype=np.int64).reshape(-1)
    if array.size and (array.min() < 0 or array.max() > np.iinfo(np.int32).max):
        raise ValueError("unit indices must fit a non-negative int32")
    frozen = array.astype(np.int32)
    frozen.setflags(write=False)
    return frozen


def earlier_readings(units: npt.NDArray[np.integer]) -> IntArray:
    """int32[n]: how often each reading's unit was measured before it; ``units`` int[n], at least 0, in sequence."""
    sorting = np.argsort(units, kind="stable")
    starts = np.flatnonzero(np.diff(units[sorting], prepend=-1))
    earlier = np.empty(units.size, dtype=np.int32)
    earlier[sorting] = np.arange(units.size) - np.repeat(starts, np.diff(starts, append=units.size))
    return earlier


@dataclass(frozen=True, eq=False)
class Pattern:
    """Unit indices in acquisition order; everything else is derived from them.

    Parameters
    ----------
    order
        int32[n], indices into the sensing model's catalogue, in the order of acquisition. An index
        that occurs r times is measured r times and its readings are averaged.
    n_units
        Size of the catalogue, K.
    calibration
        int32[m], the units of the fully measured calibration region, ascending; a subset of ``order``.
    """

    order: IntArray
    n_units: int
    calibration: IntArray = field(default_factory=lambda: _frozen_int32([]))

    def __post_init__(self) -> None:
        object.__setattr__(self, "order", _frozen_int32(self.order))
        object.__setattr__(self, "calibration", _frozen_int32(np.unique(self.calibration)))
        if self.order.size == 0:
            raise ValueError("a pattern measures at least one unit")
        if int(self.order.max()) >= self.n_units:
            raise ValueError(f"unit {int(self.order.max())} is outside a catalogue of {self.n_units}")
        if not np.isin(self.calibration, self.order).all():
            raise ValueError("the calibration region must be measured completely")

    @classmethod
    def from_counts(cls, counts: npt.ArrayLike, calibration: npt.ArrayLike | Iterable[int] = ()) -> Pattern:
        """The pattern that measures unit i ``counts[i]`` times, in ascending order of units."""
        repeats = np.asarray(counts, dtype=np.int64)
        order = np.repeat(np.arange(repeats.size), repeats)
        return cls(_frozen_int32(order), repeats.size, _frozen_int32(calibration))

    @property
    def n_readings(self) -> int:
        """How many units are acquired, repeats included."""
        return int(self.order.size)

    @property
    def counts(self) -> IntArray:
        """int32[K]: how often each unit is measured."""
        return np.bincount(self.order, minlength=self.n_units).astype(np.int32)

    @property
    def mask(self) -> npt.NDArray[np.bool_]:
        """bool[K]: whether each unit is measured at all."""
        return self.counts > 0

    def fixed(self, reference: int | None) -> IntArray:
        """int32[m]: what stays where readings are left out: the calibration region, and the unit that decodes all
        others (`SensingModel.reference_unit`)."""
        return np.union1d(self.calibration, [] if reference is None else [reference]).astype(np.int32)

    @property
    def digest(self) -> str:
        """SHA-256 over catalogue size, order and calibration (little-endian int32), in hexadecimal."""
        sha = hashlib.sha256(f"acqplan-pattern:{self.n_units}:{self.n_readings}:".encode())
        sha.update(self.order.astype("<i4").tobytes())
        sha.update(self.calibration.astype("<i4").tobytes())
        return sha.hexdigest()

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Pattern) and self.digest == other.digest

    def __hash__(self) -> int:
        return hash(self.digest)
