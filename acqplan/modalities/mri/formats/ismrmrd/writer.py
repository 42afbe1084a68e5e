"""Write ISMRMRD HDF5 in bulk: what a scanner would store, on the full grid.

Encoding limits are those of the full grid with the centre at N // 2, whatever was measured. Reference lines that belong
to the image's k-space carry flag 21 alone: readers that drop every line with flag 20 keep them. An acceleration that is
no integer has its place in the user parameters.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt

from acqplan.core.errors import AcquisitionError
from acqplan.core.hdf5 import hdf5_file
from acqplan.core.optional import optional_import
from acqplan.modalities.mri.formats.ismrmrd import reader as flags
from acqplan.modalities.mri.formats.ismrmrd.header import UNKNOWN, UNKNOWN_FIELD_OF_VIEW, UNKNOWN_POSITION
from acqplan.modalities.mri.raw.data import Lines, RawData
from acqplan.modalities.mri.raw.placement import LPS_TO_RAS

_NEEDS = "Writing ISMRMRD files needs the package"
LARGEST_COUNTER = (1 << 16) - 1
"""Counters and sizes in the header of an acquisition have 16 bits."""

_CHUNK = 64  # acquisitions


def overflows(**sizes: int) -> list[str]:
    """One sentence for each of ``sizes`` (how many there are of what) that 16 bits can't count."""
    return [
        f"ISMRMRD counts in 16 bits, up to {LARGEST_COUNTER}: {size} {name.replace('_', ' ')} are too many."
        for name, size in sizes.items()
        if size > LARGEST_COUNTER
    ]


def write(scan: RawData, path: Path, *, noise: Lines | None = None, group: str = "dataset") -> None:
    """Write ``scan`` as one ISMRMRD data set; not atomic.

    Parameters
    ----------
    scan
        ``lines`` may have more samples than ``scan.matrix[0]``: the encoded matrix and its field of view are then
        those of the oversampled readout.
    noise
        complex64[m, coils, samples], written before the data as a noise scan of the same dwell time.
    group
        Name of the data set.

    Raises
    ------
    AcquisitionError
        A size or counter doesn't fit 16 bits, or the package ismrmrd isn't installed.
    """
    _, n_coils, n_samples = scan.lines.shape
    problems = overflows(
        samples=n_samples,
        channels=n_coils,
        ky_positions=scan.matrix[1],
        kz_positions=scan.matrix[2],
        slices=scan.n_slices,
        averages=int(scan.average.max(initial=0)) + 1,
        repetitions=int(scan.repetition.max(initial=0)) + 1,
    )
    if problems:
        raise AcquisitionError(" ".join(problems), "Write it in parts.")
    rows = _rows(scan)
    if noise is not None:
        rows = np.concatenate([_noise_rows(noise, rows.dtype), rows])
        rows["head"]["scan_counter"] = np.arange(len(rows))
    xml = _header(scan)
    with hdf5_file(path) as file:
        target = file.create_group(group)
        target.create_dataset("xml", data=[xml], dtype=h5py.special_dtype(vlen=bytes), maxshape=(None,))
        target.create_dataset("data", data=rows, maxshape=(None,), chunks=(min(len(rows), _CHUNK),))
        if scan.coil_maps is not None:
            pairs = np.empty((1, *scan.coil_maps.shape), [("real", "<f4"), ("imag", "<f4")])
            pairs["real"][0], pairs["imag"][0] = scan.coil_maps.real, scan.coil_maps.imag
            target.create_dataset("coil_maps", data=pairs, maxshape=(None, *scan.coil_maps.shape))


