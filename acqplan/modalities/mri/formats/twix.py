"""Siemens raw data (twix, meas.dat) of software VB, VD and VE through the package twixtools (extra ``mri``).

Lin and Par are placed around the CenterLin and CenterPar that the scanner states, columns around CenterCol; reflected
readouts are flipped; readout oversampling, noise scans and reference lines are treated as those of ISMRMRD. Not read:
EPI and other trajectories that need regridding.

Tested with files that twixtools writes itself. No file of a scanner was at hand: check the first image of yours, its
orientation above all, before you rely on it.
"""

from __future__ import annotations

import contextlib
import io
import re
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt

from acqplan.core.errors import AcquisitionError
from acqplan.core.optional import optional_import
from acqplan.core.registry import register
from acqplan.formats.acquired import FRESH_COPY
from acqplan.modalities.mri.raw import readouts
from acqplan.modalities.mri.raw.data import Lines, RawData
from acqplan.modalities.mri.raw.placement import slices_in_space
from acqplan.modalities.mri.raw.reader import RawReader
from acqplan.sensing.acquisition import Geometry

_ENTRY, _FIRST_ENTRY, _MAX_MEASUREMENTS = 152, 8, 64
_NAME = re.compile(rb"^\w{4,}\x00")  # of the first part of a measurement's header
_END, _SYNC = 1 << 0, 1 << 5  # bits of a readout's mask: end of the measurement, physiological data
_NOT_LINES = (
    *("NOISEADJSCAN", "RTFEEDBACK", "HPFEEDBACK", "REFPHASESTABSCAN", "PHASESTABSCAN", "PHASCOR", "MDH_VOP"),
    *("RETRO_DUMMYSCAN", "RETRO_LASTHEARTBEAT", "SLICE_ACCEL_REFSCAN", "SLICE_ACCEL_PHASCOR", "noname60"),
)
_SEPARATE = 4  # ucRefScanMode of a calibration that isn't part of the image's k-space; 1 is other
_CARTESIAN = 1


@register("image_readers", "twix")
@register("instruments", "twix")
class Twix(RawReader):
    """Only read: the last measurement of the file. The module says what that was tested with."""

    summary = "Siemens twix (meas.dat): acquired raw data with noise scan, through twixtools; only read."
    acquired_suffixes = (".dat",)
    title, asked = "twix", 13

    @classmethod
    def recognises(cls, path: Path) -> bool:
        return recognises(path)

    def read_raw(self, path: Path) -> RawData:
        return read(path)

    def matches(self, path: Path, head: bytes) -> bool:
        """A table of measurements, or one measurement's header, at the start."""
        return recognises(path)


def recognises(path: Path) -> bool:
    """Whether the content is a twix file; never raises."""
    try:
        with path.open("rb") as stream:
            return bool(_measurements(stream, path.stat().st_size))
    except (OSError, struct.error):
        return False


def read(path: Path) -> RawData:
    """The last measurement of a twix file; earlier ones are adjustments, of which noise scans are used.

    Raises
    ------
    AcquisitionError
        Cut short or damaged, not Cartesian, several echoes, phases or sets, a noise scan of other channels; or
        twixtools isn't installed.
    """
    _check_whole(path)
    twixtools = optional_import(
        "twixtools", "mri", f"{path} is a twix file and needs the package", error=AcquisitionError
    )
    if not path.suffix:
        raise AcquisitionError(f"{path} has no suffix, without which twixtools can't open it.", "Name it .dat.")
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            found = twixtools.read_twix(str(path), verbose=False, parse_pmu=False, parse_geometry=False)
    except Exception as error:
        cause = " ".join(str(error).split())[:160].rstrip(". ") or type(error).__name__
        raise AcquisitionError(f"{path} can't be read as twix: {cause}.", FRESH_COPY) from error
    return scan_of(found, path)


def scan_of(measurements: list[dict[str, Any]], path: Path) -> RawData:
    """The scan in what `twixtools.read_twix` returns."""
    try:
        with path.open("rb") as stream:
            for measurement in measurements:
                for block in measurement["mdb"]:
                    block.fid = stream  # open once, not for every readout
            return _Reader(path, measurements).scan()
    except (KeyError, ValueError, TypeError, AttributeError, IndexError, OSError) as error:
        cause = " ".join(str(error).split())[:160].rstrip(". ") or type(error).__name__
        raise AcquisitionError(f"{path} has headers that can't be right: {cause}.", FRESH_COPY) from error


