"""Fully sampled k-space in BART's .cfl with its .hdr."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from acqplan.images.readers.base import RawImages
from acqplan.modalities.mri.image_readers.raw_kspace import images_of
from acqplan.modalities.mri.raw import cfl


def matches(path: Path, head: bytes) -> bool:
    """A .cfl of the size that the .hdr beside it states; the file itself has no magic number."""
    return cfl.recognises(path)


def read(path: Path) -> RawImages:
    """See `raw_kspace.images_of`; a line that is zero in every coil and sample counts as not measured."""
    return images_of(path, partial(cfl.read, may_be_image=False))
