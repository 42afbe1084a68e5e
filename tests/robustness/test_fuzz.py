"""Damaged and strange files are read or refused in words: no traceback, no hang, little memory."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from acqplan.core.errors import AcquisitionError
from acqplan.core.registry import kinds
from acqplan.formats.contracts import AcquiredReader, PatternFormat
from robustness.fuzz import fuzz
from robustness.guard import Outcome, in_workers, watched
from robustness.mutations import mutated
from robustness.targets import makers

FILES = 24
pytestmark = pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="memory is measured on Linux only")


@pytest.mark.parametrize("name", makers())
def test_damaged_files_are_read_or_refused(name: str) -> None:
    report = fuzz([name], FILES)
    assert report.counts["refused"] > 0
    assert not report.faults, "\n".join(report.faults)


def test_every_registered_reader_is_tried(tmp_path: Path) -> None:
    formats = kinds("instruments").items()
    wanted = {f"pattern {kind}" for kind, cls in formats if issubclass(cls, PatternFormat)}
    wanted |= {f"acquired {kind}" for kind, cls in formats if issubclass(cls, AcquiredReader)}
    wanted |= {f"image {kind}" for kind in kinds("image_readers")}
    assert wanted <= set(makers())
    for number, name in enumerate(wanted):
        folder = tmp_path / str(number)
        folder.mkdir()
        assert list(makers()[name](folder)), f"no file for {name}"


def test_one_seed_damages_alike() -> None:
    content = b'{"a": 1, "b": [2, 3]}' * 20

    def damaged(seed: int) -> list[bytes]:
        return [mutated(content, np.random.default_rng((seed, number)))[0] for number in range(30)]

    assert damaged(0) == damaged(0) != damaged(1)
    assert all(each != content for each in damaged(0)[:5])


def refuse() -> None:
    raise AcquisitionError("It is damaged.", "")


def leak() -> None:
    raise KeyError("readings")


def hoard() -> None:
    np.ones(600 << 20, np.uint8)


def crash() -> None:
    import os
    import signal

    os.kill(os.getpid(), signal.SIGKILL)  # as a fault of native code would, but quietly


@pytest.mark.parametrize(
    ("call", "ended", "said"),
    [(refuse, "refused", "damaged"), (leak, "fault", "KeyError"), (hoard, "fault", "MiB"), (crash, "fault", "crash")],
)
def test_the_guard_sees(call: object, ended: str, said: str) -> None:
    def work(job: int) -> Outcome:
        return watched(call, 0)  # type: ignore[arg-type]

    [(_, outcome)] = in_workers(iter([0]), work)
    assert (outcome.ended, said in outcome.said) == (ended, True)
