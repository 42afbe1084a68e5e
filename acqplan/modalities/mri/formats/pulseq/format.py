"""Pulseq: a spoiled gradient echo that plays exactly the plan's units in the plan's order.

``sequence.seq`` is what a Pulseq interpreter loads. ``lines`` plans become 2D slices, ``points`` plans a 3D slab.
docs/pulseq.md describes what is played; the other modules hold timing, building and reading back.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from importlib.metadata import version as installed_version
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from acqplan.core import registry
from acqplan.core.errors import InstrumentError
from acqplan.core.files import readable
from acqplan.core.registry import register
from acqplan.formats.contracts import Exported, PatternFormat
from acqplan.formats.export import EXPORT_AGAIN, MANIFEST, exported, read_manifest
from acqplan.modalities.mri.formats.pulseq.build import Loop, Readings, build, definitions_of, import_pypulseq
from acqplan.modalities.mri.formats.pulseq.gradient_echo import LABEL_MAX, Protocol, Timing, timing
from acqplan.modalities.mri.formats.pulseq.limits import GAMMA_HZ_PER_T, limits_of
from acqplan.modalities.mri.formats.pulseq.read_back import PlayedReadings, pattern_played
from acqplan.modalities.mri.formats.pulseq.seq_file import PlayedSequence, read_sequence
from acqplan.modalities.mri.formats.pulseq.settings import (
    SLICE_ORDERS,
    VERSIONS,
    centre_of,
    choice,
    field_of_view,
    number,
    optional,
    rotation_of,
    whole,
)
from acqplan.modalities.mri.formats.pulseq.signal import scan_of_signal
from acqplan.modalities.mri.raw.data import Lines, RawData
from acqplan.modalities.mri.sensing import NO_POINTS_IN_2D, CartesianMRI
from acqplan.modalities.mri.voxels import field_of_view_mm
from acqplan.plan.plan import Plan
from acqplan.sensing.model import SensingModel
from acqplan.sensing.pattern import Pattern, earlier_readings

SEQUENCE = "sequence.seq"
_DEFAULT_FOV_MM = 240.0
_STEADY_S = 1.5  # until magnetisation is steady, in repetitions of at most this many
_DUMMIES_AT_MOST = 150


@register("instruments", "pulseq")
class Pulseq(PatternFormat):
    """``sequence.seq``, a spoiled gradient echo for Pulseq interpreters.

    Parameters
    ----------
    scanner
        Limits of the hardware: a preset of `acqplan.modalities.mri.formats.pulseq.limits.PRESETS`.
    max_grad_mt_m, max_slew_t_m_s, max_b1_ut, rf_dead_time_us, rf_ringdown_time_us, adc_dead_time_us, \
