"""DICOM: a folder with one file for each image, ``0000.dcm``, ``0001.dcm``, …, and ``acqplan.json`` with the stamp.

Images whose position is known become MR Image Storage, with ImagePositionPatient and ImageOrientationPatient of each
(LPS, mm); others Secondary Capture Image Storage, without a position. Pixels are 16-bit whole numbers; RescaleSlope
and RescaleIntercept, the same in all files, give back the values. Nothing is said of the patient: those elements are
empty. ImageComments holds the plan's id, the private block "acqplan" of group 0099 the stamp as JSON. Identifiers are
derived from the plan and the pixels, so that the same reconstruction gets the same ones.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np

from acqplan.core.errors import OutputError
from acqplan.formats.image_files.base import Result, window
from acqplan.formats.image_files.optional import mri_package
from acqplan.formats.image_files.orientation import Placement, placed

MARK = "acqplan.json"
_MOST = 65535
_MR_IMAGE = "1.2.840.10008.5.1.4.1.1.4"
_SECONDARY_CAPTURE = "1.2.840.10008.5.1.4.1.1.7"
_PRIVATE_GROUP, _PRIVATE_CREATOR = 0x0099, "acqplan"


def check_installed() -> None:
    """Raise `OutputError` without the package pydicom."""
    mri_package("pydicom")


def write(result: Result, folder: Path) -> None:
    """Files numbered in the order of the images. Magnitude or phase: complex values have no place."""
    low, high = window(result)
    low = min(low, float(result.images.min()))
    slope = (high - low) / _MOST
    place = None if result.geometry is None else placed(result.geometry)
    study = _Study(result, slope, low, place)
    digits = max(4, len(str(len(result.images) - 1)))
    for i in range(len(result.images)):
        study.dataset(i).save_as(folder / f"{i:0{digits}}.dcm", enforce_file_format=True)
    (folder / MARK).write_text(json.dumps(result.stamp, indent=2) + "\n", encoding="utf-8")


class _Study:
    """What all files of one reconstruction have in common."""

    def __init__(self, result: Result, slope: float, intercept: float, place: Placement | None) -> None:
        self._pydicom, self._uid = mri_package("pydicom"), mri_package("pydicom.uid")
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
