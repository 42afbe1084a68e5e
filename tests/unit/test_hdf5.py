"""HDF5 files that are made in memory."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pytest

from acqplan.core.errors import OutputError
from acqplan.core.files import atomic_file
from acqplan.core.hdf5 import hdf5_file, set_text, text_of


def test_a_file_is_what_was_put_in(tmp_path: Path) -> None:
    path = tmp_path / "a.h5"
    with hdf5_file(path) as file:
        file.create_dataset("numbers", data=np.arange(5))
        set_text(file, "word", "µm")
        set_text(file, "nothing", "")
        file.attrs["plain"] = "text"
        file.attrs["number"] = 3
        assert not path.exists()
    with h5py.File(path) as file:
        assert file["numbers"][()].tolist() == [0, 1, 2, 3, 4]
        assert [text_of(file, name) for name in ("word", "nothing", "plain")] == ["µm", "", "text"]
        with pytest.raises(ValueError, match="number is no text"):
            text_of(file, "number")
        with pytest.raises(KeyError):
            text_of(file, "missing")


def test_nothing_is_written_by_a_block_that_fails(tmp_path: Path) -> None:
    def half() -> None:
        with hdf5_file(tmp_path / "a.h5") as file:
            file.create_dataset("numbers", data=np.arange(5))
            raise RuntimeError("half-way")

    with pytest.raises(RuntimeError, match="half-way"):
        half()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_full_disk_is_one_plain_error(tmp_path: Path) -> None:
    def to_a_full_disk() -> None:
        with atomic_file(tmp_path / "a.h5") as temporary:
            temporary.symlink_to("/dev/full")
            with hdf5_file(temporary) as file:
                file.create_dataset("numbers", data=np.zeros(100_000))

    with pytest.raises(OutputError, match="free some space"):
        to_a_full_disk()
    assert list(tmp_path.iterdir()) == []
