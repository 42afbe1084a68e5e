"""BART's .cfl/.hdr pairs: patterns for ``bart pics -p``, and Cartesian k-space.

A ``.hdr`` is text with the sizes of up to 16 axes, a ``.cfl`` the complex64 values, little-endian, first
axis fastest. BART's axes are 0 readout, 1 ky, 2 kz, 3 coil:

=========  ===================================  =========================
encoding   image axes                           BART sizes
=========  ===================================  =========================
lines      (ky rows, readout columns)           columns, rows, 1, coils
points     (ky, kz), readout transformed        1, ky, kz, coils
=========  ===================================  =========================

Transforms agree with ``bart fft -u`` at any size. ``bart pics`` of versions before mid-2024 (measured: 0.8.00)
shifts images with an odd side by one pixel, and changes their sign where exactly one side leaves a
remainder of 2 when divided by 4 (https://github.com/mrirecon/bart/pull/328).
"""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from acqplan.core.errors import AcqplanError, AcquisitionError, InstrumentError
from acqplan.core.files import readable
from acqplan.core.registry import register
from acqplan.formats.acquired import FRESH_COPY, MAX_BYTES, acquisition_from
from acqplan.formats.contracts import AcquiredReader, AcquiredWriter, Exported, PatternFormat
from acqplan.formats.export import EXPORT_AGAIN, exported, read_manifest
from acqplan.formats.table import read_table, write_table
from acqplan.modalities.mri.raw.acquisitions import scan_of
from acqplan.modalities.mri.raw.data import Lines, RawData
from acqplan.modalities.mri.raw.reader import RawReader
from acqplan.modalities.mri.raw.readouts import MAX_BYTES as MAX_SCAN_BYTES
from acqplan.modalities.mri.sensing import CartesianMRI
from acqplan.plan.plan import Plan
from acqplan.sensing.acquisition import Acquisition, Scan
from acqplan.sensing.measurement import averaged
from acqplan.sensing.pattern import Pattern

_MAX_DIMS = 16
_SLICE = 13
_CENTRAL_ENERGY = 0.5  # of a k-space within the middle quarter along each axis; white noise has 1/16 of a slice there
_SIZES = re.compile(r"[0-9]{1,9}(\s+[0-9]{1,9})*")
_SMALLEST = float(np.finfo(np.float32).tiny)

Complex = npt.NDArray[np.complex64]


