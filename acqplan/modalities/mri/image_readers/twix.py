"""Fully sampled Siemens raw data (twix, meas.dat)."""

from __future__ import annotations

from pathlib import Path

from acqplan.images.readers.base import RawImages
from acqplan.modalities.mri.image_readers.raw_kspace import images_of
from acqplan.modalities.mri.raw import twix


def matches(path: Path, head: bytes) -> bool:
    """A table of measurements, or one measurement's header, at the start."""
    return twix.recognises(path)


def read(path: Path) -> RawImages:
    """See `raw_kspace.images_of`; what was tested is said in `acqplan.modalities.mri.raw.twix`."""
    return images_of(path, twix.read)
