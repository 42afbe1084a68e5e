"""A .seq file as it will be played: k-space, labels and gradients, from the file alone.

k-space is computed from the areas of trapezoids, for all blocks at once: seconds less than from sampled waveforms.
"""

from __future__ import annotations

import hashlib
import re
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from acqplan.core.errors import InstrumentError
from acqplan.modalities.mri.formats.pulseq.build import import_pypulseq

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
_SIGNATURE = b"\n[SIGNATURE]\n"
_AGAIN = "Export the plan again."
LABELS = ("NOISE", "LIN", "PAR", "SLC", "AVG", "REF", "IMA")


@dataclass(frozen=True, eq=False)
class PlayedSequence:
    """What a sequence of trapezoids, excitations and readouts does; R readouts, in order.

    Parameters
    ----------
    definitions
        Texts of the section [DEFINITIONS], by name.
    trajectories, trajectory
        Samples float64[samples, 3] of each different readout relative to its start, 1/m on the scanner's axes; and
        int64[R], which of them a readout has.
    sampling
        Seconds that each of ``trajectories`` takes: samples times dwell time.
    start
        float64[R, 3]: k-space at the start of each readout's block.
    excitations
        int64[R]: RF pulses before the readout and after the one before.
    rf_frequency, rf_gradient
        float64[R] (Hz) of the last RF pulse before a readout, and float64[R, 3] (Hz/m), the gradient during it;
        0 where there is none.
    receiver_frequency, receiver_phase
        float64[R]: of the receiver (Hz), and its phase (rad) at the start of sampling less that of the last RF pulse at
        the pulse's centre.
    labels
        int64[R] for each of `LABELS`.
    max_gradient, max_slew
        Largest over all blocks, float64[2] each: of an axis, and of the vector's length. Hz/m and Hz/m/s.
    duration
        Seconds.
    """

    definitions: dict[str, str]
    trajectories: list[Floats]
    trajectory: Ints
    sampling: list[float]
    start: Floats
    excitations: Ints
    rf_frequency: Floats
    rf_gradient: Floats
    receiver_frequency: Floats
    receiver_phase: Floats
    labels: dict[str, Ints]
    max_gradient: Floats
    max_slew: Floats
    duration: float


def read_sequence(path: Path) -> PlayedSequence:
    """Read a file of trapezoids, after its signature is verified.

    Raises
    ------
    InstrumentError
        Missing, unsigned, changed since it was signed, or of another structure than acqplan writes; no pypulseq.
    """
    pypulseq = import_pypulseq()
    try:
        content = path.read_bytes()
    except OSError as error:
        raise InstrumentError(f"{path} can't be read: {error.strerror or error}.", _AGAIN) from error
    check_signature(content, path)
    sequence = pypulseq.Sequence()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            sequence.read(str(path), remove_duplicates=False)
            return _played(sequence, _definitions(content.decode("utf-8")))
    except Exception as error:
        reason = " ".join(str(error).split()).rstrip(".") or type(error).__name__
        raise InstrumentError(f"{path} is no sequence that acqplan can follow: {reason}.", _AGAIN) from error


def check_signature(content: bytes, path: Path) -> None:
    """Raise `InstrumentError` unless the MD5 of all bytes before the section [SIGNATURE] is the one stated there."""
    body, mark, signature = content.rpartition(_SIGNATURE)
    stated = re.search(rb"^Hash ([0-9a-f]{32})$", signature, re.MULTILINE)
    if not mark or stated is None:
        raise InstrumentError(f"{path} is no signed Pulseq file.", _AGAIN)
    found = hashlib.md5(body, usedforsecurity=False).hexdigest()
    if found.encode() != stated[1]:
        raise InstrumentError(f"{path} was changed since it was written: its signature doesn't fit.", _AGAIN)


def _definitions(text: str) -> dict[str, str]:
    section = text.partition("[DEFINITIONS]\n")[2].partition("\n\n")[0]
    pairs = (line.partition(" ") for line in section.splitlines() if line.strip() and not line.startswith("#"))
    return {name: value.strip() for name, _, value in pairs}