grad_raster_us, rf_raster_us, block_raster_us, adc_raster_ns, adc_samples_divisor, adc_max_samples, b0_t
        Your own scanner's, each instead of the preset's; see `ScannerLimits`.
    rotatable
        True: limits hold for the length of the gradient vector, so the console may turn the slice. False: for each
        axis, unless the slice is oblique already.
    version
        Of the file format: 1.5 or 1.4 (1.4.1, for older interpreters).
    fov_mm
        Field of view: a number, or [readout, ky] (2D) or [readout, ky, kz] (3D). By default that of the images that
        the plan was made from; where the plan doesn't say, voxels are isotropic and the longest side is 240 mm.
    orientation
        transverse, coronal or sagittal (patient head first, supine).
    centre_mm
        [x, y, z] on the scanner's axes of the middle of the slab, or of the stack of slices; by default the isocentre.
    rotation
        Instead of ``orientation``, 3x3: columns are the directions of readout, ky, and slice or kz on the scanner's
        x, y, z.
    readout
        3D: samples along the readout; by default the larger of ky and kz. 2D: the plan's columns.
    readout_oversampling
        Samples acquired per sample of the image.
    bandwidth_hz_per_px, dwell_us
        Readout bandwidth, brought to the raster of dwell times; or the dwell time itself.
    flip_angle_deg
        By default 10 (3D) or 15 (2D).
    te_ms, tr_ms
        By default the shortest. TR is the plan's where its budget states one.
    rf_duration_ms, rf_time_bandwidth
        Of the sinc pulse; by default 2 ms with 8 (3D), 3 ms with 4 (2D).
    selective
        3D: False for a block pulse (0.3 ms by default) without slab selection.
    slice_thickness_mm, slice_gap_mm, slices
        2D: slices, evenly spaced along the normal.
    slice_order
        2D: interleaved (0, 2, … 1, 3, …) or ascending within a TR, or sequential: one slice after the other.
    dummies
        Repetitions without readout before the first; by default 150 (3D), or what fills 1.5 s (2D).
    noise_readouts
        Readouts without excitation at the beginning.
    rf_spoiling_deg, spoiling_cycles
        RF phase increment; dephasing of a repetition in cycles per voxel (3D, along the readout) or slice (2D).
    """

    summary = "Pulseq .seq that a scanner plays: spoiled gradient echo, 2D slices or 3D (docs/pulseq.md)."
    modalities = ("cartesian_mri",)

    def __init__(
        self,
        scanner: str = "generic-3T",
        max_grad_mt_m: float | None = None,
        max_slew_t_m_s: float | None = None,
        max_b1_ut: float | None = None,
        rf_dead_time_us: float | None = None,
        rf_ringdown_time_us: float | None = None,
        adc_dead_time_us: float | None = None,
        grad_raster_us: float | None = None,
        rf_raster_us: float | None = None,
        block_raster_us: float | None = None,
        adc_raster_ns: float | None = None,
        adc_samples_divisor: int | None = None,
        adc_max_samples: int | None = None,
        b0_t: float | None = None,
        rotatable: bool = True,
        version: str | float = "1.5",
        fov_mm: float | Sequence[float] | None = None,
        orientation: str = "transverse",
        rotation: Sequence[Sequence[float]] | None = None,
        centre_mm: Sequence[float] = (0.0, 0.0, 0.0),
        readout: int | None = None,
        readout_oversampling: int = 2,
        bandwidth_hz_per_px: float = 260.0,
        dwell_us: float | None = None,
        flip_angle_deg: float | None = None,
        te_ms: float | None = None,
        tr_ms: float | None = None,
        rf_duration_ms: float | None = None,
        rf_time_bandwidth: float | None = None,
        selective: bool = True,
        slice_thickness_mm: float = 5.0,
        slice_gap_mm: float = 0.0,
        slices: int = 1,
        slice_order: str = "interleaved",
        dummies: int | None = None,
        noise_readouts: int = 16,
        rf_spoiling_deg: float = 117.0,
        spoiling_cycles: float = 2.0,
    ) -> None:
        own = {
            "max_grad_mt_m": max_grad_mt_m,
            "max_slew_t_m_s": max_slew_t_m_s,
            "max_b1_ut": max_b1_ut,
            "rf_dead_time_us": rf_dead_time_us,
            "rf_ringdown_time_us": rf_ringdown_time_us,
            "adc_dead_time_us": adc_dead_time_us,
            "grad_raster_us": grad_raster_us,
            "rf_raster_us": rf_raster_us,
            "block_raster_us": block_raster_us,
            "adc_raster_ns": adc_raster_ns,
            "adc_samples_divisor": adc_samples_divisor,
            "adc_max_samples": adc_max_samples,
            "b0_t": b0_t,
        }
        self.limits = limits_of(choice("scanner", scanner, None), own)
        self.scanner = scanner
        self.version = VERSIONS[choice("version", str(version), tuple(VERSIONS))]
        self.fov_mm = field_of_view(fov_mm)
        self.rotation = rotation_of(orientation, rotation)
        self.centre_mm = centre_of(centre_mm)
        self.readout = None if readout is None else whole("readout", readout, 2)
        self.readout_oversampling = whole("readout_oversampling", readout_oversampling, 1)
        self.bandwidth_hz_per_px = number("bandwidth_hz_per_px", bandwidth_hz_per_px)
        self.dwell_us = optional("dwell_us", dwell_us)
        self.flip_angle_deg = optional("flip_angle_deg", flip_angle_deg)
        self.te_ms = optional("te_ms", te_ms)
        self.tr_ms = optional("tr_ms", tr_ms)
        self.rf_duration_ms = optional("rf_duration_ms", rf_duration_ms)
        self.rf_time_bandwidth = optional("rf_time_bandwidth", rf_time_bandwidth)
        self.selective = bool(selective)
        self.rotatable = bool(rotatable)
        self.slice_thickness_mm = number("slice_thickness_mm", slice_thickness_mm)
        self.slice_gap_mm = number("slice_gap_mm", slice_gap_mm, least=0)
        self.slices = whole("slices", slices, 1)
        self.slice_order = choice("slice_order", slice_order, SLICE_ORDERS)
        self.dummies = None if dummies is None else whole("dummies", dummies, 0)
        self.noise_readouts = whole("noise_readouts", noise_readouts, 0)
        self.rf_spoiling_deg = number("rf_spoiling_deg", rf_spoiling_deg, least=0)
        self.spoiling_cycles = number("spoiling_cycles", spoiling_cycles, least=0)

    def check(self, plan: Plan) -> list[str]:
        import_pypulseq()
        problems = self._misfits(_mri(plan.sensing))
        if plan.budget.readings_per_shot > 1:
            problems.append(
                f"The plan is for trains of {plan.budget.readings_per_shot} echoes; this gradient echo reads out once "
                "after each excitation: design without --echo-train."
            )
        _, found = timing(self._protocol(plan), self.limits)
        if int(plan.pattern.counts.max()) > LABEL_MAX + 1:
            problems.append(
                f"A {plan.sensing.unit_name} is measured {int(plan.pattern.counts.max())} times, "
                f"a label holds at most {LABEL_MAX + 1}."
            )
        return problems + found

    def write(self, plan: Plan, folder: Path) -> dict[str, Any]:
        pypulseq = import_pypulseq()
        protocol = self._protocol(plan)
        made, _ = timing(protocol, self.limits)
        loop = self._loop(protocol, made)
        sequence = build(protocol, made, self.limits, loop, readings_of(plan), definitions_of(plan, protocol, made))
        sequence.write(str(folder / SEQUENCE), check_timing=False, v141_compat=self.version == VERSIONS["1.4"])
        _end_lines_as_signed(folder / SEQUENCE)
        played = read_sequence(folder / SEQUENCE)
        self._check_limits(played, protocol)
        return {
            "file": SEQUENCE,
            "pulseq": self.version,
            "pypulseq": installed_version(pypulseq.__name__),
            "scanner": self.scanner,
            "scan_time_s": round(played.duration, 6),
            "te_ms": round(1e3 * made.te, 6),
            "tr_ms": round(1e3 * made.tr, 6),
            "flip_angle_deg": protocol.flip_angle_deg,
            "bandwidth_hz_per_px": round(made.bandwidth_hz_per_px, 3),
            "dwell_us": round(1e6 * made.dwell, 6),
            "readout_oversampling": self.readout_oversampling,
            "matrix": list(protocol.matrix),
            "field_of_view_mm": list(protocol.fov_mm),
            "rotation": protocol.rotation.tolist(),
            "centre_mm": list(self.centre_mm),
            "slices": protocol.n_slices,
            "slice_order": list(loop.slice_order),
            "slice_positions_mm": [round(1e3 * each, 6) for each in protocol.slice_positions],
            "dummies": loop.dummies,
            "noise_readouts": loop.noise_readouts,
            "b1_peak_ut": round(1e6 * made.b1_peak / GAMMA_HZ_PER_T, 4),
            "gradient_peak_mt_m": _peaks(played.max_gradient, 1e-3),
            "slew_peak_t_m_s": _peaks(played.max_slew, 1.0),
            "not_checked": ["PNS", "SAR"],
        }

    def read(self, folder: Path) -> Exported:
        pattern, _, manifest = self._read(folder)
        names = ("scan_time_s", "te_ms", "tr_ms", "matrix", "field_of_view_mm", "slices")
        return exported(pattern, manifest, folder / SEQUENCE, {name: manifest.get(name) for name in names})

    def _read(self, folder: Path) -> tuple[Pattern, PlayedReadings, dict[str, Any]]:
        """Pattern and readings of an exported folder, from its sequence, and the manifest."""
        manifest = read_manifest(folder, self.kind)
        path = folder / SEQUENCE
        with readable(folder / MANIFEST, InstrumentError, EXPORT_AGAIN):
            arguments = dict(manifest["sensing"])
            sensing = registry.find("sensing", arguments.pop("kind"))(**arguments)
        played = read_sequence(path)
        stated = {name: played.definitions.get(name) for name in ("plan_id", "pattern_digest")}
        if stated != {name: manifest.get(name) for name in stated}:
            raise InstrumentError(f"{path} belongs to another plan than its manifest.", EXPORT_AGAIN)
        with readable(path, InstrumentError, EXPORT_AGAIN):
            pattern, readings = pattern_played(played, _mri(sensing))
        return pattern, readings, manifest

    def raw_scan(self, folder: Path, signal: npt.NDArray[np.complexfloating[Any]]) -> tuple[RawData, Lines | None]:
        """What a simulator (or a scanner without labels) that played an exported folder measured, and the noise scan.

        `ismrmrd.writer.write` makes an ISMRMRD file of both. Where the image lies in space isn't known.

        Parameters
        ----------
        signal
            complex[samples, coils]: all samples in the order in which they were played; the noise readouts at the
            beginning may be left out.

        Returns
        -------
        RawData, complex64[readouts, coils, samples] or None
            Readouts keep their oversampling.

        Raises
        ------
        InstrumentError
            The folder is none of this format, or was changed.
        AcquisitionError
            ``signal`` has another number of samples than the sequence.
        """
        pattern, readings, manifest = self._read(folder)
        return scan_of_signal(signal, pattern, readings, manifest, str(folder / SEQUENCE))

    def _misfits(self, sensing: CartesianMRI) -> list[str]:
        """Settings of the other kind of scan."""
        found = []
        columns = sensing.image_shape[1]
        if sensing.encoding == "lines":
            if self.readout not in (None, columns):
                found.append(f"The readout has {self.readout} samples, the plan's lines {columns}: give {columns}.")
            if self.fov_mm is not None and len(self.fov_mm) == 3:
                found.append("fov_mm of a 2D plan is a number or [readout, ky]; the slice has slice_thickness_mm.")
            if not self.selective:
                found.append("selective=false is for 3D plans: a 2D slice has to be selected.")
        else:
            if self.fov_mm is not None and len(self.fov_mm) == 2:
                found.append("fov_mm of a 3D plan is a number or [readout, ky, kz].")
            if self.slices > 1:
                found.append(
                    f"A 3D plan (points) has one slab, not {self.slices} slices: leave out slices. {NO_POINTS_IN_2D}"
                )
        return found

    def _protocol(self, plan: Plan) -> Protocol:
        sensing = _mri(plan.sensing)
        is_3d = sensing.encoding == "points"
        rows, columns = sensing.image_shape
        matrix = (self.readout or max(rows, columns), rows, columns) if is_3d else (columns, rows, 1)
        encoded = matrix if is_3d else matrix[:2]
        stated = field_of_view_mm(plan, matrix)
        if self.fov_mm is None and stated is not None:
            fov = list(stated)
        elif self.fov_mm is None:
            fov = [_DEFAULT_FOV_MM * side / max(encoded) for side in encoded]
        else:
            fov = [self.fov_mm[min(axis, len(self.fov_mm) - 1)] for axis in range(len(encoded))]
        is_selective = self.selective or not is_3d
        centre = (self.rotation.T @ np.array(self.centre_mm)).tolist()
        time_s = plan.budget.reading_time_s
        return Protocol(
            is_3d=is_3d,
            matrix=matrix,
            fov_mm=(fov[0], fov[1], fov[2] if is_3d else self.slice_thickness_mm),
            rotation=self.rotation,
            is_selective=is_selective,
            n_slices=1 if is_3d else self.slices,
            slice_gap_mm=self.slice_gap_mm,
            centre_mm=(centre[0], centre[1], centre[2]),
            flip_angle_deg=self.flip_angle_deg or (10.0 if is_3d else 15.0),
            rf_duration_ms=self.rf_duration_ms or (0.3 if not is_selective else 2.0 if is_3d else 3.0),
            time_bandwidth=self.rf_time_bandwidth or (8.0 if is_3d else 4.0),
            readout_oversampling=self.readout_oversampling,
            dwell_us=self.dwell_us,
            bandwidth_hz_per_px=self.bandwidth_hz_per_px,
            te_ms=self.te_ms,
            is_plans_tr=self.tr_ms is None and time_s is not None,
            tr_ms=self.tr_ms if self.tr_ms is not None or time_s is None else 1e3 * time_s,
            one_slice_after_the_other=self.slice_order == "sequential",
            spoiling_cycles=self.spoiling_cycles,
            rotatable=self.rotatable,
        )

    def _loop(self, protocol: Protocol, made: Timing) -> Loop:
        n = protocol.n_slices
        order = [*range(0, n, 2), *range(1, n, 2)] if self.slice_order == "interleaved" else list(range(n))
        dummies = self.dummies
        if dummies is None:
            dummies = _DUMMIES_AT_MOST if protocol.is_3d else min(_DUMMIES_AT_MOST, math.ceil(_STEADY_S / made.tr))
        return Loop(tuple(order), dummies, self.noise_readouts, self.rf_spoiling_deg)

    def _check_limits(self, played: PlayedSequence, protocol: Protocol) -> None:
        """What the file holds, measured on the scanner's axes, against the limits."""
        which = 1 if protocol.rotatable or protocol.is_oblique else 0
        for name, found, limit in (
            ("gradient", played.max_gradient[which], self.limits.max_grad),
            ("slew rate", played.max_slew[which], self.limits.max_slew),
        ):
            if found > limit * (1 + 1e-5):
                raise InstrumentError(
                    f"The file's largest {name} is {found / limit:.4f} times the limit.", "This is a fault of acqplan."
                )


