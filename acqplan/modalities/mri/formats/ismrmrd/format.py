"""ISMRMRD HDF5: the table of acquisitions that a console or simulator fills, and acquired raw data.

The exported ``acquisitions.h5`` holds the header (full grid, centre, Cartesian, acceleration) and one acquisition of
zeros for every readout, slice after slice within each step of the plan, in the plan's order. A simulator or console
fills the data and leaves the rest.

Acquired: 2D multi-slice scans for plans of lines, 3D scans for plans of points. See `reader`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from acqplan.core.errors import AcquisitionError, InstrumentError, OutputError
from acqplan.core.files import readable
from acqplan.core.optional import optional_import
from acqplan.core.registry import register
from acqplan.formats.contracts import Exported, ImageWriter, PatternFormat, Result, ScanWriter
from acqplan.formats.export import EXPORT_AGAIN, exported, pattern_of, read_manifest
from acqplan.modalities.mri.formats.ismrmrd import images, reader, writer
from acqplan.modalities.mri.raw.acquisitions import (
    cartesian,
    matrix_of,
    positions_of,
    raw_of,
    units_of,
)
from acqplan.modalities.mri.raw.data import RawData
from acqplan.modalities.mri.raw.reader import RawReader
from acqplan.modalities.mri.sensing import NO_POINTS_IN_2D
from acqplan.plan.plan import Plan
from acqplan.sensing.acquisition import Acquisition, Scan
from acqplan.sensing.pattern import earlier_readings

FILE = "acquisitions.h5"
MAX_TABLE_BYTES = 4 << 30


@register("image_readers", "ismrmrd")
@register("image_writers", "ismrmrd")
@register("instruments", "ismrmrd")
class Ismrmrd(PatternFormat, RawReader, ScanWriter, ImageWriter):
    """Header and table of acquisitions for a console or simulator; raw data back in.

    Parameters
    ----------
    channels
        Receive channels in the table.
    slices
        2D slices, each with all of the plan's lines.
    readout
        Samples along the readout of a 3D scan (points); None: as many as ky positions. Lines have the plan's columns.
    oversampling
        Samples per sample of the plan along the readout, 1 or 2.
    read_fov_mm, phase_fov_mm, slice_mm
        Field of view along readout and ky, and the slice's thickness (lines) or the field of view along kz (points).
        None: 1 mm a voxel, and the header says that the field of view is unknown.
    """

    summary = "ISMRMRD: header and acquisition table that a console or simulator fills; raw data with noise scan."
    acquired_suffixes = (".mrd", ".h5")
    title, asked = "ISMRMRD", 10
    image_suffixes, offered = (".mrd", ".h5"), 6
    is_whole = True

    def __init__(
        self,
        channels: int = 1,
        slices: int = 1,
        readout: int | None = None,
        oversampling: int = 1,
        read_fov_mm: float | None = None,
        phase_fov_mm: float | None = None,
        slice_mm: float | None = None,
    ) -> None:
        self.channels, self.slices, self.readout, self.oversampling = channels, slices, readout, oversampling
        self.fov = (read_fov_mm, phase_fov_mm, slice_mm)

    def check(self, plan: Plan) -> list[str]:
        sensing = cartesian(plan, InstrumentError)
        n_readout, n_ky, n_kz = self._matrix(plan)
        problems = [
            f"There can't be {value} {name}."
            for name, value in (("channels", self.channels), ("slices", self.slices), ("readout samples", n_readout))
            if value < 1
        ]
        if self.oversampling not in (1, 2):
            problems.append(f"The readout can't be oversampled {self.oversampling}-fold: 1 or 2.")
        if sensing.encoding == "points" and self.slices != 1:
            problems.append(f"A 3D scan (points) has one slab, not {self.slices} slices. {NO_POINTS_IN_2D}")
        if any(side is not None and not 0 < side < 1e6 for side in self.fov):
            problems.append("A field of view has to be positive, in millimetres.")
        n_given = sum(side is not None for side in self.fov)
        if n_given not in (0, 3):
            problems.append("Give read_fov_mm, phase_fov_mm and slice_mm together, or none of them.")
        problems += writer.overflows(
            samples=n_readout * self.oversampling,
            channels=self.channels,
            ky_positions=n_ky,
            kz_positions=n_kz,
            slices=self.slices,
            repeats=int(plan.pattern.counts.max()),
        )
        n_bytes = 8 * plan.pattern.n_readings * self.slices * self.channels * n_readout * self.oversampling
        if n_bytes > MAX_TABLE_BYTES:
            problems.append(
                f"The table would hold {n_bytes / (1 << 30):.1f} GiB of zeros; at most {MAX_TABLE_BYTES >> 30} GiB: "
                "reduce channels or slices."
            )
        return problems

    def write(self, plan: Plan, folder: Path) -> dict[str, Any]:
        optional_import("ismrmrd", "mri", "The format ismrmrd needs the package", error=InstrumentError)
        sensing = cartesian(plan, InstrumentError)
        order = np.repeat(plan.pattern.order, self.slices)
        ky, kz = positions_of(order, sensing)
        matrix = self._matrix(plan)
        shape = (order.size, self.channels, matrix[0] * self.oversampling)
        fov = [side for side in self.fov if side is not None]
        table = RawData(
            lines=np.broadcast_to(np.zeros(1, np.complex64), shape),
            ky=ky,
            kz=kz,
            slice=np.tile(np.arange(self.slices, dtype=np.int32), plan.pattern.n_readings),
            repetition=np.zeros(order.size, np.int32),
            average=np.repeat(earlier_readings(plan.pattern.order), self.slices),
            is_calibration=np.isin(order, plan.pattern.calibration),
            is_imaging=np.ones(order.size, bool),
            matrix=matrix,
            source="plan",
            field_of_view_mm=(fov[0], fov[1], fov[2]) if len(fov) == 3 else None,
            texts={"plan_id": plan.plan_id, "pattern_digest": plan.pattern.digest},
            parameters={"acceleration": plan.sensing.n_units / plan.pattern.n_readings},
        )
        writer.write(table, folder / FILE)
        return {
            "matrix": list(matrix),
            "channels": self.channels,
            "slices": self.slices,
            "oversampling": self.oversampling,
            "acquisitions": int(order.size),
        }

    def read(self, folder: Path) -> Exported:
        manifest = read_manifest(folder, self.kind)
        path = folder / FILE
        optional_import("ismrmrd", "mri", "The format ismrmrd needs the package", error=InstrumentError)
        try:
            raw = reader.read(path)
        except AcquisitionError as error:
            raise InstrumentError(error.problem, EXPORT_AGAIN) from error
        n_units = raw.matrix[1] * raw.matrix[2]
        order = units_of(raw, raw.lines_of(0))
        for i in range(1, raw.n_slices):
            if not np.array_equal(units_of(raw, raw.lines_of(i)), order):
                raise InstrumentError(f"{path} plays slice {i} in another order than slice 0.", EXPORT_AGAIN)
        if not order.size or list(raw.matrix) != manifest.get("matrix"):
            raise InstrumentError(f"{path} has another matrix than its manifest tells of.", EXPORT_AGAIN)
        marked = np.unique(units_of(raw, np.flatnonzero(raw.is_calibration)))
        with readable(path, InstrumentError, EXPORT_AGAIN):
            pattern = pattern_of(order, n_units, marked)
        if raw.texts.get("plan_id") != manifest["plan_id"] or raw.texts.get("pattern_digest") != pattern.digest:
            raise InstrumentError(f"{path} belongs to another plan than its manifest, or was changed.", EXPORT_AGAIN)
        return exported(pattern, manifest, path, {"matrix": list(raw.matrix), "slices": raw.n_slices})

    @classmethod
    def recognises(cls, path: Path) -> bool:
        return reader.recognises(path)

    def write_acquired(self, acquisition: Acquisition, plan: Plan, path: Path) -> None:
        self.write_scan(Scan([acquisition], acquisition.source, acquisition.geometry), plan, path)

    def write_scan(self, scan: Scan, plan: Plan, path: Path) -> None:
        """Slices of lines, or the positions along a 3D scan's readout, which is transformed back to k-space."""
        writer.write(raw_of(scan, plan), path)

    def read_raw(self, path: Path) -> RawData:
        return reader.read(path)

    def matches(self, path: Path, head: bytes) -> bool:
        """HDF5 whose data set holds a header and acquisitions."""
        return reader.recognises(path)

    def check_installed(self) -> None:
        optional_import("ismrmrd", "mri", images.NEEDS, error=OutputError)

    def write_images(self, result: Result, path: Path) -> None:
        images.write(result, path)

    def _matrix(self, plan: Plan) -> tuple[int, int, int]:
        sensing = cartesian(plan, InstrumentError)
        return matrix_of(sensing, sensing.image_shape[0] if self.readout is None else self.readout)
