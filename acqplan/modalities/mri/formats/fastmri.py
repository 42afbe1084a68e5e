"""Acquired fastMRI HDF5: k-space with a mask of the measured columns, which are ky."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from acqplan.core.errors import AcquisitionError, InstrumentError
from acqplan.core.registry import register
from acqplan.formats.base import Exported, Instrument
from acqplan.modalities.mri.formats.raw_scans import cartesian, scan_of, single
from acqplan.modalities.mri.raw import fastmri
from acqplan.plan.plan import Plan
from acqplan.sensing.acquisition import Acquisition, Scan


@register("instruments", "fastmri")
class FastMRI(Instrument):
    """Only read: slices of ``kspace``, columns in ``mask`` as lines of a plan; the file states no order."""

    summary = "fastMRI HDF5: acquired k-space, single- or multi-coil, and its mask; only read."
    modalities = ("cartesian_mri",)
    exports = False
    acquired_suffixes = (".h5",)
    writes_acquired = False

    def check(self, plan: Plan) -> list[str]:
        return ["fastMRI files hold no patterns."]

    def write(self, plan: Plan, folder: Path) -> dict[str, Any]:
        raise InstrumentError("fastMRI files hold no patterns.", "See acqplan formats.")

    def read(self, folder: Path) -> Exported:
        raise InstrumentError("fastMRI files hold no patterns.", "See acqplan formats.")

    @classmethod
    def recognises(cls, path: Path) -> bool:
        return fastmri.recognises(path)

    def read_acquired(self, path: Path, plan: Plan) -> Acquisition:
        return single(self.read_scan(path, plan))

    def read_scan(self, path: Path, plan: Plan) -> Scan:
        cartesian(plan, AcquisitionError)
        return scan_of(fastmri.read(path), plan)
