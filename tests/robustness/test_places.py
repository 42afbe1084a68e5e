"""A full disk or a read-only folder is an `OutputError` and changes nothing; of two processes at one path one wins."""

from __future__ import annotations

import multiprocessing
import os
import shutil
import tempfile
import warnings
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from builders.plans import make_plan

from acqplan.plan.plan import Plan
from robustness.places import full_disk, largest_file, read_only, refused_or_whole, results

RESULTS = results()


@pytest.mark.parametrize("name", RESULTS)
def test_a_full_disk_keeps_what_was_there(name: str, tmp_path: Path) -> None:
    write, random = RESULTS[name], np.random.default_rng(len(name))
    write(tmp_path)
    size = largest_file(tmp_path)
    for limit in (0, size - 1, *random.integers(0, size, 3)):
        with full_disk(int(limit)):
            assert refused_or_whole(write, tmp_path), f"{name} was written in {limit} of {size} bytes"
    assert not refused_or_whole(write, tmp_path)


@pytest.fixture
def public() -> Iterator[Path]:
    """A folder that everybody may look into, unlike those of a test."""
    folder = Path(tempfile.mkdtemp(prefix="acqplan-places-"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


@pytest.mark.parametrize("name", RESULTS)
def test_a_read_only_folder_keeps_what_was_there(name: str, public: Path) -> None:
    RESULTS[name](public)
    with read_only(public):
        assert refused_or_whole(RESULTS[name], public)


def test_of_two_processes_at_one_path_each_reader_gets_a_whole_plan(tmp_path: Path) -> None:
    path, plans = tmp_path / "a.acqplan", [make_plan("points", seed=seed) for seed in (0, 1)]

    def write(plan: Plan) -> None:
        for _ in range(30):
            plan.save(path, overwrite=True)
        os._exit(0)

    plans[0].save(path)
    context = multiprocessing.get_context("fork")
    writers = [context.Process(target=write, args=(plan,)) for plan in plans]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        for writer in writers:
            writer.start()
    seen = set()
    while any(writer.is_alive() for writer in writers):
        seen.add(Plan.load(path).plan_id)
    for writer in writers:
        writer.join()
    assert [writer.exitcode for writer in writers] == [0, 0]
    assert seen <= {plan.plan_id for plan in plans}
    assert [each.name for each in tmp_path.iterdir()] == ["a.acqplan"]
