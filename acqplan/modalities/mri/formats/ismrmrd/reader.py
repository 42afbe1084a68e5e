"""Read ISMRMRD HDF5 in bulk: readouts on the full grid, oversampling removed, prewhitened with the noise scan.

A counter i of a phase-encoded axis stands for position i - centre + N // 2 of the full grid, with N the encoded
matrix and ``centre`` that of the encoding limits: partial Fourier and asymmetric limits land where they belong.
Reversed readouts are flipped; their ``center_sample`` counts in the flipped order.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt

from acqplan.core.claims import check_claim
from acqplan.core.errors import AcquisitionError
from acqplan.core.hdf5 import dataset_of, dtype_of, group_of, names
from acqplan.formats.acquired import FRESH_COPY
from acqplan.modalities.mri.formats.ismrmrd import header as xml_header
from acqplan.modalities.mri.formats.ismrmrd.header import Encoding, Header
from acqplan.modalities.mri.raw import readouts
from acqplan.modalities.mri.raw.data import Lines, RawData
from acqplan.modalities.mri.raw.hdf5_input import is_hdf5, opened
from acqplan.modalities.mri.raw.placement import slices_in_space
from acqplan.sensing.acquisition import Geometry

NOISE, CALIBRATION, CALIBRATION_AND_IMAGING, REVERSE = 19, 20, 21, 22
FIRST_IN_STEP1, LAST_IN_STEP1, FIRST_IN_SLICE, LAST_IN_SLICE = 1, 2, 7, 8
FIRST_IN_REPETITION, LAST_IN_REPETITION, LAST_IN_MEASUREMENT = 13, 14, 25
_NOT_LINES = (NOISE, 23, 24, 26, 27, 28, 29, 30, 31)  # noise, navigators, phase correction, feedback, dummies, …
_ROWS = 1024  # read at once
_MIN_BYTES = 64  # of a stored acquisition, however well compressed: a dataset that claims more rows is damaged


def bit(flag: int) -> np.uint64:
    """The bit of a flag, which ISMRMRD counts from 1."""
    return np.uint64(1 << (flag - 1))


def recognises(path: Path) -> bool:
    """Whether a group of the HDF5 file holds the datasets ``xml`` and ``data``; never raises."""
    if not is_hdf5(path):
        return False
    try:
        with opened(path, "ISMRMRD") as file:
            return _group(file) is not None
    except AcquisitionError:
        return False


def _group(file: h5py.File) -> h5py.Group | None:
    """The group of the data set: ``dataset``, or the only one that holds ``xml`` or acquisitions under ``data``."""
    for name in sorted(names(file), key=lambda each: (each != "dataset", each)):
        group = group_of(file, name)
        if group is None:
            continue
        inside = names(group)
        data = dtype_of(group, "data") if "data" in inside else None
        if data is not None and data.names is not None and "head" in data.names:
            return group
        if {"xml", "data"} <= inside:
            return group
    return None


def read(path: Path) -> RawData:
    """The imaging and calibration readouts of an ISMRMRD file.

    Raises
    ------
    AcquisitionError
        No ISMRMRD file, cut short or damaged, without a header, not Cartesian, of several contrasts, with
        counters outside its matrix, with other channels in the noise scan than in the data; or the package
        ismrmrd isn't installed.
    """
    with opened(path, "ISMRMRD") as file:
        group = _group(file)
        if group is None:
            raise AcquisitionError(
                f"{path} is HDF5 but no ISMRMRD file: no group holds 'xml' and 'data'.", "Pass a raw data file."
            )
        header = xml_header.parse(_xml(group, path), path)
        data = dataset_of(group, "data")
        if data is None or data.ndim != 1 or not data.dtype.names or not {"head", "data"} <= set(data.dtype.names):
            raise AcquisitionError(f"{path} holds no acquisitions.", FRESH_COPY)
        if data.size * _MIN_BYTES > path.stat().st_size:
            raise AcquisitionError(f"{path} claims {data.size} acquisitions, more than it can hold.", FRESH_COPY)
        maps = _stored_maps(group)
        heads = data.fields("head")[:]
        return _Reader(path, header, data, heads).scan(maps)


def _xml(group: h5py.Group, path: Path) -> bytes:
    xml = dataset_of(group, "xml")
    if xml is None or xml.size < 1:
        raise AcquisitionError(f"{path} has no header (dataset 'xml').", xml_header.NO_HEADER)
    value = xml[()] if xml.ndim == 0 else xml[:1].ravel()[0]
    return value if isinstance(value, bytes) else str(value).encode()


def _stored_maps(group: h5py.Group) -> Lines | None:
    """Coil maps that acqplan wrote beside the data, an array as ISMRMRD stores them, or None."""
    stored = dataset_of(group, "coil_maps")
    if stored is None or stored.ndim != 4 or stored.dtype.names != ("real", "imag"):
        return None
    if stored.size * stored.dtype.itemsize > readouts.MAX_BYTES:
        raise ValueError("its coil maps claim an absurd size")
    values = stored[0]
    return np.asarray(values["real"] + 1j * values["imag"], np.complex64)


@dataclass(frozen=True, eq=False)
class _Reader:
    """One file while it is read: ``heads`` holds the header of every acquisition."""

    path: Path
    header: Header
    data: h5py.Dataset
    heads: npt.NDArray[Any]

    def scan(self, maps: Lines | None) -> RawData:
        flags = self.heads["flags"]
        excluded = np.zeros(flags.shape, bool)
        for flag in _NOT_LINES:
            excluded |= (flags & bit(flag)) != 0
        space, kept = self._space(~excluded)
        encoding = self.header.encodings[space]
        heads = self.heads[kept]
        n_coils = self._channels(heads)
        ky, kz = (self._positions(heads, encoding, axis) for axis in (1, 2))
        self._check_one_image(heads)
        claimed, stored = kept.size * n_coils * encoding.encoded[0] * 8, self.path.stat().st_size
        check_claim(claimed, stored, "its encoded matrix of readouts", readouts.MAX_BYTES << 4)
        if kept.size * n_coils * encoding.n_readout * 8 > readouts.MAX_BYTES:
            raise AcquisitionError(
                f"{self.path} holds more than {readouts.MAX_BYTES >> 30} GiB of readouts.", "Split it by repetitions."
            )
        whiten, noise_std = self._whitening(n_coils, heads)
        lines, clipped = self._lines(kept, n_coils, encoding, whiten)
        slices, geometry = self._slices(heads, encoding)
        is_reference = (heads["flags"] & bit(CALIBRATION)) != 0
        is_both = (heads["flags"] & bit(CALIBRATION_AND_IMAGING)) != 0
        embedded = encoding.calibration_mode in xml_header.EMBEDDED
        return RawData(
            lines=lines,
            ky=ky,
            kz=kz,
            slice=slices,
            repetition=heads["idx"]["repetition"].astype(np.int32),
            average=heads["idx"]["average"].astype(np.int32),
            is_calibration=is_reference | is_both,
            is_imaging=np.full(kept.size, True) if embedded else ~is_reference | is_both,
            matrix=(encoding.n_readout, encoding.encoded[1], encoding.encoded[2]),
            source=str(self.path),
            field_of_view_mm=encoding.field_of_view_mm,
            geometry=geometry,
            noise_std=noise_std,
            texts={k: v for k, v in self.header.texts.items() if k in ("plan_id", "pattern_digest", "source")},
            parameters=self.header.parameters,
            saturated=clipped,
            coil_maps=maps,
        )

    def _space(self, usable: npt.NDArray[np.bool_]) -> tuple[int, npt.NDArray[np.int64]]:
        """(encoding space of the image, positions of its readouts): the first space that has imaging readouts."""
        if not usable.any():
            raise AcquisitionError(f"{self.path} holds no imaging readouts.", "Pass the file of the imaging scan.")
        spaces = self.heads["encoding_space_ref"]
        space = int(spaces[usable].min())
        if space >= len(self.header.encodings):
            raise AcquisitionError(
                f"{self.path} has readouts of encoding space {space}, its header {len(self.header.encodings)} spaces.",
                FRESH_COPY,
            )
        trajectory = self.header.encodings[space].trajectory
        if trajectory != "cartesian":
            raise AcquisitionError(
                f"{self.path} has a trajectory that is {trajectory}; Cartesian scans are read.",
                "Grid it first with the tools of its sequence.",
            )
        return space, np.flatnonzero(usable & (spaces == space))

    def _channels(self, heads: npt.NDArray[Any]) -> int:
        channels = np.unique(heads["active_channels"])
        if channels.size != 1 or channels[0] == 0:
            raise AcquisitionError(
                f"{self.path} has readouts of {', '.join(map(str, channels))} channels; one number is expected.",
                FRESH_COPY,
            )
        return int(channels[0])

    def _positions(self, heads: npt.NDArray[Any], encoding: Encoding, axis: int) -> npt.NDArray[np.int32]:
        """int32[n]: where the readouts lie on the full grid."""
        side = encoding.encoded[axis]
        counter = heads["idx"][f"kspace_encode_step_{axis}"].astype(np.int64)
        position = counter - encoding.centre[axis - 1] + side // 2
        outside = np.flatnonzero((position < 0) | (position >= side))
        if outside.size:
            raise AcquisitionError(
                f"{self.path} has {outside.size} readouts outside its matrix: {('ky', 'kz')[axis - 1]} counter "
                f"{int(counter[outside[0]])} with the centre at {encoding.centre[axis - 1]} of {side} positions.",
                "Its header and its data are of different scans, or a 16-bit counter overflowed: convert it again.",
            )
        return position.astype(np.int32)

    def _check_one_image(self, heads: npt.NDArray[Any]) -> None:
        for name in ("contrast", "phase", "set"):
            different = np.unique(heads["idx"][name])
            if different.size > 1:
                raise AcquisitionError(
                    f"{self.path} holds {different.size} images of every slice ({name} {different[0]} to "
                    f"{different[-1]}).",
                    f"Save each {name} to a file of its own.",
                )

    def _whitening(
        self, n_coils: int, heads: npt.NDArray[Any]
    ) -> tuple[npt.NDArray[np.complex64] | None, float | None]:
        """(matrix or None, noise_std or None); the noise scan's bandwidth is brought to the data's."""
        rows = np.flatnonzero((self.heads["flags"] & bit(NOISE)) != 0)
        if not rows.size:
            return None, self.header.noise_std
        channels = np.unique(self.heads["active_channels"][rows])
        if channels.size != 1 or channels[0] != n_coils:
            raise AcquisitionError(
                f"{self.path} has a noise scan of {', '.join(map(str, channels))} channels and data of {n_coils}.",
                "Take the noise scan of this examination, or leave it out.",
            )
        samples = [np.moveaxis(values, 1, 2).reshape(-1, n_coils) for _, values in self._blocks(rows, n_coils)]
        dwell = float(heads["sample_time_us"][0])
        noise_dwell = float(self.heads["sample_time_us"][rows[0]])
        scale = noise_dwell / dwell if dwell > 0 and noise_dwell > 0 else 1.0
        if not 1e-6 < scale < 1e6 or not 0.01 < self.header.noise_bandwidth < 100:
            raise AcquisitionError(f"{self.path} states impossible dwell times or noise bandwidths.", FRESH_COPY)
        scale /= self.header.noise_bandwidth
        return readouts.whitening(np.concatenate(samples), n_coils, scale, self.path), 1.0

    def _lines(
        self, kept: npt.NDArray[np.int64], n_coils: int, encoding: Encoding, whiten: npt.NDArray[np.complex64] | None
    ) -> tuple[Lines, tuple[int, ...]]:
        """(lines[n, coils, samples], readouts that are clipped)."""
        lines = np.empty((kept.size, n_coils, encoding.n_readout), np.complex64)
        largest, times = np.zeros(kept.size, np.float32), np.zeros(kept.size, np.int64)
        where = np.full(self.heads.size, -1)
        where[kept] = np.arange(kept.size)
        n_values = 0
        for rows, values in self._blocks(kept, n_coils):
            to, head = where[rows], self.heads[rows[0]]
            largest[to], times[to] = readouts.peaks(values)
            n_values += 2 * values.size
            pre, post = int(head["discard_pre"]), int(head["discard_post"])
            if pre + post >= values.shape[-1]:
                raise AcquisitionError(
                    f"{self.path} has readouts of which every sample is to be discarded.", FRESH_COPY
                )
            if head["flags"] & bit(REVERSE):
                values, pre, post = values[..., ::-1], post, pre
            values = np.ascontiguousarray(values[..., pre : values.shape[-1] - post])
            full = readouts.placed(values, int(head["center_sample"]) - pre, encoding.encoded[0], self.path)
            block = readouts.without_oversampling(full, encoding.n_readout)
            lines[to] = block if whiten is None else whiten @ block
        return lines, readouts.clipped(largest, times, n_values)

    def _blocks(self, rows: npt.NDArray[np.int64], n_coils: int) -> Any:
        """Yield (rows, complex64[len(rows), coils, samples]) of readouts that are alike, a thousand at most at once."""
        alike = np.stack(
            [self.heads[name][rows].astype(np.int64) for name in _ALIKE]
            + [((self.heads["flags"][rows] & bit(REVERSE)) != 0).astype(np.int64)]
        )
        for start in range(0, self.heads.size, _ROWS):
            inside = np.flatnonzero((rows >= start) & (rows < start + _ROWS))
            if not inside.size:
                continue
            stored = self.data.fields("data")[start : start + _ROWS]
            _, kind = np.unique(alike[:, inside], axis=1, return_inverse=True)
            for each in range(int(kind.max()) + 1):
                group = rows[inside[kind.ravel() == each]]
                n_samples = int(self.heads["number_of_samples"][group[0]])
                yield group, self._values(stored[group - start], group, n_coils, n_samples)

    def _values(self, stored: Any, rows: npt.NDArray[np.int64], n_coils: int, n_samples: int) -> Lines:
        expected = 2 * n_coils * n_samples
        for row, values in zip(rows, stored, strict=True):
            if values is None or len(values) != expected or expected == 0:
                raise AcquisitionError(
                    f"{self.path} has an acquisition (number {row}) of {0 if values is None else len(values)} values; "
                    f"its header says {n_coils} channels of {n_samples} samples, {expected} values.",
                    "It is damaged, or a 16-bit counter overflowed: convert it again.",
                )
        flat = np.concatenate([np.asarray(values, np.float32) for values in stored])
        return flat.view(np.complex64).reshape(len(rows), n_coils, n_samples)

    def _slices(self, heads: npt.NDArray[Any], encoding: Encoding) -> tuple[npt.NDArray[np.int32], Geometry | None]:
        """(slice of each readout, counted through and ascending in space; geometry of the volume or None)."""
        directions = np.stack([heads[0][f"{name}_dir"] for name in ("read", "phase", "slice")]).astype(np.float64)
        stated = self.header.texts.get(xml_header.UNKNOWN_POSITION) != xml_header.UNKNOWN
        positions = heads["position"].astype(np.float64) if stated else None
        matrix = (encoding.n_readout, encoding.encoded[1], encoding.encoded[2])
        return slices_in_space(heads["idx"]["slice"], positions, directions, encoding.field_of_view_mm, matrix)


_ALIKE = ("number_of_samples", "center_sample", "discard_pre", "discard_post")
