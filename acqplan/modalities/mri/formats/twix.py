"""Acquired Siemens raw data (twix, meas.dat) through the package twixtools."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from acqplan.core.errors import AcquisitionError, InstrumentError
from acqplan.core.registry import register
from acqplan.formats.base import Exported, Instrument
from acqplan.modalities.mri.formats.raw_scans import cartesian, scan_of, single
from acqplan.modalities.mri.raw import twix
from acqplan.plan.plan import Plan
from acqplan.sensing.acquisition import Acquisition, Scan


@register("instruments", "twix")
class Twix(Instrument):
    """Only read: the last measurement of the file. See `raw.twix` for what that was tested with."""

    summary = "Siemens twix (meas.dat): acquired raw data with noise scan, through twixtools; only read."
    modalities = ("cartesian_mri",)
    exports = False
    acquired_suffixes = (".dat",)
    writes_acquired = False

    def check(self, plan: Plan) -> list[str]:
        return ["Twix files hold no patterns."]

    def write(self, plan: Plan, folder: Path) -> dict[str, Any]:
        raise InstrumentError("Twix files hold no patterns.", "See acqplan formats.")

    def read(self, folder: Path) -> Exported:
        raise InstrumentError("Twix files hold no patterns.", "See acqplan formats.")

    @classmethod
    def recognises(cls, path: Path) -> bool:
        return twix.recognises(path)

    def read_acquired(self, path: Path, plan: Plan) -> Acquisition:
        return single(self.read_scan(path, plan))

    def read_scan(self, path: Path, plan: Plan) -> Scan:
        cartesian(plan, AcquisitionError)
        return scan_of(twix.read(path), plan)
