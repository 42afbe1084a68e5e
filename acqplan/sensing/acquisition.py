"""What an instrument measured: readings in acquisition order and where they come from."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import TypeVar, overload

import numpy as np
import numpy.typing as npt

from acqplan.sensing.pattern import Pattern

T_co = TypeVar("T_co", covariant=True)


class LazySequence(Sequence[T_co]):
    """Items that are computed when they are asked for, and not kept; a slice of it is one too.

    Parameters
    ----------
    item
        Computes the item of a place.
    places
        The places, in sequence.
    """

    def __init__(self, item: Callable[[int], T_co], places: range) -> None:
        self._item, self._places = item, places

    def __len__(self) -> int:
        return len(self._places)

    @overload
    def __getitem__(self, index: int) -> T_co: ...

    @overload
    def __getitem__(self, index: slice) -> Sequence[T_co]: ...

    def __getitem__(self, index: int | slice) -> T_co | Sequence[T_co]:
        if isinstance(index, slice):
            return LazySequence(self._item, self._places[index])
        return self._item(self._places[index])


@dataclass(frozen=True, eq=False)
class Geometry:
    """Where an image lies in space.

    Parameters
    ----------
    affine
        float64[4, 4], NIfTI convention: voxel index (axis 0, axis 1, slice) to millimetres,
        right–anterior–superior.
    """

    affine: npt.NDArray[np.float64]

    def moved(self, origin: tuple[float, float, float], step: tuple[float, float, float] = (1.0, 1.0, 1.0)) -> Geometry:
        """The geometry of a grid whose voxel j lies at voxel index ``origin + step * j`` of this one."""
        index = np.diag([*step, 1.0])
        index[:3, 3] = origin
        return Geometry(self.affine @ index)

    def turned(self, axes: Sequence[int]) -> Geometry:
        """The geometry of the same voxels with their axes in another sequence: new axis j is axis ``axes[j]``."""
        return Geometry(self.affine[:, [*axes, 3]])

    def of_slice(self, i: int) -> Geometry:
        """Where slice ``i`` of the volume lies, as a volume of one slice."""
        return self.moved((0.0, 0.0, float(i)))


@dataclass(frozen=True)
class Facts:
    """What a file states besides the readings, to be held against the plan; an instrument adds its own.

    Parameters
    ----------
    saturated
        Places, in the order of acquisition, of readings with clipped samples.
    """

    saturated: tuple[int, ...] = ()


@dataclass(frozen=True, eq=False)
class Acquisition:
    """Readings in acquisition order.

    Parameters
    ----------
    readings
        [n, *reading_shape]; complex64 for MRI (prewhitened), float32 photo-electrons for optics.
    pattern_digest
        `Pattern.digest` of the pattern that was played, or None where the file can't carry it.
    source
        Where the readings come from, for messages and for the record in the output.
    order
        int32[n] unit of each reading as the *file* states it, or None where it doesn't. Units of the pattern may be
        missing (not measured) or repeated (averaged).
    coil_maps
        complex64[C, *image_shape] or None (single coil).
    geometry
        Position in space of the image, or None.
    order_is_assumed
        ``order`` is the plan's without what got lost: the file itself doesn't state it.
    facts
        What else the file states, as in `Scan`.
    """

    readings: npt.NDArray[np.generic]
    pattern_digest: str | None
    source: str
    order: npt.NDArray[np.int32] | None = None
    coil_maps: npt.NDArray[np.complex64] | None = None
    geometry: Geometry | None = None
    record: dict[str, str] = field(default_factory=dict)
    order_is_assumed: bool = False
    facts: Facts = Facts()

    @property
    def states_pattern(self) -> bool:
        """Whether the file says what was measured, by a digest or by the units."""
        return self.pattern_digest is not None or (self.order is not None and not self.order_is_assumed)

    def units(self, pattern: Pattern) -> npt.NDArray[np.int32]:
        """int32[n], the unit of each reading: as the file states them, else those of ``pattern``, in its order."""
        return pattern.order if self.order is None else self.order


@dataclass(frozen=True, eq=False)
class Scan:
    """Acquisitions of one pattern that belong together: slices, or positions along a 3D scan's readout.

    Parameters
    ----------
    acquisitions
        One for each image, in the order of the volume's last axis; may be a sequence that reads or computes each
        one when it is asked for.
    source
        Where they come from.
    geometry
        Of the volume: voxel index (row, column, slice) to millimetres, or None.
    facts
        What else the file states, which `acqplan.plan.verification` compares with the plan.
    """

    acquisitions: Sequence[Acquisition]
    source: str
    geometry: Geometry | None = None
    facts: Facts = Facts()

    def mapped(self, change: Callable[[Acquisition], Acquisition]) -> Scan:
        """The scan with ``change`` applied to each acquisition when it is asked for: nothing is held twice."""
        images = self.acquisitions
        return replace(self, acquisitions=LazySequence(lambda i: change(images[i]), range(len(images))))
