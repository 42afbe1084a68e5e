"""A spoiled gradient echo built with pypulseq, event by event."""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import numpy as np
import numpy.typing as npt

from acqplan.core.errors import InstrumentError
from acqplan.core.optional import optional_import
from acqplan.modalities.mri.formats.pulseq.gradient_echo import Protocol, Timing, Trapezoid
from acqplan.modalities.mri.formats.pulseq.limits import ScannerLimits
from acqplan.plan.plan import Plan

_AXES = ("x", "y", "z")
_ZERO = 1e-9  # of a gradient's length: what a rotation leaves on an axis that should be empty


def import_pypulseq() -> ModuleType:
    """pypulseq; `InstrumentError` naming the extra where it isn't installed."""
    return optional_import("pypulseq", "mri", "Pulseq files need", error=InstrumentError)


@dataclass(frozen=True, eq=False)
class Readings:
    """What is acquired of each slice, in order: int32[n] places on the full grid and earlier averages; bool[n]."""

    line: npt.NDArray[np.int32]
    partition: npt.NDArray[np.int32]
    average: npt.NDArray[np.int32]
    is_calibration: npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Loop:
    """What surrounds the readings.

    Parameters
    ----------
    slice_order
        Slices (indices of ascending positions) in the order of excitation.
    dummies
        Repetitions without readout before the first reading (of each slice).
    noise_readouts
        Readouts without excitation at the very beginning.
    rf_spoiling_deg
        Increment of the increment of the RF phase from one repetition of a slice to the next.
    """

    slice_order: tuple[int, ...]
    dummies: int
    noise_readouts: int
    rf_spoiling_deg: float


