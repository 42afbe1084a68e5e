"""From a scanner's raw scan to the acquisitions of a plan, and back: what all formats of raw data share.

=========  ======================================  =====================================================
encoding   raw scan                                acquisitions
=========  ======================================  =====================================================
lines      2D, any number of slices                one for each slice, readings [n, coils, readout]
points     3D, both axes phase-encoded             one for each position along the readout, which is
                                                   inverse-transformed once; readings [n, coils]
=========  ======================================  =====================================================
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from dataclasses import replace

import numpy as np
import numpy.typing as npt
import torch

from acqplan.core.errors import AcqplanError, AcquisitionError
from acqplan.core.math.transforms import fft_centred, ifft_centred
from acqplan.modalities.mri.facts import MriFacts
from acqplan.modalities.mri.raw.data import IMAGE_AXES, Lines, RawData
from acqplan.modalities.mri.sensing import NO_POINTS_IN_2D, CartesianMRI
from acqplan.plan.plan import Plan
from acqplan.sensing.acquisition import Acquisition, LazySequence, Scan
from acqplan.sensing.pattern import earlier_readings

OTHER_PLAN = "Pass the plan that it was acquired with."

_BLOCK = 256  # readouts transformed at once


def cartesian(plan: Plan, error: type[AcqplanError]) -> CartesianMRI:
    """The plan's sensing model; ``error`` if it isn't MRI."""
    if not isinstance(plan.sensing, CartesianMRI):
        raise error(f"Raw MRI data can't hold readings of a {plan.sensing.kind} plan.", "See acqplan formats.")
    return plan.sensing


def scan_of(raw: RawData, plan: Plan) -> Scan:
    """The acquisitions of a raw scan, as the plan's encoding divides it.

    Repetitions and averages of a position are repeats of one unit.

    Raises
    ------
    AcquisitionError
        2D data for a plan of points or 3D data for a plan of lines, another matrix than the plan's, a slice without
        readouts, or a pattern digest that is none.
    """
    sensing = cartesian(plan, AcquisitionError)
    _check_matrix(raw, sensing)
    digest = raw.texts.get("pattern_digest")
    if digest is not None and not re.fullmatch(r"[0-9a-f]{64}", digest):
        raise AcquisitionError(
            f"{raw.source} holds a pattern digest that is none: {digest[:80]!r}.", "Get a fresh copy of it."
        )
    facts = MriFacts(raw.saturated, raw.matrix, raw.field_of_view_mm, raw.n_coils, raw.noise_std, raw.parameters)
    if not raw.states_order:
        raw = _in_order(raw, plan)
    images = _Slices(raw, digest) if sensing.encoding == "lines" else _Slabs(raw, digest)
    acquisitions = LazySequence(images.acquisition, range(len(images)))
    return Scan(acquisitions, raw.source, raw.volume_geometry(sensing.encoding), facts)


def single(scan: Scan) -> Acquisition:
    """The only acquisition of a scan; `AcquisitionError` if it has several."""
    if len(scan.acquisitions) != 1:
        raise AcquisitionError(
            f"{scan.source} holds {len(scan.acquisitions)} images; one is expected.", "Reconstruct it as a volume."
        )
    return scan.acquisitions[0]


def raw_of(scan: Scan, plan: Plan) -> RawData:
    """The raw data of acquisitions: slices of lines, or points whose readout is transformed back to k-space.

    Of a single image of points the readout has one sample, and the data are kept as they are. ``average`` counts how
    often a position was measured before.

    Raises
    ------
    AcquisitionError
        The images have other coils or patterns, those of points other orders too, or several have coil maps, which
        raw data hold of one image.
    """
    sensing = cartesian(plan, AcquisitionError)
    images, n_images = scan.acquisitions, len(scan.acquisitions)
    first = images[0]
    orders = [each.units(plan.pattern) for each in images]
    is_alike = all(
        each.readings.shape[1:] == first.readings.shape[1:] and each.pattern_digest == first.pattern_digest
        for each in images
    )
    if not is_alike or (sensing.encoding == "points" and not all(np.array_equal(each, orders[0]) for each in orders)):
        raise AcquisitionError(
            f"The images of {scan.source} were acquired with different coils, patterns or orders.",
            "Write them one at a time.",
        )
    if n_images > 1 and any(each.coil_maps is not None for each in images):
        raise AcquisitionError(
            f"{scan.source} has {n_images} images with coil maps; raw data hold the maps of one image.",
            "Write it as hdf5, or leave the maps out.",
        )
    if sensing.encoding == "lines":
        lines = np.concatenate([np.asarray(each.readings, np.complex64) for each in images])
        order, n_slices = np.concatenate(orders), n_images
    else:
        volume = np.stack([np.asarray(each.readings, np.complex64) for each in images], axis=-1)
        lines = fft_centred(torch.from_numpy(volume), (-1,)).numpy() if n_images > 1 else volume
        order, n_slices = orders[0], 1
    ky, kz = positions_of(order, sensing)
    per_slice = [len(each) for each in orders[:n_slices]]
    texts = {"plan_id": plan.plan_id, "source": scan.source}
    if first.pattern_digest is not None:
        texts["pattern_digest"] = first.pattern_digest
    geometry = scan.geometry
    if geometry is not None:
        geometry = geometry.turned(np.argsort(IMAGE_AXES[sensing.encoding]).tolist())
    n = len(order)
    return RawData(
        lines=lines,
        ky=ky,
        kz=kz,
        slice=np.repeat(np.arange(n_slices, dtype=np.int32), per_slice),
        repetition=np.zeros(n, np.int32),
        average=np.concatenate([earlier_readings(each) for each in orders[:n_slices]]),
        is_calibration=np.isin(order, plan.pattern.calibration),
        is_imaging=np.ones(n, bool),
        matrix=matrix_of(sensing, n_images),
        source=scan.source,
        geometry=geometry,
        texts=texts,
        parameters={"acceleration": plan.sensing.n_units / plan.pattern.n_readings},
        coil_maps=first.coil_maps,
    )


def matrix_of(sensing: CartesianMRI, n_readout: int) -> tuple[int, int, int]:
    """(readout, ky, kz) of the plan's grid; ``n_readout`` samples of a 3D scan's readout."""
    rows, columns = sensing.image_shape
    return (columns, rows, 1) if sensing.encoding == "lines" else (n_readout, rows, columns)


def positions_of(
    order: npt.NDArray[np.int32], sensing: CartesianMRI
) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int32]]:
    """(ky, kz) of units."""
    if sensing.encoding == "lines":
        return order.astype(np.int32), np.zeros(len(order), np.int32)
    ky, kz = np.divmod(order, sensing.image_shape[1])
    return ky.astype(np.int32), kz.astype(np.int32)


def units_of(raw: RawData, of: npt.NDArray[np.int64]) -> npt.NDArray[np.int32]:
    """int32: units of the readouts ``of``; ky of lines, ky × (number of kz) + kz of points."""
    units: npt.NDArray[np.int32] = (raw.ky[of].astype(np.int64) * raw.matrix[2] + raw.kz[of]).astype(np.int32)
    return units


def _check_matrix(raw: RawData, sensing: CartesianMRI) -> None:
    planned = matrix_of(sensing, raw.matrix[0])
    if sensing.encoding == "points" and not raw.is_3d and sensing.image_shape[1] > 1:
        raise AcquisitionError(
            f"{raw.source} is a 2D scan; the plan measures ky–kz points of a 3D scan. {NO_POINTS_IN_2D}", OTHER_PLAN
        )
    if sensing.encoding == "lines" and raw.is_3d:
        raise AcquisitionError(
            f"{raw.source} is a 3D scan of {raw.matrix[2]} partitions; the plan measures the lines of 2D slices.",
            OTHER_PLAN,
        )
    if raw.matrix != planned:
        have, want = ("x".join(map(str, matrix)) for matrix in (raw.matrix, planned))
        raise AcquisitionError(
            f"{raw.source} has a matrix of {have} (readout, ky, kz), the plan is for {want}.", OTHER_PLAN
        )
    if sensing.encoding == "points" and raw.n_slices > 1:
        raise AcquisitionError(
            f"{raw.source} holds {raw.n_slices} slabs of a 3D scan; one is expected.", "Save each slab to a file."
        )


def _in_order(raw: RawData, plan: Plan) -> RawData:
    """The lines of a file that doesn't state their order, in the plan's; what the plan doesn't measure comes last."""
    units = units_of(raw, np.arange(len(raw.lines)))
    rank = np.full(plan.sensing.n_units, plan.pattern.n_readings)
    first, position = np.unique(plan.pattern.order, return_index=True)
    rank[first] = position
    order = np.lexsort((rank[units], raw.slice))
    per_line = ("lines", "ky", "kz", "slice", "repetition", "average", "is_calibration", "is_imaging")
    return replace(raw, **{name: getattr(raw, name)[order] for name in per_line}, states_order=True)


