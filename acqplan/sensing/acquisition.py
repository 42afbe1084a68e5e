"""What an instrument measured: readings in acquisition order and where they come from."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, overload

import numpy as np
import numpy.typing as npt


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

    def of_slice(self, i: int) -> Geometry:
        """Where slice ``i`` of the volume lies, as a volume of one slice."""
        affine = self.affine.copy()
        affine[:, 3] += i * affine[:, 2]
        return Geometry(affine)


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
        What else the file states, JSON-ready, as in `Scan`.
    """

    readings: npt.NDArray[np.generic]
    pattern_digest: str | None
    source: str
    order: npt.NDArray[np.int32] | None = None
    coil_maps: npt.NDArray[np.complex64] | None = None
    geometry: Geometry | None = None
    record: dict[str, str] = field(default_factory=dict)
    order_is_assumed: bool = False
    facts: Mapping[str, Any] = field(default_factory=dict)

    @property
    def states_pattern(self) -> bool:
        """Whether the file says what was measured, by a digest or by the units."""
        return self.pattern_digest is not None or (self.order is not None and not self.order_is_assumed)


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
        What else the file states, JSON-ready; the names that `acqplan.plan.verification` compares are listed there.
    """

    acquisitions: Sequence[Acquisition]
    source: str
    geometry: Geometry | None = None
    facts: Mapping[str, Any] = field(default_factory=dict)

    def mapped(self, change: Callable[[Acquisition], Acquisition]) -> Scan:
        """The scan with ``change`` applied to each acquisition when it is asked for: nothing is held twice."""
        return replace(self, acquisitions=_Mapped(self.acquisitions, change))


class _Mapped(Sequence[Acquisition]):
    def __init__(self, acquisitions: Sequence[Acquisition], change: Callable[[Acquisition], Acquisition]) -> None:
        self._acquisitions, self._change = acquisitions, change

    def __len__(self) -> int:
        return len(self._acquisitions)

    @overload
    def __getitem__(self, index: int) -> Acquisition: ...

    @overload
    def __getitem__(self, index: slice) -> Sequence[Acquisition]: ...

    def __getitem__(self, index: int | slice) -> Acquisition | Sequence[Acquisition]:
        if isinstance(index, slice):
            return _Mapped(self._acquisitions[index], self._change)
        return self._change(self._acquisitions[index])
