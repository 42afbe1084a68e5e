"""DICOM through pydicom (extra ``mri``).

In: magnitude images, a file, or all files of one series as a volume.

Out: a folder with one file for each image, ``0000.dcm``, ``0001.dcm``, …, and ``acqplan.json`` with the stamp. Images
whose position is known become MR Image Storage, with ImagePositionPatient and ImageOrientationPatient of each
(LPS, mm); others Secondary Capture Image Storage, without a position. Pixels are 16-bit whole numbers; RescaleSlope and
RescaleIntercept, the same in all files, give back the values. Nothing is said of the patient: those elements are empty.
ImageComments holds the plan's id, the private block "acqplan" of group 0099 the stamp as JSON. Identifiers are derived
from the plan and the pixels, so that the same reconstruction gets the same ones.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from acqplan.core.errors import ImageError, OutputError
from acqplan.core.optional import optional_import
from acqplan.core.registry import register
from acqplan.formats.contracts import ImageWriter, Result
from acqplan.formats.orientation import Placement, placed
from acqplan.images.reading import RawImages, SeriesReader, as_stack, unreadable
from acqplan.sensing.acquisition import Geometry

_SAME_PLACE_MM = 0.01
MARK = "acqplan.json"
_NEEDS = "These images need the package"
_MOST = 65535
_MR_IMAGE = "1.2.840.10008.5.1.4.1.1.4"
_SECONDARY_CAPTURE = "1.2.840.10008.5.1.4.1.1.7"
_PRIVATE_GROUP, _PRIVATE_CREATOR = 0x0099, "acqplan"


@register("image_readers", "dicom")
@register("image_writers", "dicom")
class Dicom(SeriesReader, ImageWriter):
    """Magnitude images in; magnitude or phase out, as complex values have no place."""

    title, asked = "DICOM", 4
    image_suffixes = ()
    holds_complex = False
    folder_mark = MARK

    def matches(self, path: Path, head: bytes) -> bool:
        """DICOM's magic number behind its preamble."""
        return head[128:132] == b"DICM"

    def read_images(self, path: Path) -> RawImages:
        """The image or frames of one file."""
        return self.read_series([path])

    def series_of(self, path: Path) -> tuple[str, str]:
        """(identity of the series, a name of the patient that tells nobody who it is); `ImageError` if damaged."""
        pydicom = optional_import("pydicom", "dicom", f"{path} is a DICOM file and needs the package", error=ImageError)
        try:
            found = pydicom.dcmread(path, stop_before_pixels=True, specific_tags=["SeriesInstanceUID", "PatientID"])
            series, patient = str(found.get("SeriesInstanceUID", "")), str(found.get("PatientID", ""))
        except Exception as error:
            raise unreadable(path, "DICOM", error) from error
        return series, f"patient-{hashlib.sha256(patient.encode()).hexdigest()[:8]}" if patient else ""

    def read_series(self, paths: Sequence[Path]) -> RawImages:
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
                f"The series of {source} has images of different sizes.",
                "Put each kind of image into a folder of its own.",
            )
        located = [p for p in planes if p.position is not None and p.orientation is not None]
        if len(located) < len(planes):
            warning = ("its header states no position in space",)
            return RawImages(as_stack(np.stack([p.pixels for p in planes]), source), None, warning)
        return _volume(located, source)

    def check_installed(self) -> None:
        optional_import("pydicom", "dicom", _NEEDS, error=OutputError)

    def write_images(self, result: Result, path: Path) -> None:
        """Files numbered in the order of the images."""
        low, high = result.window
        low = min(low, float(result.images.min()))
        slope = (high - low) / _MOST
        place = None if result.geometry is None else placed(result.geometry)
        study = _Study(result, slope, low, place)
        digits = max(4, len(str(len(result.images) - 1)))
        for i in range(len(result.images)):
            study.dataset(i).save_as(path / f"{i:0{digits}}.dcm", enforce_file_format=True)
        (path / MARK).write_text(json.dumps(result.stamp, indent=2) + "\n", encoding="utf-8")


@dataclass(frozen=True, eq=False)
class _Plane:
    """One image and where it lies: position of its first pixel, directions of rows and columns; LPS, mm."""

    pixels: npt.NDArray[Any]
    position: npt.NDArray[np.float64] | None
    orientation: npt.NDArray[np.float64] | None
    spacing: tuple[float, float, float]


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
    pydicom = optional_import("pydicom", "dicom", f"{path} is a DICOM file and needs the package", error=ImageError)
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


def numbers_of(text: Any) -> list[float]:
    """The numbers of ``1,2.5`` that a stamp states; none of what isn't written so."""
    try:
        return [float(part) for part in str(text).split(",")]
    except ValueError:
        return []