def readings_of(plan: Plan) -> Readings:
    """The plan's pattern as places on the full grid, in its order."""
    pattern, sensing = plan.pattern, _mri(plan.sensing)
    order = pattern.order.astype(np.int64)
    places = np.unravel_index(order, sensing.grid_shape)
    partition = places[1] if len(places) > 1 else np.zeros_like(order)
    return Readings(
        places[0].astype(np.int32),
        partition.astype(np.int32),
        earlier_readings(order),
        np.isin(order, pattern.calibration),
    )


def _end_lines_as_signed(path: Path) -> None:
    """pypulseq signs lines that end in LF; where the system writes CR LF, bring the file to what was signed."""
    content = path.read_bytes()
    if b"\r\n" in content:
        path.write_bytes(content.replace(b"\r\n", b"\n"))


def _mri(sensing: SensingModel) -> CartesianMRI:
    if not isinstance(sensing, CartesianMRI):
        raise InstrumentError(f"Pulseq can't play the pattern of a {sensing.kind} plan.", "See acqplan formats.")
    return sensing


def _peaks(found: npt.NDArray[np.float64], factor: float) -> dict[str, float]:
    axis, vector = (round(float(each) / GAMMA_HZ_PER_T / factor, 4) for each in found)
    return {"axis": axis, "vector": vector}