class _Images(ABC):
    """Acquisitions made when they are asked for."""

    def __init__(self, raw: RawData, digest: str | None, encoding: str) -> None:
        self.raw, self.digest = raw, digest
        self.geometry = raw.volume_geometry(encoding)
        self.record = {name: raw.texts[name] for name in ("plan_id", "source") if name in raw.texts}

    @abstractmethod
    def __len__(self) -> int: ...

    @abstractmethod
    def readings(self, i: int) -> tuple[npt.NDArray[np.complex64], npt.NDArray[np.int32]]:
        """(readings, units) of image ``i``."""

    def acquisition(self, i: int) -> Acquisition:
        """Of image ``i``."""
        readings, units = self.readings(i)
        geometry = None if self.geometry is None else self.geometry.of_slice(i)
        source = self.raw.source if len(self) == 1 else f"{self.raw.source}, image {i}"
        maps = self.raw.coil_maps if len(self) == 1 else None
        return Acquisition(readings, self.digest, source, units, maps, geometry, dict(self.record))


class _Slices(_Images):
    """The slices of a 2D scan."""

    def __init__(self, raw: RawData, digest: str | None) -> None:
        super().__init__(raw, digest, "lines")
        self.lines = [raw.lines_of(i) for i in range(raw.n_slices)]
        empty = [i for i, lines in enumerate(self.lines) if not lines.size]
        if empty or not self.lines:
            raise AcquisitionError(f"{raw.source} has no imaging readouts in slice {empty[:1] or 0}.", OTHER_PLAN)

    def __len__(self) -> int:
        return len(self.lines)

    def readings(self, i: int) -> tuple[npt.NDArray[np.complex64], npt.NDArray[np.int32]]:
        return self.raw.lines[self.lines[i]], units_of(self.raw, self.lines[i])


