"""HDF5 files from strangers: nothing outside the file is followed, nothing absurd is allocated."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import h5py

from acqplan.core import hdf5
from acqplan.core.errors import AcquisitionError
from acqplan.core.hdf5 import MAGIC
from acqplan.formats.acquired import FRESH_COPY


@contextmanager
def opened(path: Path, what: str) -> Iterator[h5py.File]:
    """The file, open; whatever HDF5 raises on a damaged one becomes an `AcquisitionError`. ``what`` it should be."""
    try:
        with path.open("rb") as stream:
            head = stream.read(len(MAGIC))
    except OSError as error:
        raise AcquisitionError(f"{path} can't be opened: {error.strerror}.", "Check the name.") from error
    if not head:
        raise AcquisitionError(f"{path} is empty.", FRESH_COPY)
    if head != MAGIC:
        raise AcquisitionError(f"{path} is no HDF5 file, so no {what}.", "Pass a file of that format.")
    try:
        with hdf5.opened(path) as file:
            yield file
    except AcquisitionError:
        raise
    except (OSError, RuntimeError, KeyError, ValueError, TypeError, IndexError, MemoryError) as error:
        raise damaged(path, what, error) from error


def damaged(path: Path, what: str, error: Exception) -> AcquisitionError:
    """The error for a file that is cut short or damaged."""
    cause = " ".join(str(error).split())[:160].rstrip(". ") or type(error).__name__
    return AcquisitionError(f"{path} can't be read as {what}: {cause}.", FRESH_COPY)


def is_hdf5(path: Path) -> bool:
    """Whether the file starts as an HDF5 file does."""
    try:
        with path.open("rb") as stream:
            return stream.read(len(MAGIC)) == MAGIC
    except OSError:
        return False
