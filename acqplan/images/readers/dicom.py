"""DICOM magnitude images through pydicom (extra ``mri``): a file, or all files of one series as a volume."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from acqplan.core.errors import ImageError
from acqplan.images.readers.base import RawImages, as_stack, unreadable
from acqplan.modalities.mri.raw.extra import library
from acqplan.sensing.acquisition import Geometry

_SAME_PLACE_MM = 0.01


@dataclass(frozen=True, eq=False)
class _Plane:
    """One image and where it lies: position of its first pixel, directions of rows and columns; LPS, mm."""

    pixels: npt.NDArray[Any]
    position: npt.NDArray[np.float64] | None
    orientation: npt.NDArray[np.float64] | None
    spacing: tuple[float, float, float]


def matches(path: Path, head: bytes) -> bool:
    """DICOM's magic number behind its preamble."""
    return is_dicom(head)


def is_dicom(head: bytes) -> bool:
    """Whether a file that starts with these bytes is DICOM."""
    return head[128:132] == b"DICM"


def read(path: Path) -> RawImages:
    """The image or frames of one file."""
    return read_series([path])


def series_of(path: Path) -> tuple[str, str]:
    """(identity of the series, a name of the patient that tells nobody who it is); `ImageError` if damaged."""
    pydicom = library("pydicom", f"{path} is a DICOM file and", ImageError)
    try:
        found = pydicom.dcmread(path, stop_before_pixels=True, specific_tags=["SeriesInstanceUID", "PatientID"])
        series, patient = str(found.get("SeriesInstanceUID", "")), str(found.get("PatientID", ""))
    except Exception as error:
        raise unreadable(path, "DICOM", error) from error
    return series, f"patient-{sha256(patient.encode()).hexdigest()[:8]}" if patient else ""


def read_series(paths: Sequence[Path]) -> RawImages:
    """All images of a series, ordered along their normal, rescaled to the stored units.

    Raises
    ------
    ImageError
        Colour or phase images, lossy compression, images of different sizes or orientations, several images of
        one place, a damaged file, or pydicom isn't installed.
    """
    planes = [plane for path in paths for plane in _planes(path)]
    first, source = planes[0], paths[0]
    if any(plane.pixels.shape != first.pixels.shape for plane in planes):
        raise ImageError(
            f"The series of {source} has images of different sizes.", "Put each kind of image into a folder of its own."
        )
    located = [p for p in planes if p.position is not None and p.orientation is not None]
    if len(located) < len(planes):
        warning = ("its header states no position in space",)
        return RawImages(as_stack(np.stack([p.pixels for p in planes]), source), None, warning)
    return _volume(located, source)


def _volume(planes: list[_Plane], source: Path) -> RawImages:
    orientation = planes[0].orientation
    assert orientation is not None
    if not all(np.allclose(p.orientation, orientation, atol=1e-3) for p in planes if p.orientation is not None):
        raise ImageError(
            f"The series of {source} has images of different orientations.",
            "Put each orientation (a scout's, for example) into a folder of its own, or leave it out.",
        )
    columns, rows = orientation[:3], orientation[3:]  # directions in which the column and the row index increase
    normal = np.cross(columns, rows)
    positions = np.stack([p.position for p in planes if p.position is not None])
    along = positions @ normal
    order = np.argsort(along, kind="stable")
    steps = np.diff(along[order])
    if (steps < _SAME_PLACE_MM).any():
        raise ImageError(
            f"The series of {source} has several images of one place (echoes, times or parts).",
            "Put each of them into a folder of its own.",
        )
    images = as_stack(np.stack([planes[i].pixels for i in order]), source)
    spacing = planes[0].spacing
    step = normal * spacing[2]
    warnings: tuple[str, ...] = ()
    if len(planes) > 1:
        step = (positions[order[-1]] - positions[order[0]]) / (len(planes) - 1)
        even = positions[order[0]] + np.arange(len(planes))[:, None] * step
        if not np.allclose(positions[order], even, atol=0.1):
            return RawImages(images, None, ("its slices aren't evenly spaced: the position in space is left out",))
    affine = np.eye(4)
    affine[:3, :3] = np.stack([rows * spacing[0], columns * spacing[1], step], axis=1)
    affine[:3, 3] = positions[order[0]]
    affine[:2] *= -1
    return RawImages(images, Geometry(affine), warnings)


def _planes(path: Path) -> list[_Plane]:
    pydicom = library("pydicom", f"{path} is a DICOM file and", ImageError)
    try:
        data = pydicom.dcmread(path)
        _check(data, path)
        pixels = np.asarray(data.pixel_array)
        n_frames = int(data.get("NumberOfFrames", 1) or 1)
        frames = pixels.reshape(n_frames, *pixels.shape[-2:])
        return [_plane(data, frames[i], i) for i in range(n_frames)]
    except ImageError:
        raise
    except Exception as error:
        raise unreadable(path, "DICOM", error) from error


def _check(data: Any, path: Path) -> None:
    if int(data.get("SamplesPerPixel", 1)) != 1 or not str(data.PhotometricInterpretation).startswith("MONOCHROME"):
        raise ImageError(f"{path} is a DICOM colour picture.", "Leave it out.")
    if str(data.get("LossyImageCompression", "00")) == "01":
        raise ImageError(
            f"{path} was compressed with losses.",
            "Its compression would be learned as anatomy: use the uncompressed original.",
        )
    kinds = {str(kind).upper() for kind in data.get("ImageType", [])}
    if kinds & {"P", "PHASE", "PHASE MAP"}:
        raise ImageError(f"{path} is a phase image, not a magnitude.", "Leave it out.")


def _plane(data: Any, stored: npt.NDArray[Any], frame: int) -> _Plane:
    groups = _groups(data, frame)

    def value(name: str, default: Any = None) -> Any:
        for group in groups:
            if group.get(name) is not None:
                return group.get(name)
        return default

    pixels = stored.astype(np.float32)
    if str(data.PhotometricInterpretation) == "MONOCHROME1":
        pixels = np.float32((1 << int(data.BitsStored)) - 1) - pixels
    pixels = pixels * np.float32(value("RescaleSlope", 1)) + np.float32(value("RescaleIntercept", 0))
    position, orientation = value("ImagePositionPatient"), value("ImageOrientationPatient")
    row_spacing, column_spacing = (float(side) for side in value("PixelSpacing", (1, 1)))
    thickness = float(value("SpacingBetweenSlices") or value("SliceThickness") or 1)
    return _Plane(
        pixels,
        None if position is None else np.array(position, np.float64),
        None if orientation is None else np.array(orientation, np.float64),
        (row_spacing, column_spacing, abs(thickness)),
    )


def _groups(data: Any, frame: int) -> list[Any]:
    """Where attributes of a frame are looked for: its functional groups, the shared ones, the file itself."""
    found = []
    per_frame, shared = data.get("PerFrameFunctionalGroupsSequence"), data.get("SharedFunctionalGroupsSequence")
    for group in ([per_frame[frame]] if per_frame else []) + ([shared[0]] if shared else []):
        found += [element.value[0] for element in group if element.VR == "SQ" and len(element.value)]
    return [*found, data]
