"""The way out of acquired data: with all their files, which appear whole or not at all."""

from __future__ import annotations

import os
from pathlib import Path

from acqplan.core.errors import AcquisitionError, InstrumentError, OutputError
from acqplan.core.files import atomic_file, check_writable
from acqplan.formats.contracts import AcquiredReader, AcquiredWriter, FileFormat, ScanWriter, check_takes
from acqplan.plan.plan import Plan
from acqplan.sensing.acquisition import Acquisition, Scan


def save_acquired(
    form: FileFormat, acquisition: Acquisition, plan: Plan, path: Path, *, overwrite: bool = False
) -> None:
    """Write acquired data of one image; see `save_scan`."""
    save_scan(
        form,
        Scan([acquisition], acquisition.source, acquisition.geometry),
        plan,
        path,
        overwrite=overwrite,
    )


def save_scan(form: FileFormat, scan: Scan, plan: Plan, path: Path, *, overwrite: bool = False) -> None:
    """Write acquired data with all its files, which appear whole or not at all.

    A kill at any moment leaves the old data or the new. Of a format with several files it may leave
    neither (``path`` itself comes last), but never a mixture.

    Raises
    ------
    OutputError
        ``path`` has a suffix that the format doesn't write, exists (without ``overwrite``), or can't be written.
    InstrumentError
        The format isn't for this kind of plan, holds no acquired data, or only one image.
    AcquisitionError
        The number of readings isn't the plan's.
    """
    check_takes(form, plan)
    if not isinstance(form, AcquiredWriter):
        if isinstance(form, AcquiredReader):
            raise InstrumentError(
                f"The format {form.kind!r} is only read, not written.", "Choose another; acqplan formats lists them."
            )
        raise InstrumentError(f"The format {form.kind!r} holds no acquired data.", "See acqplan formats.")
    suffixes = form.acquired_suffixes
    if path.suffix.lower() not in suffixes:
        raise OutputError(
            f"The format {form.kind!r} doesn't write {path.suffix or 'files without suffix'}: {path}.",
            f"Choose a name that ends in {' or '.join(suffixes)}.",
        )
    for acquisition in scan.acquisitions:
        n_readings = len(acquisition.readings)
        if n_readings != plan.pattern.n_readings:
            raise AcquisitionError(
                f"{acquisition.source} has {n_readings} readings, the plan's pattern {plan.pattern.n_readings}.",
                "Pass the plan that it was acquired with.",
            )
    n_images = len(scan.acquisitions)
    if n_images != 1 and not isinstance(form, ScanWriter):
        raise InstrumentError(
            f"The format {form.kind!r} holds one image, the scan has {n_images}.",
            "Write it as hdf5, or one image at a time.",
        )
    companions = form.companions(path)
    for file in [path, *companions]:
        check_writable(file, overwrite=overwrite)
    with atomic_file(path, overwrite=overwrite) as temporary:
        if n_images != 1 and isinstance(form, ScanWriter):
            form.write_scan(scan, plan, temporary)
        else:
            form.write_acquired(scan.acquisitions[0], plan, temporary)
        if companions:
            path.unlink(missing_ok=True)
        for companion in companions:
            _move_or_remove(temporary.with_name(companion.name), companion)


def _move_or_remove(fresh: Path, target: Path) -> None:
    """Put ``fresh`` at ``target``; without it, an older ``target`` isn't true any more."""
    if fresh.exists():
        with fresh.open("rb") as stream:
            os.fsync(stream.fileno())
        os.replace(fresh, target)
    else:
        target.unlink(missing_ok=True)