def rf_phase_deg(repetition: int, increment_deg: float) -> float:
    """Phase of RF pulse n, n(n + 1)/2 increments (Zur, Wood, Neuringer, Magn Reson Med 21:251, 1991), 0 to 360."""
    return math.fmod(increment_deg * (repetition * (repetition + 1) // 2), 360.0)


def definitions_of(plan: Plan, protocol: Protocol, made: Timing) -> dict[str, Any]:
    """What the file's section [DEFINITIONS] states."""
    nx, ny, nz = protocol.matrix
    stack = protocol.n_slices * (protocol.fov_mm[2] + protocol.slice_gap_mm) - protocol.slice_gap_mm
    return {
        "Name": "acqplan_gre_3d" if protocol.is_3d else "acqplan_gre_2d",
        "FOV": [*protocol.fov[:2], protocol.fov[2] if protocol.is_3d else 1e-3 * stack],
        "Matrix": [nx, ny, nz],
        "BaseResolution": nx,
        "PhaseResolution": float(protocol.fov[0] / nx / (protocol.fov[1] / ny)),
        "ReadoutOversamplingFactor": protocol.readout_oversampling,
        "kSpaceCenterLine": ny // 2,
        "kSpaceCenterPartition": nz // 2,
        "SliceThickness": protocol.fov[2],
        "SliceGap": 1e-3 * protocol.slice_gap_mm,
        "SlicePositions": protocol.slice_positions,
        "Centre": [1e-3 * each for each in protocol.centre_mm],
        "Rotation": protocol.rotation.ravel().tolist(),
        "FlipAngle": protocol.flip_angle_deg,
        "TE": float(made.te),
        "TR": float(made.tr),
        "ReceiverGainHigh": 1,
        "plan_id": plan.plan_id,
        "pattern_digest": plan.pattern.digest,
    }


def build(
    protocol: Protocol,
    timing: Timing,
    limits: ScannerLimits,
    loop: Loop,
    readings: Readings,
    definitions: dict[str, Any],
) -> Any:
    """A ``pypulseq.Sequence`` that plays ``readings``; its timing checked by pypulseq.

    Raises
    ------
    InstrumentError
        pypulseq isn't installed, or finds a fault in the timing (a mistake of acqplan, as limits come before).
    """
    pypulseq = import_pypulseq()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        sequence = _Builder(pypulseq, protocol, timing, limits, loop).sequence(readings)
        for name, value in definitions.items():
            sequence.set_definition(name, value)
        is_sound, faults = sequence.check_timing()
    if not is_sound:
        kinds = sorted({f"{fault.event} {fault.field}: {fault.error_type}" for fault in faults})
        raise InstrumentError(
            f"pypulseq finds {len(faults)} faults in the timing ({', '.join(kinds)}).", "This is a fault of acqplan."
        )
    return sequence


class _Builder:
    """Events that recur are registered once; a repetition then only names them."""

    def __init__(
        self, pypulseq: ModuleType, protocol: Protocol, timing: Timing, limits: ScannerLimits, loop: Loop
    ) -> None:
        self.pp, self.protocol, self.timing, self.loop = pypulseq, protocol, timing, loop
        self.system = pypulseq.Opts(
            max_grad=limits.max_grad,
            max_slew=limits.max_slew,
            rf_dead_time=limits.rf_dead_time_us * 1e-6,
            rf_ringdown_time=limits.rf_ringdown_time_us * 1e-6,
            adc_dead_time=limits.adc_dead_time_us * 1e-6,
            grad_raster_time=limits.grad_raster,
            rf_raster_time=limits.rf_raster,
            adc_raster_time=limits.adc_raster,
            block_duration_raster=limits.block_raster,
            adc_samples_divisor=limits.adc_samples_divisor,
            adc_samples_limit=limits.adc_max_samples,
            B0=limits.b0_t,
        )
        self.made = pypulseq.Sequence(self.system)
        self.cache: dict[tuple[Any, ...], Any] = {}
        self.labels: dict[str, int] = {}
        t, p = timing, protocol
        self.selection = self._gradients(t.select, (0.0, 0.0, t.select_amplitude))
        self.readout = self._gradients(t.read, (t.read_amplitude, 0.0, 0.0))
        self.delays = [pypulseq.make_delay(duration) for duration in t.blocks]
        self.positions = p.slice_positions
        self.centre = (p.matrix[1] // 2, p.matrix[2] // 2)

    def sequence(self, readings: Readings) -> Any:
        for _ in range(self.loop.noise_readouts):
            self.made.add_block(self._adc(0.0, 0.0), self.delays[2], *self._changed({"NOISE": 1}))
        n = len(readings.line)
        columns = (readings.line, readings.partition, readings.average, readings.is_calibration.astype(np.int32))
        rows = np.stack(columns, axis=1).tolist()
        for number, slice_number in self._passes(n):
            phase = rf_phase_deg(number + self.loop.dummies, self.loop.rf_spoiling_deg)
            if number < 0:
                self._shot(slice_number, phase, self.centre, None)
                continue
            line, partition, average, is_calibration = rows[number]
            labels = {
                "NOISE": 0,
                "LIN": line,
                "PAR": partition,
                "SLC": slice_number,
                "AVG": average,
                "REF": is_calibration,
                "IMA": is_calibration,
            }
            self._shot(slice_number, phase, (line, partition), labels)
        return self.made

    def _passes(self, n: int) -> Iterator[tuple[int, int]]:
        """(reading, slice) in order of excitation; negative readings are dummies."""
        numbers = range(-self.loop.dummies, n)
        if self.protocol.one_slice_after_the_other:
            yield from ((number, each) for each in self.loop.slice_order for number in numbers)
        else:
            yield from ((number, each) for number in numbers for each in self.loop.slice_order)

    def _shot(self, slice_number: int, phase_deg: float, place: tuple[int, int], labels: dict[str, int] | None) -> None:
        t, add = self.timing, self.made.add_block
        ky, kz = self.protocol.phase_moment(*place)
        add(self._rf(phase_deg, slice_number), *self.selection, self.delays[0])
        add(*self._moments("encode", (t.prephase_x, ky, t.refocus_z + kz)), self.delays[1])
        if labels is None:
            add(*self.readout, self.delays[2])
        else:
            add(*self.readout, self._adc(phase_deg, self._shift(ky, kz)), self.delays[2], *self._changed(labels))
        add(*self._moments("spoil", (t.spoil_x, -ky, t.spoil_z - kz)), self.delays[3])

    def _changed(self, labels: dict[str, int]) -> list[Any]:
        """Settings of the labels that aren't as they were; a label persists, and all start at 0."""
        fresh = {name: value for name, value in labels.items() if self.labels.get(name, 0) != value}
        self.labels |= fresh
        return [self._label(name, value) for name, value in fresh.items()]

    def _label(self, name: str, value: int) -> Any:
        key = (name, value)
        if key not in self.cache:
            event = self.pp.make_label(name, "SET", int(value))
            event.id = self.made.register_label_event(event)
            self.cache[key] = event
        return self.cache[key]

    def _rf(self, phase_deg: float, slice_number: int) -> Any:
        """The pulse for one slice; its phase is ``phase_deg`` at its centre."""
        key = ("rf", phase_deg, slice_number)
        if key not in self.cache:
            t, flip = self.timing, math.radians(self.protocol.flip_angle_deg)
            frequency = t.select_amplitude * self.positions[slice_number]
            phase = math.radians(phase_deg) - 2 * math.pi * frequency * t.rf_duration / 2
            shared = {
                "duration": t.rf_duration,
                "delay": t.rf_delay,
                "freq_offset": frequency,
                "phase_offset": math.fmod(phase, 2 * math.pi),
                "system": self.system,
                "use": "excitation",
            }
            if self.protocol.is_selective:
                bandwidth = self.protocol.time_bandwidth
                event = self.pp.make_sinc_pulse(flip, apodization=0.5, time_bw_product=bandwidth, **shared)
            else:
                event = self.pp.make_block_pulse(flip, **shared)
            event.id, event.shape_IDs = self.made.register_rf_event(event)
            self.cache[key] = event
        return self.cache[key]

    def _shift(self, ky: float, kz: float) -> float:
        """Cycles of receiver phase, when the receiver starts, that bring the centre of the field of view to the middle.

        Pulseq's convention: a place r is excited at the frequency gradient·r, and received with the phase 2π k·r.
        """
        x, y, z = (side * 1e-3 for side in self.protocol.centre_mm)
        t = self.timing
        start = -t.read_amplitude * (t.n_samples // 2 + 0.5) * t.dwell
        return start * x + ky * y + kz * z

    def _adc(self, phase_deg: float, cycles: float) -> Any:
        key = ("adc", phase_deg, cycles)
        if key not in self.cache:
            t = self.timing
            event = self.pp.make_adc(
                t.n_samples,
                dwell=t.dwell,
                delay=t.adc_delay,
                freq_offset=t.read_amplitude * self.protocol.centre_mm[0] * 1e-3,
                phase_offset=math.fmod(math.radians(phase_deg) + 2 * math.pi * cycles, 2 * math.pi),
                system=self.system,
            )
            event.id, _ = self.made.register_adc_event(event)
            self.cache[key] = event
        return self.cache[key]

    def _moments(self, which: str, moments: tuple[float, float, float]) -> list[Any]:
        key = (which, *moments)
        if key not in self.cache:
            shape: Trapezoid = getattr(self.timing, which)
            self.cache[key] = self._gradients(shape, tuple(shape.amplitude(each) for each in moments))
        found: list[Any] = self.cache[key]
        return found

    def _gradients(self, shape: Trapezoid, amplitudes: tuple[float, ...]) -> list[Any]:
        """Trapezoids on the scanner's axes of logical ``amplitudes``."""
        vector = self.protocol.rotation @ np.array(amplitudes)
        least = _ZERO * float(np.linalg.norm(vector))
        events = []
        for axis, amplitude in zip(_AXES, vector.tolist(), strict=True):
            if abs(amplitude) <= least:
                continue
            event = self.pp.make_trapezoid(
                axis,
                amplitude=amplitude,
                rise_time=shape.rise,
                flat_time=shape.flat,
                fall_time=shape.rise,
                delay=shape.delay,
                system=self.system,
            )
            event.id = self.made.register_grad_event(event)
            events.append(event)
        return events
