"""Which places of the full grid a file plays, from positions in k-space; labels, slices and averages have to agree."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from acqplan.formats.export import pattern_of
from acqplan.modalities.mri.formats.pulseq.seq_file import Floats, Ints, PlayedSequence
from acqplan.modalities.mri.sensing import CartesianMRI
from acqplan.sensing.pattern import Pattern, earlier_readings

_K_TOLERANCE = 0.01  # of a step in k-space
_FREQUENCY_TOLERANCE_HZ = 0.5
_PHASE_TOLERANCE = 0.05  # rad: the file holds six digits of each frequency and phase


@dataclass(frozen=True, eq=False)
class PlayedReadings:
    """What every slice of a file plays, in order, and which readouts of the file hold images.

    Parameters
    ----------
    line, partition
        int64[n], places on the full grid.
    average
        int64[n], how often the place was read before.
    calibration
        bool[n], whether the place is labelled as calibration.
    matrix, fov
        int64[3] and float64[3] in metres: readout, ky, kz (2D: slices together).
    n_slices, oversampling
        Slices, and samples per sample of the image.
    images
        int64[n * slices]: numbers of the readouts that aren't noise.
    slices
        int64[n * slices]: slice of each of these.
    """

    line: Ints
    partition: Ints
    average: Ints
    calibration: npt.NDArray[np.bool_]
    matrix: Ints
    fov: Floats
    n_slices: int
    oversampling: int
    images: Ints
    slices: Ints


def readings_played(played: PlayedSequence, *, is_3d: bool) -> PlayedReadings:
    """What ``played`` reads.

    Raises
    ------
    ValueError
        A sample or a reading lies off the full grid, labels or slices contradict the positions, a reading has no
        excitation of its own or one at another slice, or slices play different readings.
    KeyError
        A definition is missing.
    """
    matrix = _stated(played, "Matrix", 3).astype(np.int64)
    fov = _stated(played, "FOV", 3)
    rotation = _stated(played, "Rotation", 9).reshape(3, 3)
    positions = _stated(played, "SlicePositions", None)
    oversampling = int(_stated(played, "ReadoutOversamplingFactor", 1)[0])
    images = np.flatnonzero(played.labels["NOISE"] == 0)
    labels = {name: values[images] for name, values in played.labels.items()}
    if not images.size or (played.excitations[images] < 1).any():
        raise ValueError("a reading has no excitation")
    _check_trajectories(played, images, rotation, matrix, fov, oversampling)

    starts = played.start[images] @ rotation
    depth = fov[2] if is_3d else float(_stated(played, "SliceThickness", 1)[0])
    line = _places(starts[:, 1], fov[1], int(matrix[1]), labels["LIN"], "ky")
    partition = _places(starts[:, 2], depth, int(matrix[2]), labels["PAR"], "kz")
    table = np.stack([line, partition, labels["AVG"], labels["REF"]])
    line, partition, average, reference = _of_each_slice(table, labels["SLC"], len(positions))
    _check_slice_positions(played, images, rotation, positions, labels["SLC"])
    _check_receiver(played, images, starts, _stated(played, "Centre", 3), (matrix, fov, oversampling), is_3d)
    if not np.array_equal(average, earlier_readings(line * int(matrix[2]) + partition)):
        raise ValueError("its averages don't count the repeats")
    if not np.array_equal(labels["REF"], labels["IMA"]):
        raise ValueError("labels REF and IMA differ")
    return PlayedReadings(
        line, partition, average, reference == 1, matrix, fov, len(positions), oversampling, images, labels["SLC"]
    )


def pattern_played(played: PlayedSequence, sensing: CartesianMRI) -> tuple[Pattern, PlayedReadings]:
    """The pattern that a sequence plays, and its readings; `ValueError` or `KeyError` if it is none of ``sensing``."""
    readings = readings_played(played, is_3d=sensing.encoding == "points")
    matrix = tuple(readings.matrix.tolist())
    rows, columns = sensing.image_shape
    if (matrix[1:] if sensing.encoding == "points" else matrix) != (
        (rows, columns) if sensing.encoding == "points" else (columns, rows, 1)
    ):
        raise ValueError(f"its matrix {'x'.join(map(str, matrix))} isn't the plan's")
    order = (readings.line * matrix[2] + readings.partition).astype(np.int32)
    return pattern_of(order, sensing.n_units, np.unique(order[readings.calibration])), readings


def _stated(played: PlayedSequence, name: str, size: int | None) -> Floats:
    values = np.array([float(word) for word in played.definitions[name].split()])
    if (size is not None and values.size != size) or not np.isfinite(values).all():
        raise ValueError(f"its definition {name} is {played.definitions[name]}")
    return values


def _check_trajectories(
    played: PlayedSequence,
    images: Ints,
    rotation: Floats,
    matrix: Ints,
    fov: Floats,
    oversampling: int,
) -> None:
    """Every sample of every reading lies on its place of the full grid along the readout."""
    n = int(matrix[0]) * oversampling
    expected = (np.arange(n) - n // 2) / oversampling
    for kind in np.unique(played.trajectory[images]):
        path = played.trajectories[kind] @ rotation * fov
        start = played.start[images[played.trajectory[images] == kind], :] @ rotation[:, 0] * fov[0]
        if len(path) != n or np.abs(path[:, 1:]).max() > _K_TOLERANCE:
            raise ValueError("a readout isn't one of the full grid")
        for extreme in (start.min(), start.max()):
            if np.abs(path[:, 0] + extreme - expected).max() > _K_TOLERANCE:
                raise ValueError("samples of a readout aren't where they should be")


def _places(k: Floats, fov: float, size: int, label: Ints, name: str) -> Ints:
    """Places on the full grid of positions in k-space; `ValueError` if they lie off it or are labelled otherwise."""
    steps = k * fov + size // 2
    places = np.rint(steps).astype(np.int64)
    if np.abs(steps - places).max() > _K_TOLERANCE or places.min() < 0 or places.max() >= size:
        raise ValueError(f"a reading lies off the grid of {name}")
    if not np.array_equal(places, label):
        raise ValueError(f"labels and k-space positions along {name} differ")
    return places


def _of_each_slice(table: Ints, slices: Ints, n_slices: int) -> Ints:
    """The columns of table[…, readings] that every slice shares."""
    if not np.array_equal(np.unique(slices), np.arange(n_slices)):
        raise ValueError(f"it doesn't play the {n_slices} slices that it states")
    first: Ints = table[:, slices == 0]
    if any(not np.array_equal(table[:, slices == number], first) for number in range(n_slices)):
        raise ValueError("its slices play different patterns")
    return first


def _check_slice_positions(
    played: PlayedSequence,
    images: Ints,
    rotation: Floats,
    positions: Floats,
    slices: Ints,
) -> None:
    """The frequency of each excitation is that of its slice's position in the gradient during the pulse."""
    gradient = played.rf_gradient[images] @ rotation
    expected = gradient[:, 2] * positions[slices]
    tolerance = _FREQUENCY_TOLERANCE_HZ + 1e-5 * np.abs(expected)
    if (np.abs(played.rf_frequency[images] - expected) > tolerance).any():
        raise ValueError("an excitation isn't at its slice's position")