class _Study:
    """What all files of one reconstruction have in common."""

    def __init__(self, result: Result, slope: float, intercept: float, place: Placement | None) -> None:
        self._pydicom, self._uid = (
            optional_import(name, "dicom", _NEEDS, error=OutputError) for name in ("pydicom", "pydicom.uid")
        )
        self._result, self._slope, self._intercept, self._place = result, slope, intercept, place
        pixels = hashlib.sha256(np.ascontiguousarray(result.images).tobytes()).hexdigest()
        self._entropy = [json.dumps(result.stamp, sort_keys=True), pixels]

    def _identifier(self, what: str) -> Any:
        return self._uid.generate_uid(entropy_srcs=[*self._entropy, what])

    def dataset(self, i: int) -> Any:
        """The DICOM data set of image ``i``."""
        stamp = self._result.stamp
        ds = self._pydicom.Dataset()
        ds.file_meta = self._pydicom.dataset.FileMetaDataset()
        ds.file_meta.TransferSyntaxUID = self._uid.ExplicitVRLittleEndian
        ds.SpecificCharacterSet = "ISO_IR 192"
        ds.SOPClassUID = _SECONDARY_CAPTURE if self._place is None else _MR_IMAGE
        ds.SOPInstanceUID = self._identifier(f"image {i}")
        ds.file_meta.MediaStorageSOPClassUID = ds.SOPClassUID
        ds.file_meta.MediaStorageSOPInstanceUID = ds.SOPInstanceUID
        ds.StudyInstanceUID, ds.SeriesInstanceUID = self._identifier("study"), self._identifier("series")
        for empty in _EMPTY:
            setattr(ds, empty, "")
        ds.SeriesNumber, ds.InstanceNumber = 1, i + 1
        ds.SeriesDescription = f"acqplan {stamp['plan_id'][:12]} {stamp['part']}"
        ds.SoftwareVersions = str(stamp.get("software", "acqplan"))[:64]
        ds.ImageComments = f"acqplan {stamp['plan_id']}"
        ds.BurnedInAnnotation = "NO"
        ds.ImageType = ["DERIVED", "PRIMARY", "OTHER", {"phase": "P"}.get(stamp["part"], "M")]
        if self._place is None:
            ds.Modality, ds.ConversionType = "OT", "WSD"
            row_mm, column_mm, *_ = numbers_of(stamp.get("voxel_mm")) or (None, None)
            if row_mm is not None and column_mm is not None:
                ds.PixelSpacing = self._decimals(row_mm, column_mm)
        else:
            self._say_position(ds, self._place, i)
        self._say_pixels(ds, i)
        block = ds.private_block(_PRIVATE_GROUP, _PRIVATE_CREATOR, create=True)
        block.add_new(0x01, "UT", json.dumps(stamp))
        return ds

    def _say_position(self, ds: Any, place: Placement, i: int) -> None:
        """Position, and what MR Image Storage demands besides; research sequences are called RM there."""
        ds.Modality = "MR"
        ds.ScanningSequence, ds.SequenceVariant, ds.MRAcquisitionType = "RM", "NONE", ""
        for empty in ("ScanOptions", "RepetitionTime", "EchoTime", "EchoTrainLength", "PatientPosition"):
            setattr(ds, empty, None)
        for name, stated in (("EchoTime", "TE_ms"), ("RepetitionTime", "TR_ms")):
            for value in numbers_of(self._result.stamp.get(stated))[:1]:
                setattr(ds, name, self._decimals(value)[0])
        ds.FrameOfReferenceUID = self._identifier("frame of reference")
        ds.PositionReferenceIndicator = ""
        ds.ImagePositionPatient = self._decimals(*place.corner(i))
        ds.ImageOrientationPatient = self._decimals(*place.along_columns, *place.along_rows)
        ds.PixelSpacing = self._decimals(place.row_mm, place.column_mm)
        ds.SliceThickness, ds.SpacingBetweenSlices = self._decimals(place.slice_mm, place.slice_mm)
        ds.SliceLocation = self._decimals(float(place.corner(i) @ place.normal))[0]

    def _say_pixels(self, ds: Any, i: int) -> None:
        image = self._result.images[i]
        whole = np.round((image - self._intercept) / self._slope).clip(0, _MOST).astype(np.uint16)
        ds.RescaleIntercept, ds.RescaleSlope = self._decimals(self._intercept, self._slope)
        ds.RescaleType = "US"
        ds.WindowCenter, ds.WindowWidth = self._decimals(
            self._intercept + self._slope * _MOST / 2, max(self._slope * _MOST, 1e-12)
        )
        ds.set_pixel_data(whole, "MONOCHROME2", 16)

    def _decimals(self, *values: float) -> list[Any]:
        """Decimal strings, of at most 16 characters as DICOM has them."""
        if not np.isfinite(values).all():
            raise OutputError("The images or their geometry hold values that aren't finite.", "Write NumPy or HDF5.")
        return [self._pydicom.valuerep.DSfloat(float(value), auto_format=True) for value in values]


_EMPTY = (
    "PatientName",
    "PatientID",
    "PatientBirthDate",
    "PatientSex",
    "StudyDate",
    "StudyTime",
    "StudyID",
    "AccessionNumber",
    "ReferringPhysicianName",
    "Manufacturer",
)