@register("image_readers", "bart")
@register("instruments", "bart")
class Bart(PatternFormat, RawReader, AcquiredWriter):
    """``pattern.cfl``/``.hdr`` of 0 and 1 in the size of the k-space, and the order, which a mask can't hold.

    Acquired: k-space on the full grid, ``name.cfl`` and ``name.hdr``, zero where nothing was measured
    (repeats averaged); with several coils also their sensitivities, ``name_maps.cfl`` and ``.hdr``.

    The files can't carry a digest, so the positions that hold anything but zero are held against those
    that the plan measures, and taken to be in its order. A position that is zero in all coils and
    samples counts as not measured: noise makes that impossible, and where a noise-free simulation reads
    exactly zero, the smallest normal float32 is written instead.
    """

    summary = "BART .cfl/.hdr: pattern for pics -p, order as CSV; acquired Cartesian k-space and coil maps."
    acquired_suffixes = (".cfl",)
    title, asked = "BART .cfl", 12

    def check(self, plan: Plan) -> list[str]:
        return []

    def write(self, plan: Plan, folder: Path) -> dict[str, Any]:
        sensing = _cartesian(plan, InstrumentError)
        values = _to_bart(_mask(plan.pattern, sensing)[None].astype(np.complex64), sensing)
        _write_cfl(folder / "pattern.cfl", values)
        write_table(plan, folder / "order.csv")
        return {"dimensions": list(values.shape)}

    def read(self, folder: Path) -> Exported:
        manifest = read_manifest(folder, self.kind)
        pattern, plan_id = read_table(folder / "order.csv")
        path = folder / "pattern.cfl"
        with readable(folder / "manifest.json", InstrumentError, EXPORT_AGAIN):
            arguments = {name: value for name, value in manifest["sensing"].items() if name != "kind"}
            sensing = CartesianMRI(**arguments)
        played = _from_bart(_read_array(path, InstrumentError, EXPORT_AGAIN), sensing, path, InstrumentError)[0]
        if pattern.n_units != sensing.n_units or not np.array_equal(played, _mask(pattern, sensing)):
            raise InstrumentError(f"{path} doesn't play the positions of order.csv.", EXPORT_AGAIN)
        if plan_id != manifest["plan_id"]:
            raise InstrumentError(f"{folder / 'order.csv'} belongs to another plan than its manifest.", EXPORT_AGAIN)
        return exported(pattern, manifest, path, {"dimensions": manifest.get("dimensions")})

    @classmethod
    def recognises(cls, path: Path) -> bool:
        return path.suffix.lower() == ".cfl" and path.is_file() and path.with_suffix(".hdr").is_file()

    def companions(self, path: Path) -> list[Path]:
        maps = _maps_path(path)
        return [path.with_suffix(".hdr"), maps, maps.with_suffix(".hdr")]

    def write_acquired(self, acquisition: Acquisition, plan: Plan, path: Path) -> None:
        sensing = _cartesian(plan, InstrumentError)
        readings = torch.as_tensor(np.array(acquisition.readings, dtype=np.complex64))
        units, counts = averaged(readings, acquisition.units(plan.pattern), sensing.n_units)
        is_silent = (counts > 0) & (units == 0).flatten(1).all(1)
        units[is_silent] = _SMALLEST
        _write_cfl(path, _to_bart(sensing.to_grid(units[None])[0].numpy(), sensing))
        if acquisition.coil_maps is not None:
            _write_cfl(_maps_path(path), _to_bart(acquisition.coil_maps, sensing))

    def read_acquired(self, path: Path, plan: Plan) -> Acquisition:
        sensing = _cartesian(plan, AcquisitionError)
        kspace = _from_bart(_read_array(path, AcquisitionError, FRESH_COPY, MAX_BYTES), sensing, path, AcquisitionError)
        maps_path = _maps_path(path)
        arrays: dict[str, npt.NDArray[Any]] = {}
        if maps_path.exists() or maps_path.with_suffix(".hdr").exists():
            maps = _read_array(maps_path, AcquisitionError, FRESH_COPY, MAX_BYTES)
            arrays["coil_maps"] = _from_bart(maps, sensing, maps_path, AcquisitionError)
            if len(arrays["coil_maps"]) != len(kspace):
                raise AcquisitionError(
                    f"{maps_path} has {len(arrays['coil_maps'])} coils, {path.name} has {len(kspace)}.",
                    "Compute the maps from this k-space.",
                )
        units = sensing.from_grid(torch.as_tensor(kspace)[None])[0]
        measured = (units != 0).flatten(1).any(1).numpy()  # also what is NaN, which is refused for what it is
        if not measured.any():
            raise AcquisitionError(f"{path} holds nothing but zeros.", FRESH_COPY)
        planned = plan.pattern.order[measured[plan.pattern.order]]
        order = np.concatenate([planned, np.flatnonzero(measured & ~plan.pattern.mask)]).astype(np.int32)
        arrays["readings"], arrays["order"] = units.numpy()[order], order
        return acquisition_from(arrays, {}, path, plan)

    def read_scan(self, path: Path, plan: Plan) -> Scan:
        """A whole scan: slices (axis 13) of lines, or points with their readout still in k-space.

        What is zero in every coil and sample wasn't measured; the order is taken to be the plan's.
        """
        sensing = _cartesian(plan, AcquisitionError)
        try:
            sizes = _header_sizes(path.with_suffix(".hdr"))
        except (OSError, ValueError):
            return AcquiredReader.read_scan(self, path, plan)  # says what is wrong
        if sizes[_SLICE if sensing.encoding == "lines" else 0] == 1:
            return AcquiredReader.read_scan(self, path, plan)
        return scan_of(read(path), plan)

    def matches(self, path: Path, head: bytes) -> bool:
        """A .cfl of the size that the .hdr beside it states; the file itself has no magic number."""
        if path.suffix.lower() != ".cfl":
            return False
        try:
            return path.stat().st_size == 8 * math.prod(_header_sizes(path.with_suffix(".hdr")))
        except (OSError, ValueError):
            return False

    def read_raw(self, path: Path) -> RawData:
        """A line that is zero in every coil and sample counts as not measured; images aren't taken for k-space."""
        return read(path, may_be_image=False)


def _cartesian(plan: Plan, error: type[AcqplanError]) -> CartesianMRI:
    if not isinstance(plan.sensing, CartesianMRI):
        raise error(f"BART files can't hold readings of a {plan.sensing.kind} plan.", "See acqplan formats.")
    return plan.sensing


def _mask(pattern: Pattern, sensing: CartesianMRI) -> npt.NDArray[np.bool_]:
    """bool[*image_shape]: which samples of the k-space are measured; a line is repeated along its readout."""
    mask = pattern.mask if sensing.encoding == "points" else pattern.mask[:, None]
    return np.broadcast_to(mask.reshape(sensing.image_shape[0], -1), sensing.image_shape)


def _maps_path(path: Path) -> Path:
    return path.with_name(f"{path.stem}_maps.cfl")


def _to_bart(grid: Complex, sensing: CartesianMRI) -> Complex:
    """[coils, rows, columns] -> BART's (readout, ky, kz, coil)."""
    if sensing.encoding == "lines":
        return grid.transpose(2, 1, 0)[:, :, None, :]
    return grid.transpose(1, 2, 0)[None]