def _rows(scan: RawData) -> npt.NDArray[Any]:
    """The table of acquisitions."""
    dtype = optional_import("ismrmrd.hdf5", "mri", _NEEDS, error=AcquisitionError).acquisition_dtype
    n_lines, n_coils, n_samples = scan.lines.shape
    rows = np.zeros(n_lines, dtype)
    head = rows["head"]
    head["version"] = 1
    head["scan_counter"] = np.arange(n_lines)
    head["number_of_samples"] = n_samples
    head["center_sample"] = n_samples // 2
    head["available_channels"] = head["active_channels"] = n_coils
    for word in range(min(16, -(-n_coils // 64))):
        head["channel_mask"][:, word] = (1 << min(64, n_coils - 64 * word)) - 1
    head["sample_time_us"] = float(scan.parameters.get("sample_time_us", 5.0))
    head["idx"]["kspace_encode_step_1"] = scan.ky
    head["idx"]["kspace_encode_step_2"] = scan.kz
    for name in ("slice", "average", "repetition"):
        head["idx"][name] = getattr(scan, name)
    head["flags"] = _flags(scan)
    for name, vectors in _vectors(scan).items():
        head[name] = vectors
    nothing = np.zeros(0, np.float32)
    values = np.ascontiguousarray(scan.lines, np.complex64).view(np.float32).reshape(n_lines, -1)
    rows["traj"].fill(nothing)
    for i in range(n_lines):
        rows["data"][i] = values[i]
    return rows


def _noise_rows(noise: Lines, dtype: Any) -> npt.NDArray[Any]:
    n_rows, n_coils, n_samples = noise.shape
    rows = np.zeros(n_rows, dtype)
    rows["head"]["version"] = 1
    rows["head"]["flags"] = flags.bit(flags.NOISE)
    rows["head"]["number_of_samples"] = n_samples
    rows["head"]["available_channels"] = rows["head"]["active_channels"] = n_coils
    rows["head"]["sample_time_us"] = 5.0
    rows["traj"].fill(np.zeros(0, np.float32))
    for i in range(n_rows):
        rows["data"][i] = np.ascontiguousarray(noise[i], np.complex64).view(np.float32).ravel()
    return rows


def _flags(scan: RawData) -> npt.NDArray[np.uint64]:
    """uint64[n]: calibration, and the first and last readout of each slice, repetition and of the measurement."""
    found = np.zeros(len(scan.lines), np.uint64)
    found[scan.is_calibration & scan.is_imaging] |= flags.bit(flags.CALIBRATION_AND_IMAGING)
    found[scan.is_calibration & ~scan.is_imaging] |= flags.bit(flags.CALIBRATION)
    images = scan.repetition.astype(np.int64) * (scan.n_slices + 1) + scan.slice
    for groups, (first, last) in (
        (images, (flags.FIRST_IN_STEP1, flags.LAST_IN_STEP1)),
        (images, (flags.FIRST_IN_SLICE, flags.LAST_IN_SLICE)),
        (scan.repetition, (flags.FIRST_IN_REPETITION, flags.LAST_IN_REPETITION)),
    ):
        found[np.unique(groups, return_index=True)[1]] |= flags.bit(first)
        found[len(groups) - 1 - np.unique(groups[::-1], return_index=True)[1]] |= flags.bit(last)
    if found.size:
        found[-1] |= flags.bit(flags.LAST_IN_MEASUREMENT)
    return found


def _vectors(scan: RawData) -> dict[str, npt.NDArray[np.float64]]:
    """Position and directions of every readout, millimetres in patient coordinates (left, posterior, superior)."""
    n = len(scan.lines)
    names = ("read_dir", "phase_dir", "slice_dir")
    if scan.geometry is None:
        return {name: np.tile(np.eye(3)[i], (n, 1)) for i, name in enumerate(names)}
    affine = np.array(scan.geometry.affine, np.float64)
    affine[:3] *= LPS_TO_RAS[:, None]
    columns = affine[:3, :3]
    directions = columns / np.maximum(np.linalg.norm(columns, axis=0), 1e-12)
    middle = np.array([[side // 2 for side in scan.matrix]] * n, np.float64)
    if not scan.is_3d:
        middle[:, 2] = scan.slice
    vectors = {name: np.tile(directions[:, i], (n, 1)) for i, name in enumerate(names)}
    return vectors | {"position": middle @ columns.T + affine[:3, 3]}


def _header(scan: RawData) -> bytes:
    xsd = optional_import("ismrmrd.xsd", "mri", _NEEDS, error=AcquisitionError)
    n_samples = scan.lines.shape[-1]
    fov = scan.field_of_view_mm
    texts = dict(scan.texts)
    if scan.geometry is None:
        texts[UNKNOWN_POSITION] = UNKNOWN
    elif fov is None:
        sides = np.linalg.norm(scan.geometry.affine[:3, :3], axis=0) * scan.matrix
        fov = (float(sides[0]), float(sides[1]), float(sides[2]))
    if fov is None:
        texts[UNKNOWN_FIELD_OF_VIEW] = UNKNOWN
        fov = (float(scan.matrix[0]), float(scan.matrix[1]), float(scan.matrix[2]))

    def space(n_readout: int) -> Any:
        return xsd.encodingSpaceType(
            matrixSize=xsd.matrixSizeType(x=n_readout, y=scan.matrix[1], z=scan.matrix[2]),
            fieldOfView_mm=xsd.fieldOfViewMm(x=fov[0] * n_readout / scan.matrix[0], y=fov[1], z=fov[2]),
        )

    def limit(side: int, centre: int) -> Any:
        return xsd.limitType(minimum=0, maximum=side - 1, center=centre)

    limits = {f"kspace_encoding_step_{i}": limit(n, n // 2) for i, n in enumerate((n_samples, *scan.matrix[1:]))}
    for name in ("slice", "average", "repetition"):
        limits[name] = limit(int(getattr(scan, name).max(initial=0)) + 1, 0)
    numbers = {name: scan.parameters[name] for name in ("acceleration",) if name in scan.parameters}
    if scan.noise_std is not None:
        numbers["noise_std"] = scan.noise_std
    acceleration = max(1, min(LARGEST_COUNTER, round(float(numbers.get("acceleration", 1)))))
    mode = "embedded" if bool(scan.is_imaging.all()) else "separate"
    header = xsd.ismrmrdHeader(
        acquisitionSystemInformation=xsd.acquisitionSystemInformationType(receiverChannels=scan.n_coils),
        experimentalConditions=xsd.experimentalConditionsType(
            H1resonanceFrequency_Hz=round(float(scan.parameters.get("H1_resonance_frequency_Hz", 0)))
        ),
        encoding=[
            xsd.encodingType(
                encodedSpace=space(n_samples),
                reconSpace=space(scan.matrix[0]),
                encodingLimits=xsd.encodingLimitsType(**limits),
                trajectory=xsd.trajectoryType("cartesian"),
                parallelImaging=xsd.parallelImagingType(
                    accelerationFactor=xsd.accelerationFactorType(
                        kspace_encoding_step_1=acceleration, kspace_encoding_step_2=1
                    ),
                    calibrationMode=xsd.calibrationModeType(mode if scan.is_calibration.any() else "other"),
                ),
            )
        ],
        sequenceParameters=_sequence(xsd, scan.parameters),
        userParameters=xsd.userParametersType(
            userParameterDouble=[xsd.userParameterDoubleType(name=k, value=float(v)) for k, v in numbers.items()],
            userParameterString=[xsd.userParameterStringType(name=k, value=v) for k, v in texts.items()],
        ),
    )
    text: str = xsd.ToXML(header, encoding="utf-8")
    return text.encode()


def _sequence(xsd: Any, parameters: Mapping[str, Any]) -> Any:
    """TR, TE, TI in ms and the flip angle in degrees, as far as they are known."""
    values = {
        name: [float(value) for value in np.atleast_1d(parameters[key])]
        for name, key in (("TR", "TR_ms"), ("TE", "TE_ms"), ("TI", "TI_ms"), ("flipAngle_deg", "flip_angle_deg"))
        if key in parameters
    }
    return xsd.sequenceParametersType(**values) if values else None