class _Reader:
    """The measurements of one file while it is read."""

    def __init__(self, path: Path, measurements: list[dict[str, Any]]) -> None:
        self.path = path
        self.measurements = measurements
        self.header: Mapping[str, Any] = measurements[-1].get("hdr", {})
        self.protocol: Mapping[str, Any] = self.header.get("MeasYaps", {})
        self.meas: Mapping[str, Any] = self.header.get("Meas", {})
        self.kspace: Mapping[str, Any] = self.protocol.get("sKSpace", {})
        self.blocks = [block for block in measurements[-1]["mdb"] if _is_line(block)]

    def scan(self) -> RawData:
        if not self.kspace:
            raise AcquisitionError(f"{self.path} has no protocol header (MeasYaps).", FRESH_COPY)
        if not self.blocks:
            raise AcquisitionError(f"{self.path} holds no imaging readouts.", "Pass the file of the imaging scan.")
        self._check_kind()
        channels = {int(block.mdh.UsedChannels) for block in self.blocks}
        if len(channels) != 1:
            raise AcquisitionError(
                f"{self.path} has readouts of {', '.join(map(str, sorted(channels)))} channels; one number "
                "is expected.",
                FRESH_COPY,
            )
        n_coils = channels.pop()
        n_encoded, n_readout, n_ky, n_kz = self._matrix()
        whiten, noise_std = self._whitening(n_coils)
        lines, clipped = self._lines(n_coils, n_encoded, n_readout, whiten)
        counters = {
            name: np.array([int(getattr(block.mdh.Counter, name)) for block in self.blocks])
            for name in ("Lin", "Par", "Sli", "Rep", "Ave")
        }
        first = self.blocks[0].mdh
        ky = self._positions(counters["Lin"], int(first.CenterLin), n_ky, "Lin")
        kz = self._positions(counters["Par"], int(first.CenterPar), n_kz, "Par") if n_kz > 1 else np.zeros_like(ky)
        matrix = (n_readout, n_ky, n_kz)
        fov = self._field_of_view()
        slices, geometry = self._slices(counters["Sli"], fov, matrix)
        reference = np.array([block.is_flag_set("PATREFSCAN") for block in self.blocks])
        both = np.array([block.is_flag_set("PATREFANDIMASCAN") for block in self.blocks])
        separate = self.protocol.get("sPat", {}).get("ucRefScanMode", 2) in (1, _SEPARATE)
        return RawData(
            lines=lines,
            ky=ky,
            kz=kz,
            slice=slices,
            repetition=counters["Rep"].astype(np.int32),
            average=counters["Ave"].astype(np.int32),
            is_calibration=reference | both,
            is_imaging=~reference | both if separate else np.ones(len(self.blocks), bool),
            matrix=matrix,
            source=str(self.path),
            field_of_view_mm=fov,
            geometry=geometry,
            noise_std=noise_std,
            parameters=self._parameters(),
            saturated=clipped,
        )

    def _check_kind(self) -> None:
        if int(self.kspace.get("ucTrajectory", _CARTESIAN)) != _CARTESIAN:
            raise AcquisitionError(f"{self.path} isn't Cartesian.", "Grid it first with the tools of its sequence.")
        if any(int(mode) > 1 for mode in np.atleast_1d(self.meas.get("alRegridMode", [1])).tolist()[:1]):
            raise AcquisitionError(
                f"{self.path} was read out on gradient ramps (EPI) and has to be regridded.",
                "Regrid it and convert it to ISMRMRD.",
            )
        for name, what in (("Eco", "echo"), ("Phs", "phase"), ("Set", "set")):
            different = {int(getattr(block.mdh.Counter, name)) for block in self.blocks}
            if len(different) > 1:
                raise AcquisitionError(
                    f"{self.path} holds {len(different)} images of every slice ({what}).",
                    f"Convert each {what} to a file of its own.",
                )

    def _matrix(self) -> tuple[int, int, int, int]:
        """(samples of a full readout, those without oversampling, ky, kz)."""
        samples = np.array([[int(b.mdh.SamplesInScan), int(b.mdh.CenterCol)] for b in self.blocks])
        reach = int((2 * np.maximum(samples[:, 1], samples[:, 0] - samples[:, 1])).max())
        n_encoded = max(reach, int(self.meas.get("iNoOfFourierColumns", 0) or 0))
        n_readout = min(n_encoded, int(self.kspace.get("lBaseResolution", 0)) or n_encoded)
        n_ky = int(self.meas.get("iPEFTLength", 0) or self.kspace.get("lPhaseEncodingLines", 0))
        n_kz = 1
        if int(self.kspace.get("ucDimension", 2)) == 4:
            n_kz = int(self.meas.get("i3DFTLength", 0) or self.kspace.get("lPartitions", 1))
        if min(n_ky, n_kz) < 1 or len(self.blocks) * n_readout * 8 > readouts.MAX_BYTES:
            raise AcquisitionError(f"{self.path} states a matrix of {n_readout}x{n_ky}x{n_kz}.", FRESH_COPY)
        return n_encoded, n_readout, n_ky, n_kz

    def _positions(self, counter: npt.NDArray[Any], centre: int, side: int, name: str) -> npt.NDArray[np.int32]:
        position = counter - centre + side // 2
        outside = np.flatnonzero((position < 0) | (position >= side))
        if outside.size:
            raise AcquisitionError(
                f"{self.path} has {outside.size} readouts outside its matrix: {name} {int(counter[outside[0]])} "
                f"with the centre at {centre} of {side} positions.",
                FRESH_COPY,
            )
        return position.astype(np.int32)

    def _whitening(self, n_coils: int) -> tuple[npt.NDArray[np.complex64] | None, float | None]:
        """(matrix or None, noise_std or None): the level is known only if both dwell times are."""
        for measurement in self.measurements:
            blocks = [block for block in measurement["mdb"] if block.is_flag_set("NOISEADJSCAN")]
            if not blocks:
                continue
            channels = {int(block.mdh.UsedChannels) for block in blocks}
            if channels != {n_coils}:
                raise AcquisitionError(
                    f"{self.path} has a noise scan of {', '.join(map(str, sorted(channels)))} channels and data of "
                    f"{n_coils}.",
                    "Take the noise scan of this examination, or leave it out.",
                )
            noise = np.concatenate([np.asarray(block.data, np.complex64).T for block in blocks])
            own, ours = _dwell_time(measurement.get("hdr", {})), _dwell_time(self.header)
            known = measurement is not self.measurements[-1] and own is not None and ours is not None
            scale = own / ours if known and own is not None and ours is not None else 1.0
            return readouts.whitening(noise, n_coils, scale, self.path), 1.0 if known else None
        return None, None

    def _lines(
        self, n_coils: int, n_encoded: int, n_readout: int, whiten: npt.NDArray[np.complex64] | None
    ) -> tuple[Lines, tuple[int, ...]]:
        lines = np.empty((len(self.blocks), n_coils, n_readout), np.complex64)
        largest, times = np.zeros(len(lines), np.float32), np.zeros(len(lines), np.int64)
        n_values = 0
        for i, block in enumerate(self.blocks):
            values = np.asarray(block.data, np.complex64)
            if values.shape != (n_coils, int(block.mdh.SamplesInScan)):
                raise AcquisitionError(f"{self.path} has a readout of {values.shape} values (number {i}).", FRESH_COPY)
            largest[i : i + 1], times[i : i + 1] = readouts.peaks(values[None])
            n_values += 2 * values.size
            pre, post = int(block.mdh.CutOff.Pre), int(block.mdh.CutOff.Post)
            values = values.copy()
            values[:, :pre] = 0
            values[:, values.shape[1] - post :] = 0
            if block.is_flag_set("REFLECT"):
                values = values[:, ::-1]
            full = readouts.placed(np.ascontiguousarray(values), int(block.mdh.CenterCol), n_encoded, self.path)
            line = readouts.without_oversampling(full, n_readout)
            lines[i] = line if whiten is None else whiten @ line
        return lines, readouts.clipped(largest, times, n_values)

    def _field_of_view(self) -> tuple[float, float, float] | None:
        slices = self.protocol.get("sSliceArray", {}).get("asSlice", [])
        if not slices:
            return None
        try:
            sides = [float(slices[0][name]) for name in ("dReadoutFOV", "dPhaseFOV", "dThickness")]
        except (KeyError, TypeError, ValueError):
            return None
        phase = 1 + float(self.kspace.get("dPhaseOversamplingForDialog", 0) or 0)
        slab = 1 + float(self.kspace.get("dSliceOversamplingForDialog", 0) or 0)
        return sides[0], sides[1] * phase, sides[2] * slab

    def _slices(
        self, numbers: npt.NDArray[Any], fov: tuple[float, float, float] | None, matrix: tuple[int, int, int]
    ) -> tuple[npt.NDArray[np.int32], Geometry | None]:
        places = [block.mdh.SliceData.SlicePos for block in self.blocks]
        positions = np.array([[place.Sag, place.Cor, place.Tra] for place in places], np.float64)
        quaternion = np.asarray(self.blocks[0].mdh.SliceData.Quaternion, np.float64)
        if not np.isclose(np.linalg.norm(quaternion), 1, atol=1e-2):
            return slices_in_space(numbers, None, np.eye(3), fov, matrix)
        rotation = optional_import(
            "twixtools.geometry", "mri", "Reading twix needs the package", error=AcquisitionError
        ).quat_to_rotmat(*quaternion / np.linalg.norm(quaternion))
        phase, readout, through = -rotation[:, 0], -rotation[:, 1], rotation[:, 2]
        return slices_in_space(numbers, positions, np.stack([readout, phase, through]), fov, matrix)

    def _parameters(self) -> dict[str, Any]:
        found = {}
        for key, name, unit in (
            ("TR_ms", "alTR", 1e-3),
            ("TE_ms", "alTE", 1e-3),
            ("flip_angle_deg", "adFlipAngleDegree", 1),
        ):
            values = self.protocol.get(name)
            if isinstance(values, list) and values and isinstance(values[0], int | float):
                found[key] = float(values[0]) * unit
        return found