def _from_bart(values: Complex, sensing: CartesianMRI, path: Path, error: type[AcqplanError]) -> Complex:
    """BART's (readout, ky, kz, coil, 1, …) -> [coils, rows, columns]."""
    rows, columns = sensing.image_shape
    expected = (columns, rows, 1) if sensing.encoding == "lines" else (1, rows, columns)
    if values.shape[:3] != expected or math.prod(values.shape[4:]) != 1:
        raise error(
            f"{path} has the sizes {_sizes_text(values.shape)}, expected {_sizes_text(expected)}xcoils "
            "(readout, ky, kz, coil).",
            "Bring it to the plan's size, one slice and one set of maps, with bart extract, slice or transpose.",
        )
    plain = values.reshape(values.shape[:4])
    return plain[:, :, 0].transpose(2, 1, 0) if sensing.encoding == "lines" else plain[0].transpose(2, 0, 1)


def _write_cfl(path: Path, values: Complex) -> None:
    """Write ``path`` (.cfl) and then its .hdr: without a header the values can't be misread."""
    with path.open("wb") as stream:
        stream.write(np.asarray(values, dtype="<c8").tobytes(order="F"))
    sizes = [*values.shape, *[1] * (_MAX_DIMS - values.ndim)]
    path.with_suffix(".hdr").write_text(f"# Dimensions\n{' '.join(map(str, sizes))}\n", encoding="ascii", newline="\n")


def _read_array(path: Path, error: type[AcqplanError], remedy: str, max_bytes: int = MAX_SCAN_BYTES) -> Lines:
    """complex64 of 16 axes from ``path`` (.cfl) and its .hdr; ``error`` if the two don't fit or can't be read."""
    header = path.with_suffix(".hdr")
    try:
        sizes = _header_sizes(header)
    except (OSError, ValueError) as cause:
        reason = cause.strerror if isinstance(cause, OSError) and cause.strerror else str(cause)
        raise error(f"{header} can't be read: {reason.rstrip('.')}.", remedy) from cause
    try:
        n_bytes, found = 8 * math.prod(sizes), path.stat().st_size
        if found == n_bytes <= max_bytes:
            flat = np.fromfile(path, dtype="<c8").astype(np.complex64, copy=False)
            return flat.reshape(sizes, order="F")
    except OSError as cause:
        raise error(f"{path} can't be read: {cause.strerror}.", remedy) from cause
    raise error(f"{path} holds {found} bytes, its header asks for {n_bytes} ({_sizes_text(tuple(sizes))}).", remedy)


def _header_sizes(header: Path) -> list[int]:
    """The 16 sizes that a .hdr states; `ValueError` in words if it states none."""
    with header.open(encoding="utf-8") as stream:
        lines = [line.strip() for line in stream.read(1 << 20).splitlines()]
    if "# Dimensions" not in lines[:-1]:
        raise ValueError("it has no sizes below a line '# Dimensions'")
    stated = lines[lines.index("# Dimensions") + 1]
    if not _SIZES.fullmatch(stated):
        raise ValueError(f"its sizes are {stated[:60]!r}, whole numbers with spaces between them are expected")
    sizes = [int(size) for size in stated.split()]
    while len(sizes) > _MAX_DIMS and sizes[-1] == 1:
        sizes.pop()
    if not 0 < len(sizes) <= _MAX_DIMS or min(sizes) < 1:
        raise ValueError(f"it states the sizes {sizes[:20]}")
    return sizes + [1] * (_MAX_DIMS - len(sizes))


def _sizes_text(shape: tuple[int, ...]) -> str:
    """Sizes joined by ``x``, at least three, without ones at the end."""
    return "x".join(map(str, shape[: max([3, *(axis + 1 for axis, size in enumerate(shape) if size != 1)])]))


def read(path: Path, *, may_be_image: bool = True) -> RawData:
    """k-space of one scan; a position that is zero in every coil and sample wasn't measured.

    Raises
    ------
    AcquisitionError
        Damaged; several maps, echoes or times; or, unless it ``may_be_image``, energy that isn't in the middle.
    """
    values = _read_array(path, AcquisitionError, FRESH_COPY)
    others = [n for axis, n in enumerate(values.shape) if axis > 3 and axis != _SLICE]
    if math.prod(others) != 1:
        raise AcquisitionError(
            f"{path} has the sizes {_sizes_text(values.shape)}; readout, ky, kz, coils and slices (axis 13) are read.",
            "Take one set of maps, one echo and one time with bart slice.",
        )
    grid = values.reshape(*values.shape[:4], values.shape[_SLICE])  # readout, ky, kz, coil, slice
    if not may_be_image:
        _check_kspace(grid, path)
    lines = grid.transpose(4, 2, 1, 3, 0)  # slice, kz, ky, coil, readout
    places = np.argwhere((lines != 0).any(axis=(3, 4))).astype(np.int32)
    if not len(places):
        raise AcquisitionError(f"{path} holds nothing but zeros.", FRESH_COPY)
    n = len(places)
    return RawData(
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
