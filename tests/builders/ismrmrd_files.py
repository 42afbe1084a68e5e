"""ISMRMRD files written with the package ismrmrd, acquisition by acquisition: independent of acqplan's own writer."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import ismrmrd
import numpy as np
import numpy.typing as npt
from ismrmrd import xsd

LPS = np.diag([-1.0, -1.0, 1.0])


def header(
    encoded: tuple[int, int, int],
    recon: tuple[int, int, int],
    *,
    fov: tuple[float, float, float] = (240.0, 200.0, 5.0),
    limits: Mapping[int, tuple[int, int, int]] | None = None,
    trajectory: str = "cartesian",
    calibration_mode: str | None = None,
    **others: Any,
) -> Any:
    """A header; ``fov`` without oversampling, ``limits`` {axis: (minimum, maximum, centre)}."""
    limits = {1: (0, encoded[1] - 1, encoded[1] // 2), 2: (0, encoded[2] - 1, encoded[2] // 2)} | dict(limits or {})
    oversampled = (fov[0] * encoded[0] / recon[0], fov[1], fov[2])
    parallel = None
    if calibration_mode:
        parallel = xsd.parallelImagingType(
            accelerationFactor=xsd.accelerationFactorType(kspace_encoding_step_1=2, kspace_encoding_step_2=1),
            calibrationMode=xsd.calibrationModeType(calibration_mode),
        )
    encoding = xsd.encodingType(
        encodedSpace=space(encoded, oversampled),
        reconSpace=space(recon, fov),
        encodingLimits=xsd.encodingLimitsType(
            **{
                f"kspace_encoding_step_{axis}": xsd.limitType(minimum=low, maximum=high, center=centre)
                for axis, (low, high, centre) in limits.items()
            }
        ),
        trajectory=xsd.trajectoryType(trajectory),
        parallelImaging=parallel,
    )
    return xsd.ismrmrdHeader(
        experimentalConditions=xsd.experimentalConditionsType(H1resonanceFrequency_Hz=123_000_000),
        encoding=[encoding],
        **others,
    )


def space(matrix: tuple[int, int, int], fov: tuple[float, float, float]) -> Any:
    return xsd.encodingSpaceType(
        matrixSize=xsd.matrixSizeType(x=matrix[0], y=matrix[1], z=matrix[2]),
        fieldOfView_mm=xsd.fieldOfViewMm(x=fov[0], y=fov[1], z=fov[2]),
    )


def acquisition(
    data: npt.NDArray[np.complex64], *, flags: Iterable[int] = (), centre: int | None = None, **fields: Any
) -> ismrmrd.Acquisition:
    """One readout [coils, samples]; ``fields`` are counters (ky, kz, slice, …) or fields of the acquisition's head."""
    made = ismrmrd.Acquisition.from_array(np.ascontiguousarray(data, np.complex64))
    made.center_sample = data.shape[1] // 2 if centre is None else centre
    made.sample_time_us = 5.0
    for flag in flags:
        made.setFlag(flag)
    counters = {"ky": "kspace_encode_step_1", "kz": "kspace_encode_step_2"}
    for name, value in fields.items():
        counter = counters.get(name, name)
        if hasattr(made.idx, counter):
            setattr(made.idx, counter, value)
        elif isinstance(value, list | tuple | np.ndarray):
            getattr(made, name)[:] = value
        else:
            setattr(made, name, value)
    return made


def write(path: Path, xml: Any, acquisitions: Iterable[ismrmrd.Acquisition]) -> Path:
    """Write them with the package's own `Dataset`; ``xml`` None leaves the header out."""
    with ismrmrd.Dataset(str(path), "dataset", mode="w") as dataset:
        if xml is not None:
            dataset.write_xml_header(xml if isinstance(xml, bytes) else xsd.ToXML(xml, encoding="utf-8").encode())
        for each in acquisitions:
            dataset.append_acquisition(each)
    return path


def kspace_of(images: npt.NDArray[Any], axes: tuple[int, ...] = (-2, -1)) -> npt.NDArray[np.complex64]:
    """Centred orthonormal FFT, by NumPy."""
    shifted = np.fft.ifftshift(images, axes=axes)
    return np.fft.fftshift(np.fft.fftn(shifted, axes=axes, norm="ortho"), axes=axes).astype(np.complex64)


def images_of(kspace: npt.NDArray[Any], axes: tuple[int, ...] = (-2, -1)) -> npt.NDArray[np.complex64]:
    """Inverse of `kspace_of`."""
    shifted = np.fft.ifftshift(kspace, axes=axes)
    return np.fft.fftshift(np.fft.ifftn(shifted, axes=axes, norm="ortho"), axes=axes).astype(np.complex64)


def coil_images(n_coils: int, rows: int, columns: int, seed: int = 0) -> npt.NDArray[np.complex64]:
    """Random smooth-ish coil images[n_coils, rows, columns] (ky, readout)."""
    rng = np.random.default_rng(seed)
    values = rng.standard_normal((2, n_coils, rows, columns))
    return (values[0] + 1j * values[1]).astype(np.complex64)


def smooth(*shape: int, seed: int = 0) -> npt.NDArray[np.complex64]:
    """Complex images with their energy at low frequencies, as objects have it."""
    rng = np.random.default_rng(seed)
    values = rng.standard_normal((2, *shape))
    images = 0.1 * (values[0] + 1j * values[1]) + 1.0
    images[..., : shape[-2] // 4, :] *= 0.3
    return images.astype(np.complex64)


def oversampled(images: npt.NDArray[np.complex64], factor: int = 2) -> npt.NDArray[np.complex64]:
    """k-space [coils, ky, factor·readout] of images[coils, ky, readout] that are empty outside."""
    *lead, columns = images.shape
    wide = np.zeros((*lead, factor * columns), np.complex64)
    start = factor * columns // 2 - columns // 2
    wide[..., start : start + columns] = images
    return kspace_of(wide)