def _played(sequence: Any, definitions: dict[str, str]) -> PlayedSequence:
    blocks = np.array(list(sequence.block_events.values()), dtype=np.int64)
    durations = np.array(list(sequence.block_durations.values()), dtype=np.float64)
    shapes = _trapezoids(sequence.grad_library)
    rf, adc, extensions = blocks[:, 1], blocks[:, 5], blocks[:, 6]
    gradients = blocks[:, 2:5]
    moments = shapes.area[gradients]  # float64[blocks, 3]
    before = np.concatenate([np.zeros((1, 3)), np.cumsum(moments, axis=0)[:-1]])

    pulses = np.flatnonzero(rf)
    centres = {int(each): _rf_centre(sequence, int(each)) for each in np.unique(rf[pulses])}
    times = np.array([centres[int(each)] for each in rf[pulses]])
    at_pulse = before[pulses] + np.stack(
        [shapes.until(gradients[pulses, axis], times) for axis in range(3)], axis=1
    ).reshape(-1, 3)

    readouts = np.flatnonzero(adc)
    last = np.searchsorted(pulses, readouts) - 1  # the last pulse before each readout, −1 for none
    has_pulse = last >= 0
    origin = np.zeros((len(readouts), 3))
    origin[has_pulse] = at_pulse[last[has_pulse]]
    start = before[readouts] - origin
    start[~has_pulse] = 0.0

    kinds, which = np.unique(np.column_stack([gradients[readouts], adc[readouts]]), axis=0, return_inverse=True)
    paths = [_trajectory(sequence, shapes, kind) for kind in kinds]
    frequency, slope = np.zeros(len(readouts)), np.zeros((len(readouts), 3))
    offsets = {int(each): float(sequence.rf_library.data[int(each)][8]) for each in np.unique(rf[pulses])}
    frequency[has_pulse] = np.array([offsets[int(each)] for each in rf[pulses[last[has_pulse]]]])
    slope[has_pulse] = shapes.amplitude[gradients[pulses[last[has_pulse]]]]
    pulse_phase = np.zeros(len(readouts))
    phases = {each: _rf_phase(sequence, each) for each in centres}
    pulse_phase[has_pulse] = np.array([phases[int(each)] for each in rf[pulses[last[has_pulse]]]])
    receivers = {int(each): sequence.adc_library.data[int(each)][5:7] for each in np.unique(adc[readouts])}
    receiver = np.array([receivers[int(each)] for each in adc[readouts]], dtype=np.float64).reshape(-1, 2)
    amplitude, slew = np.abs(shapes.amplitude[gradients]), shapes.slew[gradients]
    return PlayedSequence(
        definitions=definitions,
        trajectories=paths,
        trajectory=which.reshape(-1).astype(np.int64),
        sampling=[float(np.prod(sequence.adc_library.data[int(kind[3])][:2])) for kind in kinds],
        start=start,
        excitations=np.diff(last, prepend=-1),
        rf_frequency=frequency,
        rf_gradient=slope,
        receiver_frequency=receiver[:, 0],
        receiver_phase=receiver[:, 1] - pulse_phase,
        labels=_labels(sequence, extensions, adc),
        max_gradient=_largest(amplitude),
        max_slew=_largest(slew),
        duration=float(durations.sum()),
    )


