"""BART's .cfl/.hdr pairs: the arrays, and k-space in BART's axes 0 readout, 1 ky, 2 kz, 3 coil, 13 slice."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np

from acqplan.core.errors import AcqplanError, AcquisitionError
from acqplan.modalities.mri.raw.hdf5_input import FRESH_COPY
from acqplan.modalities.mri.raw.readouts import MAX_BYTES
from acqplan.modalities.mri.raw.scan import Lines, RawScan

MAX_DIMS = 16
SLICE = 13
_CENTRAL_ENERGY = 0.5  # of a k-space within the middle quarter along each axis; white noise has 1/16 of a slice there


def recognises(path: Path) -> bool:
    """Whether ``path`` has a header beside it whose sizes are those of the file; never raises."""
    if path.suffix.lower() != ".cfl":
        return False
    try:
        return path.stat().st_size == 8 * math.prod(header_sizes(path.with_suffix(".hdr")))
    except (OSError, ValueError, IndexError):
        return False


def read_array(path: Path, error: type[AcqplanError], remedy: str, max_bytes: int = MAX_BYTES) -> Lines:
    """complex64 of 16 axes from ``path`` (.cfl) and its .hdr; ``error`` if the two don't fit or can't be read."""
    header = path.with_suffix(".hdr")
    try:
        sizes = header_sizes(header)
    except (OSError, ValueError, IndexError) as cause:
        reason = cause.strerror if isinstance(cause, OSError) and cause.strerror else str(cause)
        raise error(f"{header} can't be read: {reason.rstrip('.')}.", remedy) from cause
    try:
        n_bytes, found = 8 * math.prod(sizes), path.stat().st_size
        if found == n_bytes <= max_bytes:
            flat = np.fromfile(path, dtype="<c8").astype(np.complex64, copy=False)
            return flat.reshape(sizes, order="F")
    except OSError as cause:
        raise error(f"{path} can't be read: {cause.strerror}.", remedy) from cause
    raise error(f"{path} holds {found} bytes, its header asks for {n_bytes} ({sizes_text(tuple(sizes))}).", remedy)


def header_sizes(header: Path) -> list[int]:
    """The 16 sizes that a .hdr states; `ValueError` if it states none."""
    with header.open(encoding="utf-8") as stream:
        lines = [line.strip() for line in stream.read(1 << 20).splitlines()]
    sizes = [int(size) for size in lines[lines.index("# Dimensions") + 1].split()]
    while len(sizes) > MAX_DIMS and sizes[-1] == 1:
        sizes.pop()
    if not 0 < len(sizes) <= MAX_DIMS or min(sizes) < 1:
        raise ValueError(f"it states the sizes {sizes[:20]}")
    return sizes + [1] * (MAX_DIMS - len(sizes))


def sizes_text(shape: tuple[int, ...]) -> str:
    """Sizes joined by ``x``, at least three, without ones at the end."""
    return "x".join(map(str, shape[: max(3, *(axis + 1 for axis, size in enumerate(shape) if size != 1))]))


def read(path: Path, *, may_be_image: bool = True) -> RawScan:
    """k-space of one scan; a position that is zero in every coil and sample wasn't measured.

    Raises
    ------
    AcquisitionError
        Damaged; several maps, echoes or times; or, unless it ``may_be_image``, energy that isn't in the middle.
    """
    values = read_array(path, AcquisitionError, FRESH_COPY)
    others = [n for axis, n in enumerate(values.shape) if axis > 3 and axis != SLICE]
    if math.prod(others) != 1:
        raise AcquisitionError(
            f"{path} has the sizes {sizes_text(values.shape)}; readout, ky, kz, coils and slices (axis 13) are read.",
            "Take one set of maps, one echo and one time with bart slice.",
        )
    grid = values.reshape(*values.shape[:4], values.shape[SLICE])  # readout, ky, kz, coil, slice
    if not may_be_image:
        _check_kspace(grid, path)
    lines = grid.transpose(4, 2, 1, 3, 0)  # slice, kz, ky, coil, readout
    places = np.argwhere((lines != 0).any(axis=(3, 4))).astype(np.int32)
    if not len(places):
        raise AcquisitionError(f"{path} holds nothing but zeros.", FRESH_COPY)
    n = len(places)
    return RawScan(
        lines=np.ascontiguousarray(lines[tuple(places.T)]),
        ky=places[:, 2],
        kz=places[:, 1],
        slice=places[:, 0],
        repetition=np.zeros(n, np.int32),
        average=np.zeros(n, np.int32),
        is_calibration=np.zeros(n, bool),
        is_imaging=np.ones(n, bool),
        matrix=(grid.shape[0], grid.shape[1], grid.shape[2]),
        source=str(path),
        states_order=False,
    )


def _check_kspace(grid: Lines, path: Path) -> None:
    """Raise `AcquisitionError` for images: the energy of a k-space lies around its centre."""
    energy = np.square(np.abs(grid)).sum(axis=(3, 4), dtype=np.float64)
    total = energy.sum()
    middle = energy[tuple(slice((3 * n) // 8, max((5 * n + 7) // 8, (3 * n) // 8 + 1)) for n in energy.shape)].sum()
    if np.isfinite(total) and middle < _CENTRAL_ENERGY * total:
        raise AcquisitionError(
            f"{path} is no k-space: only {middle / total:.0%} of its energy lies around the centre.",
            "Transform images to k-space with bart fft -u, or save them as .npy.",
        )