class _Slabs(_Images):
    """The positions along the readout of a 3D scan; the readout is inverse-transformed once, at the first use."""

    def __init__(self, raw: RawData, digest: str | None) -> None:
        super().__init__(raw, digest, "points")
        self.lines = np.flatnonzero(raw.is_imaging)
        self.units = units_of(raw, self.lines)
        self.transformed: Lines | None = None
        if not self.lines.size:
            raise AcquisitionError(f"{raw.source} has no imaging readouts.", OTHER_PLAN)

    def __len__(self) -> int:
        return self.raw.matrix[0]

    def readings(self, i: int) -> tuple[npt.NDArray[np.complex64], npt.NDArray[np.int32]]:
        if self.transformed is None:
            self.transformed = _along_readout(self.raw.lines, self.lines)
        return np.ascontiguousarray(self.transformed[..., i]), self.units


def _along_readout(lines: Lines, used: npt.NDArray[np.int64]) -> Lines:
    """Centred orthonormal inverse FFT of lines[used] along the readout."""
    transformed = np.empty((used.size, *lines.shape[1:]), np.complex64)
    for start in range(0, used.size, _BLOCK):
        some = torch.from_numpy(lines[used[start : start + _BLOCK]])
        transformed[start : start + _BLOCK] = ifft_centred(some, (-1,)).numpy() if some.shape[-1] > 1 else some.numpy()
    return transformed
