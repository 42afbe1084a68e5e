"""Places that can't be written: full disks, read-only folders, two processes at one path."""

from __future__ import annotations

import os
import resource
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from builders.acquisitions import make_acquisition
from builders.images import snapshot
from builders.instruments import make_instrument, takes_acquired
from builders.plans import make_plan
from builders.sensing import MODELS

from acqplan.core.errors import OutputError
from acqplan.core.registry import kinds
from acqplan.formats.contracts import AcquiredWriter, PatternFormat, Result
from acqplan.formats.export import export
from acqplan.formats.results import image_writers, part_of, write_images
from acqplan.formats.save import save_acquired
from acqplan.learning import checkpoint
from acqplan.plan.plan import Plan
from robustness.targets import STAMP

Write = Callable[[Path], None]
"""Writes a result into a folder, over an older one of the same name."""
_NOBODY = 65534


def results() -> dict[str, Write]:
    """Everything that acqplan writes, by name: in every registered format."""
    plans = {case: make_plan(case) for case in MODELS}
    made: dict[str, Write] = {
        "plan": lambda folder: plans["points"].save(folder / "a.acqplan", overwrite=True),
        "checkpoint": lambda folder: checkpoint.save({"step": 1, "order": np.arange(9000)}, folder / "a.checkpoint"),
    }
    for kind, cls in kinds("instruments").items():
        for plan in [plan for plan in plans.values() if plan.sensing.kind in cls.sensing_kinds()][-1:]:
            made |= {f"{name} {kind}": write for name, write in _of_instrument(kind, plan)}
    image = np.random.default_rng(0).random((1, 24, 24)).astype(np.float32)
    for kind, writer in image_writers().items():
        name = f"image{writer.image_suffixes[0]}" if writer.image_suffixes else "images"
        result = Result(part_of(image, "magnitude"), STAMP)
        made[f"image {kind}"] = lambda folder, name=name, kind=kind, result=result: write_images(
            result, folder / name, kind, overwrite=True
        )
    return made


def _of_instrument(kind: str, plan: Plan) -> Iterator[tuple[str, Write]]:
    instrument, acquisition = make_instrument(kind), make_acquisition(plan)
    if isinstance(instrument, PatternFormat) and not instrument.check(plan):
        yield "pattern", lambda folder: export(plan, instrument, folder / "exported", overwrite=True)
    case = next(case for case, (sensing, _) in MODELS.items() if sensing == plan.sensing.kind)
    if isinstance(instrument, AcquiredWriter) and takes_acquired(kind, case):
        name = f"acquired{instrument.acquired_suffixes[0]}"
        yield "acquired", lambda folder: save_acquired(instrument, acquisition, plan, folder / name, overwrite=True)


def largest_file(folder: Path) -> int:
    """Bytes."""
    return max(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def refused_or_whole(write: Write, folder: Path) -> bool:
    """Whether the write was refused, with an `OutputError` and nothing changed in the folder."""
    before = snapshot(folder)
    try:
        write(folder)
    except OutputError:
        assert snapshot(folder) == before, "a refused write changed the folder"
        return True
    assert set(snapshot(folder)) == set(before), "something was left behind"
    return False


@contextmanager
def full_disk(at_bytes: int) -> Iterator[None]:
    """No file of this process grows beyond ``at_bytes``: writing on is an `OSError`, as on a full disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (at_bytes, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@contextmanager
def read_only(folder: Path) -> Iterator[None]:
    """Nothing can be made in ``folder``; root takes the rights of nobody for as long, since it may write everywhere."""
    mode, is_root = folder.stat().st_mode, os.geteuid() == 0
    folder.chmod(0o555)
    if is_root:
        os.seteuid(_NOBODY)
    try:
        yield
    finally:
        if is_root:
            os.seteuid(0)
        folder.chmod(mode)
