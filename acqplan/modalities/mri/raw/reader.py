"""Formats of what a scanner stored: their files say themselves which positions of which grid they hold."""

from __future__ import annotations

from abc import abstractmethod
from pathlib import Path

from acqplan.core.errors import AcquisitionError
from acqplan.formats.contracts import AcquiredReader
from acqplan.images.reading import ImageReader, RawImages
from acqplan.modalities.mri.raw.acquisitions import cartesian, scan_of, single
from acqplan.modalities.mri.raw.data import RawData
from acqplan.modalities.mri.raw.images import images_of
from acqplan.plan.plan import Plan
from acqplan.sensing.acquisition import Acquisition, Scan


class RawReader(AcquiredReader, ImageReader):
    """Raw data in: as acquired data of a plan, as images to train on, and without either."""

    modalities = ("cartesian_mri",)

    @abstractmethod
    def read_raw(self, path: Path) -> RawData:
        """What the file holds, whatever plan it was acquired with; `AcquisitionError` if it can't be read."""

    def read_acquired(self, path: Path, plan: Plan) -> Acquisition:
        return single(self.read_scan(path, plan))

    def read_scan(self, path: Path, plan: Plan) -> Scan:
        cartesian(plan, AcquisitionError)
        return scan_of(self.read_raw(path), plan)

    def read_images(self, path: Path) -> RawImages:
        """See `images_of`."""
        return images_of(path, self.read_raw)