@dataclass(frozen=True, eq=False)
class _Trapezoids:
    """All trapezoids of a file by number; number 0 is no gradient. float64[numbers]."""

    amplitude: Floats
    rise: Floats
    flat: Floats
    fall: Floats
    delay: Floats

    @property
    def area(self) -> Floats:
        return self.amplitude * (self.rise / 2 + self.flat + self.fall / 2)

    @property
    def slew(self) -> Floats:
        times = np.minimum(self.rise, self.fall)
        return np.abs(self.amplitude) / np.where(times > 0, times, np.inf)

    def until(self, number: Ints, time: Floats) -> Floats:
        """Area from the start of the block until ``time``."""
        rise, flat, fall = self.rise[number], self.flat[number], self.fall[number]
        t = time - self.delay[number]
        rising = np.clip(t, 0, rise)
        falling = np.clip(t - rise - flat, 0, fall)
        area = np.clip(t - rise, 0, flat) + falling
        area = area + np.divide(rising**2, 2 * rise, out=np.zeros_like(area), where=rise > 0)
        area = area - np.divide(falling**2, 2 * fall, out=np.zeros_like(area), where=fall > 0)
        return np.asarray(self.amplitude[number] * area)


def _trapezoids(library: Any) -> _Trapezoids:
    if any(kind != "t" for kind in library.type.values()):
        raise ValueError("it holds gradients that are no trapezoids")
    table = np.zeros((max(library.data, default=0) + 1, 5))
    for number, values in library.data.items():
        table[int(number)] = values
    if not np.isfinite(table).all() or (table[:, 1:] < 0).any():
        raise ValueError("it holds impossible trapezoids")
    return _Trapezoids(*table.T)


def _rf_centre(sequence: Any, number: int) -> float:
    """Seconds from the start of the block to the centre of pulse ``number``."""
    centre, delay = sequence.rf_library.data[number][4:6]  # pypulseq adds the centre to files of format 1.4
    return float(delay) + float(centre)


def _rf_phase(sequence: Any, number: int) -> float:
    """Radians at the centre of pulse ``number``."""
    values = sequence.rf_library.data[number]
    return float(values[9]) + 2 * np.pi * float(values[8]) * float(values[4])


def _trajectory(sequence: Any, shapes: _Trapezoids, kind: Ints) -> Floats:
    """float64[samples, 3] of a readout (gradients on three axes, number of the ADC event)."""
    n_samples, dwell, delay = (float(each) for each in sequence.adc_library.data[int(kind[3])][:3])
    if not 0 < n_samples < 1e6:
        raise ValueError(f"a readout has {n_samples:g} samples")
    times = np.asarray(delay + (np.arange(int(n_samples)) + 0.5) * dwell, dtype=np.float64)
    return np.stack([shapes.until(np.full(times.shape, number), times) for number in kind[:3]], axis=1)


def _labels(sequence: Any, extensions: Ints, adc: Ints) -> dict[str, Ints]:
    """Value of each label at each readout. A label persists, and applies to the readout of its own block."""
    from pypulseq.supported_labels_rf_use import get_supported_labels

    names = get_supported_labels()
    settings: dict[int, list[tuple[str, int]]] = {0: []}
    now = dict.fromkeys(LABELS, 0)
    rows = []
    for number, readout in zip(extensions.tolist(), (adc > 0).tolist(), strict=True):
        if number not in settings:
            settings[number] = _settings(sequence, number, names)
        for name, value in settings[number]:
            now[name] = value
        if readout:
            rows.append([now[name] for name in LABELS])
    table = np.array(rows, dtype=np.int64).reshape(-1, len(LABELS))
    return {name: table[:, column] for column, name in enumerate(LABELS)}


def _settings(sequence: Any, number: int, names: tuple[str, ...]) -> list[tuple[str, int]]:
    found: list[tuple[str, int]] = []
    while number:
        kind, reference, following = (int(each) for each in sequence.extensions_library.data[number][:3])
        if sequence.get_extension_type_string(kind) != "LABELSET" or len(found) > len(LABELS):
            raise ValueError("it holds extensions other than labels that are set")
        value, label = sequence.label_set_library.data[reference][:2]
        name = names[int(label) - 1]
        if name not in LABELS:
            raise ValueError(f"it sets the label {name}")
        found.append((name, int(value)))
        number = following
    return found


def _largest(values: Floats) -> Floats:
    """Of [blocks, 3]: the largest of an axis and the largest length."""
    if not len(values):
        return np.zeros(2)
    return np.array([values.max(), np.linalg.norm(values, axis=1).max()])