def _is_line(block: Any) -> bool:
    if block.is_flag_set("ACQEND") or block.is_flag_set("SYNCDATA"):
        return False
    return not any(block.is_flag_set(flag) for flag in _NOT_LINES)


def _dwell_time(header: Mapping[str, Any]) -> float | None:
    """Nanoseconds, or None."""
    values = header.get("MeasYaps", {}).get("sRXSPEC", {}).get("alDwellTime")
    first = values[0] if isinstance(values, list) and values else values
    return float(first) if isinstance(first, int | float) and first > 0 else None


def _measurements(stream: BinaryIO, size: int) -> list[tuple[int, int, bool]]:
    """(start, end, of VD or VE) of each measurement that the first bytes tell of; nothing if it is no twix file."""
    head = stream.read(_FIRST_ENTRY + _MAX_MEASUREMENTS * _ENTRY)
    if len(head) < _FIRST_ENTRY:
        return []
    first, count = struct.unpack_from("<II", head)
    found = []
    if first < 10000 and 1 <= count <= _MAX_MEASUREMENTS:
        if len(head) < _FIRST_ENTRY + count * _ENTRY:
            return []
        for i in range(count):
            start, length = struct.unpack_from("<QQ", head, _FIRST_ENTRY + i * _ENTRY + 8)
            found.append((start, start + (length or size - start), True))
    else:
        found.append((0, size, False))
    start = found[0][0]
    if start >= size:
        return []
    stream.seek(start)
    header = stream.read(56)
    if len(header) < 16:
        return []
    _, n_parts = struct.unpack_from("<II", header)
    return found if 1 <= n_parts <= 32 and _NAME.match(header[8:]) else []


