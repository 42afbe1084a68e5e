"""acqplan's own HDF5 files: patterns, and acquired data with everything that belongs to them.

pattern.h5     attributes   format, format_version, plan_id, pattern_digest, n_units, sensing (JSON)
               datasets     order int32[n], calibration int32[m], counts int32[*grid], mask uint8[*grid]
acquired.h5    attributes   format, format_version, plan_id, pattern_digest, source
               datasets     readings[n, *reading_shape], and where known order int32[n],
                            coil_maps complex64[C, *image_shape], affine float64[4, 4]

A scan of several images has format version 2, an attribute n_images, readings[images, n, *reading_shape], the affine of
the volume, and coil_maps either as above, for all images, or [images, C, *image_shape].

Reconstructed images are a dataset ``image`` [rows, columns] or [n, rows, columns], and ``affine`` of the volume; the
stamp becomes attributes, its texts of fixed length.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt

from acqplan.core.errors import AcquisitionError, InstrumentError
from acqplan.core.files import readable
from acqplan.core.hdf5 import MAGIC, hdf5_file, numbers_of, opened, set_text, text_of
from acqplan.core.registry import register
from acqplan.formats.acquired import (
    ARRAYS,
    FRESH_COPY,
    MAX_BYTES,
    OTHER_FILE,
    TEXTS,
    acquisition_from,
    fields_of,
    fields_of_scan,
    first_bytes,
    one_image_of,
    scan_from,
)
from acqplan.formats.contracts import AcquiredReader, Exported, ImageWriter, PatternFormat, Result, ScanWriter
from acqplan.formats.export import EXPORT_AGAIN, exported, pattern_of, read_manifest
from acqplan.plan.file import canonical_json
from acqplan.plan.plan import Plan
from acqplan.sensing.acquisition import Acquisition, Scan

FORMAT_VERSION = 1
_SEVERAL_IMAGES = 2  # format version of a scan of several images
_PATTERN = "acqplan-pattern"
_ACQUIRED = "acqplan-acquired"


@register("image_writers", "hdf5")
@register("instruments", "hdf5")
class Hdf5Files(PatternFormat, AcquiredReader, ScanWriter, ImageWriter):
    """``pattern.h5`` and acquired ``.h5``, laid out as above; no pickle, no links, nothing outside the file."""

    summary = "acqplan's HDF5: pattern, and acquired data with coil maps and geometry (the default of simulate)."
    acquired_suffixes = (".h5", ".hdf5")
    image_suffixes, offered = (".h5", ".hdf5"), 4
    is_whole = True

    def check(self, plan: Plan) -> list[str]:
        return []

    def write(self, plan: Plan, folder: Path) -> dict[str, Any]:
        pattern, grid = plan.pattern, plan.sensing.grid_shape
        with hdf5_file(folder / "pattern.h5") as file:
            set_text(file, "format", _PATTERN)
            file.attrs["format_version"] = FORMAT_VERSION
            set_text(file, "plan_id", plan.plan_id)
            set_text(file, "pattern_digest", pattern.digest)
            file.attrs["n_units"] = pattern.n_units
            set_text(file, "sensing", canonical_json({"kind": plan.sensing.kind, **plan.sensing.spec()}))
            file.create_dataset("order", data=pattern.order)
            file.create_dataset("calibration", data=pattern.calibration)
            file.create_dataset("counts", data=pattern.counts.reshape(grid))
            file.create_dataset("mask", data=pattern.mask.reshape(grid).astype(np.uint8))
        return {}

    def read(self, folder: Path) -> Exported:
        manifest = read_manifest(folder, self.kind)
        path = folder / "pattern.h5"
        with readable(path, InstrumentError, EXPORT_AGAIN), opened(path) as file:
            _check_format(file, _PATTERN)
            stated = {name: text_of(file, name) for name in ("plan_id", "pattern_digest")}
            arrays = {name: _array(file, name) for name in ("order", "calibration", "counts", "mask")}
            pattern = pattern_of(arrays["order"], int(file.attrs["n_units"]), arrays["calibration"])
        for name, derived in (("counts", pattern.counts), ("mask", pattern.mask)):
            if not np.array_equal(arrays[name].ravel(), derived):
                raise InstrumentError(f"{path} contradicts itself: {name} isn't that of its order.", EXPORT_AGAIN)
        if stated != {"plan_id": manifest["plan_id"], "pattern_digest": pattern.digest}:
            raise InstrumentError(f"{path} belongs to another plan than its manifest, or was changed.", EXPORT_AGAIN)
        return exported(pattern, manifest, path)

    @classmethod
    def recognises(cls, path: Path) -> bool:
        try:
            with readable(path, AcquisitionError, ""), opened(path) as file:
                return "format" in file.attrs and text_of(file, "format") == _ACQUIRED
        except AcquisitionError:
            return False

    def write_acquired(self, acquisition: Acquisition, plan: Plan, path: Path) -> None:
        _write(path, *fields_of(acquisition, plan), None)

    def read_acquired(self, path: Path, plan: Plan) -> Acquisition:
        return one_image_of(self.read_scan(path, plan))

    def write_scan(self, scan: Scan, plan: Plan, path: Path) -> None:
        _write(path, *fields_of_scan(scan, plan), len(scan.acquisitions))

    def read_scan(self, path: Path, plan: Plan) -> Scan:
        if first_bytes(path, len(MAGIC)) != MAGIC:
            raise AcquisitionError(f"{path} is no HDF5 file.", OTHER_FILE)
        with readable(path, AcquisitionError, FRESH_COPY), opened(path) as file:
            _check_format(file, _ACQUIRED, _SEVERAL_IMAGES)
            texts = {name: text_of(file, name) for name in TEXTS if name in file.attrs}
            stored = set(file)  # the names alone: nothing is followed
            arrays = {name: _array(file, name) for name in ARRAYS if name in stored}
            n_images = int(file.attrs["n_images"]) if "n_images" in file.attrs else None
        if n_images is not None:
            return scan_from(arrays, texts, n_images, path, plan)
        acquisition = acquisition_from(arrays, texts, path, plan)
        return Scan([acquisition], acquisition.source, acquisition.geometry)

    def write_images(self, result: Result, path: Path) -> None:
        with hdf5_file(path) as file:
            for name, value in result.stamp.items():
                if isinstance(value, str):
                    set_text(file, name, value)
                else:
                    file.attrs[name] = value
            file.create_dataset("image", data=result.array)
            if result.geometry is not None:
                file.create_dataset("affine", data=result.geometry.affine)


def _write(path: Path, arrays: dict[str, npt.NDArray[Any]], texts: dict[str, str], n_images: int | None) -> None:
    with hdf5_file(path) as file:
        set_text(file, "format", _ACQUIRED)
        file.attrs["format_version"] = FORMAT_VERSION if n_images is None else _SEVERAL_IMAGES
        for name, text in texts.items():
            set_text(file, name, text)
        if n_images is not None:
            file.attrs["n_images"] = n_images
        for name, array in arrays.items():
            file.create_dataset(name, data=array)


def _check_format(file: h5py.File, expected: str, newest: int = FORMAT_VERSION) -> None:
    """Raise `ValueError` unless the file says that it is ``expected``, of a version up to ``newest``."""
    found = text_of(file, "format") if "format" in file.attrs else None
    if found != expected:
        raise ValueError(f"it is no {expected} file" + (f" but {found}" if found is not None else ""))
    version = file.attrs.get("format_version", 0)
    if int(version) > newest:
        raise ValueError(f"its format version is {int(version)}, this acqplan knows {newest}")


def _array(file: h5py.File, name: str) -> npt.NDArray[Any]:
    return numbers_of(file, name, most=MAX_BYTES)
