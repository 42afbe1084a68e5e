"""ISMRMRD raw data, fully sampled."""

from __future__ import annotations

from pathlib import Path

from acqplan.images.readers.base import RawImages
from acqplan.modalities.mri.image_readers.raw_kspace import images_of
from acqplan.modalities.mri.raw import ismrmrd_reader


def matches(path: Path, head: bytes) -> bool:
    """HDF5 whose data set holds a header and acquisitions."""
    return ismrmrd_reader.recognises(path)


def read(path: Path) -> RawImages:
    """See `raw_kspace.images_of`; noise scan, oversampling and order as `ismrmrd_reader` has them."""
    return images_of(path, ismrmrd_reader.read)