def _check_whole(path: Path) -> None:
    """Raise `AcquisitionError` unless every measurement runs to its end mark, block by block.

    A parser that trusts the lengths would stop early, or never.
    """
    try:
        size = path.stat().st_size
        with path.open("rb") as stream:
            found = _measurements(stream, size)
            if not found:
                raise AcquisitionError(f"{path} is no twix file.", "Pass a meas.dat of the scanner.")
            for start, end, is_ve in found:
                _walk(stream, path, start, min(end, size), is_ve)
    except OSError as error:
        raise AcquisitionError(f"{path} can't be opened: {error.strerror}.", "Check the name.") from error


def _walk(stream: BinaryIO, path: Path, start: int, end: int, is_ve: bool) -> None:
    short = AcquisitionError(f"{path} is cut short: a measurement has no end.", FRESH_COPY)
    size, at_mask, at_samples = (192, 40, 48) if is_ve else (128, 20, 28)
    stream.seek(start)
    head = stream.read(4)
    if len(head) < 4:
        raise short
    position = start + int(struct.unpack("<I", head)[0])
    while position + size <= end:
        stream.seek(position)
        block = stream.read(size)
        (length,) = struct.unpack_from("<I", block)
        (mask,) = struct.unpack_from("<Q", block, at_mask)
        samples, channels = struct.unpack_from("<HH", block, at_samples)
        if mask & _END:
            return
        if mask & _SYNC:
            step = length % (1 << 25)
        else:
            step = size + channels * (32 + 8 * samples) if is_ve else channels * (128 + 8 * samples)
        if step < size:
            raise AcquisitionError(f"{path} has a damaged readout at byte {position}.", FRESH_COPY)
        position += step
    raise short
