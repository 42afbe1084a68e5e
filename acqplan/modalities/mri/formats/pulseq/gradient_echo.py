"""Timing of a spoiled gradient echo: from what is asked for to every amplitude and duration, or every reason why not.

A repetition is four blocks. In each, gradients of all three axes rise and fall together, so a slice is tilted by
rotating vectors of amplitudes, whose length doesn't change.

1. RF pulse with the slice-select gradient (none for a non-selective pulse).
2. Prephaser of the readout, refocusing of slice selection, phase encoding.
3. Readout.
4. Rewinding of phase encoding, spoiler.

Logical axes are (readout, ky, kz or slice). Amplitudes are in Hz/m, moments in 1/m, times in seconds.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import product

import numpy as np
import numpy.typing as npt

from acqplan.modalities.mri.formats.pulseq.limits import GAMMA_HZ_PER_T, ScannerLimits

LABEL_MAX = 65535  # ISMRMRD and most raw data hold 16-bit counters
_EPS = 1e-6  # of a raster


@dataclass(frozen=True)
class Protocol:
    """What a user asks for; see `acqplan.modalities.mri.formats.pulseq.Pulseq` for the meaning of each.

    ``matrix``, ``fov_mm`` and ``centre_mm`` are (readout, ky, kz); a 2D slice has one kz and its thickness there.
    """

    is_3d: bool
    matrix: tuple[int, int, int]
    fov_mm: tuple[float, float, float]
    rotation: npt.NDArray[np.float64]
    is_selective: bool
    n_slices: int
    slice_gap_mm: float
    centre_mm: tuple[float, float, float]
    flip_angle_deg: float
    rf_duration_ms: float
    time_bandwidth: float
    readout_oversampling: int
    dwell_us: float | None
    bandwidth_hz_per_px: float
    te_ms: float | None
    tr_ms: float | None
    is_plans_tr: bool
    one_slice_after_the_other: bool
    spoiling_cycles: float
    rotatable: bool

    @property
    def is_oblique(self) -> bool:
        """Some logical axis isn't along an axis of the scanner."""
        return bool(np.any((np.abs(self.rotation) > 1e-9) & (np.abs(self.rotation) < 1 - 1e-9)))

    @property
    def n_samples(self) -> int:
        """Samples of one readout."""
        return self.matrix[0] * self.readout_oversampling

    @property
    def fov(self) -> tuple[float, float, float]:
        """Metres."""
        x, y, z = (side * 1e-3 for side in self.fov_mm)
        return x, y, z

    @property
    def slice_positions(self) -> list[float]:
        """Centres along the slice normal in metres, ascending."""
        step = self.fov_mm[2] + self.slice_gap_mm
        middle = (self.n_slices - 1) / 2
        return [1e-3 * (self.centre_mm[2] + step * (number - middle)) for number in range(self.n_slices)]

    def phase_moment(self, line: int, partition: int) -> tuple[float, float]:
        """(ky, kz) in 1/m of a place on the full grid; the centre is N//2."""
        _, ny, nz = self.matrix
        return (line - ny // 2) / self.fov[1], (partition - nz // 2) / self.fov[2] if self.is_3d else 0.0


@dataclass(frozen=True)
class Trapezoid:
    """Times of a trapezoid in seconds; it falls as fast as it rises."""

    rise: float
    flat: float
    delay: float = 0.0

    @property
    def end(self) -> float:
        """From the start of the block."""
        return self.delay + 2 * self.rise + self.flat

    def amplitude(self, moment: float) -> float:
        """Hz/m that give ``moment`` in 1/m."""
        return moment / (self.rise + self.flat)


@dataclass(frozen=True)
class Timing:
    """Everything about a repetition but the phase encoding."""

    rf_delay: float
    rf_duration: float
    b1_peak: float
    select: Trapezoid
    select_amplitude: float
    encode: Trapezoid
    prephase_x: float
    refocus_z: float
    read: Trapezoid
    read_amplitude: float
    adc_delay: float
    n_samples: int
    dwell: float
    spoil: Trapezoid
    spoil_x: float
    spoil_z: float
    blocks: tuple[float, float, float, float]
    te: float
    tr: float

    @property
    def shot(self) -> float:
        """Seconds from one excitation to the next, of whatever slice."""
        return sum(self.blocks)

    @property
    def bandwidth_hz_per_px(self) -> float:
        """1 / time of sampling."""
        return 1 / (self.n_samples * self.dwell)


def timing(protocol: Protocol, limits: ScannerLimits) -> tuple[Timing, list[str]]:
    """The shortest timing that fulfils ``protocol`` within ``limits``, and every reason why it can't.

    Where there are reasons, the timing is that of the nearest possible values.
    """
    problems = _adc_problems(protocol, limits) + _label_problems(protocol)
    grid, up_to_block = limits.grad_raster, limits.block_raster

    # 1: excitation
    rf_duration = protocol.rf_duration_ms * 1e-3
    if (rest := _off_raster(rf_duration, limits.rf_raster)) is not None:
        problems.append(
            f"The RF pulse of {protocol.rf_duration_ms:g} ms isn't on the RF raster of {limits.rf_raster_us:g} µs: "
            f"{1e3 * rest:g} ms is."
        )
        rf_duration = rest
    b1_peak = _b1_peak(protocol, rf_duration)
    if b1_peak > limits.max_b1 * (1 + 1e-9):
        ratio = b1_peak / limits.max_b1
        problems.append(
            f"The flip angle of {protocol.flip_angle_deg:g}° needs {_ut(b1_peak):.3g} µT, the limit is "
            f"{limits.max_b1_ut:g} µT: at most {_floor3(protocol.flip_angle_deg / ratio):g}°, or rf_duration_ms of at "
            f"least {_ceil3(protocol.rf_duration_ms * ratio):g}."
        )
    select, select_amplitude = Trapezoid(0.0, 0.0), 0.0
    rf_delay = _ceil(limits.rf_dead_time_us * 1e-6, grid)
    if protocol.is_selective:
        select_amplitude = protocol.time_bandwidth / rf_duration / protocol.fov[2]
        if select_amplitude > limits.max_grad * (1 + 1e-9):
            name = "slab" if protocol.is_3d else "slice"
            ratio = select_amplitude / limits.max_grad
            problems.append(
                f"A {name} of {protocol.fov_mm[2]:g} mm needs {_mt_m(select_amplitude):.4g} mT/m, the limit is "
                f"{limits.max_grad_mt_m:g}: at least {_ceil3(protocol.fov_mm[2] * ratio):g} mm, or rf_duration_ms of "
                f"at least {_ceil3(protocol.rf_duration_ms * ratio):g}."
            )
            select_amplitude = limits.max_grad
        rise = max(grid, _ceil(select_amplitude / limits.max_slew, grid))
        delay = _ceil(max(0.0, limits.rf_dead_time_us * 1e-6 - rise), grid)
        select = Trapezoid(rise, _ceil(rf_duration, grid), delay)
        rf_delay = delay + rise
    ringdown = rf_delay + rf_duration + limits.rf_ringdown_time_us * 1e-6
    excitation = _ceil(max(ringdown, select.end), up_to_block)
    refocus_z = -select_amplitude * (select.flat - rf_duration / 2 + select.rise / 2)

    # 3: readout, which decides the prephaser
    dwell = _dwell(protocol, limits)
    read_amplitude = 1 / (protocol.readout_oversampling * protocol.fov[0] * dwell)
    if read_amplitude > limits.max_grad * (1 + 1e-9):
        ratio = read_amplitude / limits.max_grad
        least = _ceil(dwell * ratio, limits.adc_raster)
        problems.append(
            f"A readout FOV of {protocol.fov_mm[0]:g} mm at a dwell time of {1e6 * dwell:g} µs needs "
            f"{_mt_m(read_amplitude):.4g} mT/m, the limit is {limits.max_grad_mt_m:g}: at least "
            f"{_ceil3(protocol.fov_mm[0] * ratio):g} mm, or a dwell time of at least {1e6 * least:.6g} µs "
            f"({1 / (least * protocol.n_samples):.4g} Hz/px)."
        )
        read_amplitude = limits.max_grad
    rise = max(grid, _ceil(read_amplitude / limits.max_slew, grid))
    adc_delay = _ceil(max(rise, limits.adc_dead_time_us * 1e-6), grid)
    adc_end = adc_delay + protocol.n_samples * dwell
    read = Trapezoid(rise, _ceil(adc_end - rise, grid))
    readout = _ceil(max(read.end, adc_end + limits.adc_dead_time_us * 1e-6), up_to_block)
    to_centre = adc_delay + (protocol.n_samples // 2 + 0.5) * dwell
    prephase_x = -read_amplitude * (to_centre - rise / 2)
    read_moment = read_amplitude * (read.rise + read.flat)

    # 2 and 4: as short as the corners of the full grid allow
    per_voxel = protocol.spoiling_cycles / protocol.fov[0] * protocol.matrix[0]
    spoil_x = per_voxel - read_moment - prephase_x if protocol.is_3d else 0.0
    spoil_z = 0.0 if protocol.is_3d else protocol.spoiling_cycles / protocol.fov[2]
    corners = [protocol.phase_moment(line, part) for line, part in product(*_ends(protocol))]
    encode = _shortest(protocol, limits, [(prephase_x, ky, refocus_z + kz) for ky, kz in corners])
    spoil = _shortest(protocol, limits, [(spoil_x, -ky, spoil_z - kz) for ky, kz in corners])
    encoding, spoiling = _ceil(encode.end, up_to_block), _ceil(spoil.end, up_to_block)

    te_least = excitation - rf_delay - rf_duration / 2 + encoding + to_centre
    te = te_least if protocol.te_ms is None else protocol.te_ms * 1e-3
    if te < te_least - limits.block_raster / 2:
        problems.append(f"TE of {protocol.te_ms:g} ms is too short: at least {_ceil3(1e3 * te_least):g} ms.")
    encoding += max(0.0, _round(te - te_least, up_to_block))

    per_pass = 1 if protocol.one_slice_after_the_other else protocol.n_slices
    shot_least = excitation + encoding + readout + spoiling
    tr = shot_least * per_pass if protocol.tr_ms is None else protocol.tr_ms * 1e-3
    shot = _round(tr / per_pass, up_to_block)
    if shot < shot_least - limits.block_raster / 2:
        several = f" for {per_pass} slices" if per_pass > 1 else ""
        fitting = int(tr / shot_least + 1e-9)
        whose = "The plan's " if protocol.is_plans_tr else ""
        fewer = f", or at most {fitting} slices" if per_pass > 1 and fitting else ""
        problems.append(
            f"{whose}TR of {protocol.tr_ms:g} ms is too short{several}: "
            f"at least {_ceil3(1e3 * shot_least * per_pass):g} ms{fewer}."
        )
    spoiling += max(0.0, _round(shot - shot_least, up_to_block))
    blocks = (excitation, encoding, readout, spoiling)
    made = Timing(
        rf_delay=rf_delay,
        rf_duration=rf_duration,
        b1_peak=b1_peak,
        select=select,
        select_amplitude=select_amplitude,
        encode=encode,
        prephase_x=prephase_x,
        refocus_z=refocus_z,
        read=read,
        read_amplitude=read_amplitude,
        adc_delay=adc_delay,
        n_samples=protocol.n_samples,
        dwell=dwell,
        spoil=spoil,
        spoil_x=spoil_x,
        spoil_z=spoil_z,
        blocks=blocks,
        te=excitation - rf_delay - rf_duration / 2 + encoding + to_centre,
        tr=sum(blocks) * per_pass,
    )
    return made, problems


def sinc_envelope(duration: float, raster: float, time_bandwidth: float) -> npt.NDArray[np.float64]:
    """float64[n]: Hann-windowed sinc sampled in the middle of each raster step, 1 at its peak."""
    n = round(duration / raster)
    t = ((np.arange(n) + 0.5) / n - 0.5) * duration
    window = 0.5 + 0.5 * np.cos(2 * np.pi * t / duration)
    return np.asarray(window * np.sinc(time_bandwidth / duration * t))


def _b1_peak(protocol: Protocol, duration: float) -> float:
    """Hz: flip angle = 2π ∫ B1 dt."""
    share = 1.0
    if protocol.is_selective:
        share = float(sinc_envelope(duration, duration / 1000, protocol.time_bandwidth).mean())
    return math.radians(protocol.flip_angle_deg) / (2 * math.pi * duration * share)


def _ends(protocol: Protocol) -> tuple[tuple[int, int], tuple[int, int]]:
    """First and last place along ky and kz."""
    return (0, protocol.matrix[1] - 1), (0, protocol.matrix[2] - 1)


def _shortest(protocol: Protocol, limits: ScannerLimits, moments: list[tuple[float, float, float]]) -> Trapezoid:
    """The shortest trapezoid within the limits that gives each of ``moments``.

    The limits hold for the length of the vector where the slice is oblique or may still be turned at the console,
    otherwise for each axis.
    """
    vectors = np.abs(np.array(moments))
    whole = protocol.rotatable or protocol.is_oblique
    moment = float(np.linalg.norm(vectors, axis=1).max() if whole else vectors.max())
    grid, grad, slew = limits.grad_raster, limits.max_grad, limits.max_slew
    if moment <= grad * grad / slew:
        return Trapezoid(max(grid, _ceil(math.sqrt(moment / slew), grid)), 0.0)
    rise = _ceil(grad / slew, grid)
    return Trapezoid(rise, max(0.0, _ceil(moment / grad - rise, grid)))


def _dwell(protocol: Protocol, limits: ScannerLimits) -> float:
    """Seconds, on the raster: as given, or nearest to the given bandwidth."""
    wanted = 1 / (protocol.bandwidth_hz_per_px * protocol.n_samples)
    if protocol.dwell_us is not None:
        wanted = protocol.dwell_us * 1e-6
    return max(limits.adc_raster, _round(wanted, limits.adc_raster))


def _adc_problems(protocol: Protocol, limits: ScannerLimits) -> list[str]:
    found = []
    n, divisor = protocol.n_samples, limits.adc_samples_divisor
    if n % divisor:
        step = divisor // math.gcd(divisor, protocol.matrix[0])
        factor = protocol.readout_oversampling
        nearest = [each * step for each in {max(1, factor // step), factor // step + 1}]
        words = " or ".join(str(each) for each in sorted(nearest))
        found.append(
            f"A readout of {protocol.matrix[0]} × {factor} = {n} samples isn't a multiple of {divisor}: "
            f"a readout_oversampling of {words} is."
        )
    if n > limits.adc_max_samples:
        most = limits.adc_max_samples // protocol.matrix[0]
        hint = f"a readout_oversampling of at most {most}" if most else f"at most {limits.adc_max_samples} columns"
        found.append(f"A readout of {n} samples is over the limit of {limits.adc_max_samples}: {hint}.")
    if protocol.dwell_us is not None and (near := _off_raster(protocol.dwell_us * 1e-6, limits.adc_raster)) is not None:
        near = max(near, limits.adc_raster)
        found.append(
            f"A dwell time of {protocol.dwell_us:g} µs isn't on the raster of {limits.adc_raster_ns:g} ns: "
            f"{1e6 * near:.6g} µs is."
        )
    return found


def _label_problems(protocol: Protocol) -> list[str]:
    sizes = (("ky", protocol.matrix[1]), ("kz", protocol.matrix[2]), ("slice", protocol.n_slices))
    return [
        f"{size} {name} positions don't fit a label of 16 bits: at most {LABEL_MAX + 1}."
        for name, size in sizes
        if size > LABEL_MAX + 1
    ]


def _off_raster(time: float, raster: float) -> float | None:
    """The nearest time on the raster if ``time`` isn't on it."""
    steps = time / raster
    return None if abs(steps - round(steps)) < 1e-6 else max(1, round(steps)) * raster


def _ceil(time: float, raster: float) -> float:
    return math.ceil(time / raster - _EPS) * raster


def _round(time: float, raster: float) -> float:
    return math.floor(time / raster + 0.5 + _EPS) * raster


def _ceil3(value: float) -> float:
    """Up to four significant digits, so that the number named is possible."""
    step = 10.0 ** (math.floor(math.log10(value)) - 3)
    return math.ceil(value / step - 1e-9) * step


def _floor3(value: float) -> float:
    step = 10.0 ** (math.floor(math.log10(value)) - 3)
    return math.floor(value / step + 1e-9) * step


def _mt_m(amplitude: float) -> float:
    return 1e3 * amplitude / GAMMA_HZ_PER_T


def _ut(b1: float) -> float:
    return 1e6 * b1 / GAMMA_HZ_PER_T