def _check_receiver(
    played: PlayedSequence,
    images: Ints,
    starts: Floats,
    centre: Floats,
    grid: tuple[Ints, Floats, int],
    is_3d: bool,
) -> None:
    """The receiver follows the phase of the pulse, and 2π k·r of the centre r of the field of view."""
    matrix, fov, oversampling = grid
    kinds = played.trajectory[images]
    n = int(matrix[0]) * oversampling
    seconds = {int(kind): float(played.sampling[kind]) for kind in np.unique(kinds)}
    sampling = np.array([seconds[int(kind)] for kind in kinds])
    frequency = n / (oversampling * fov[0] * sampling) * centre[0]
    start = -(n // 2 + 0.5) / (oversampling * fov[0]) * centre[0] + starts[:, 1] * centre[1]
    expected = 2 * np.pi * (start + (starts[:, 2] * centre[2] if is_3d else 0.0))
    off = np.abs(np.exp(1j * (played.receiver_phase[images] - expected)) - 1)
    tolerance = _FREQUENCY_TOLERANCE_HZ + 1e-5 * np.abs(frequency)
    if (np.abs(played.receiver_frequency[images] - frequency) > tolerance).any() or (off > _PHASE_TOLERANCE).any():
        raise ValueError("the receiver isn't at the centre of the field of view, or not in phase with the pulse")
