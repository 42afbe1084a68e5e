"""An output that exists, that can't be written, or whose disk fills up: nothing appears under the final name."""

import errno
import os
from pathlib import Path

import h5py
import pytest
from builders.images import snapshot

COMMANDS = {
    "design": ("design", "mri", "--images", "SCANS", "--size", "16x16", "--budget", "4x", "--steps", 2, "-o", "OUT"),
    "export": ("export", "PLAN", "--to", "hdf5", "-o", "OUT"),
    "simulate": ("simulate", "PLAN", "IMAGE", "-o", "OUT.h5"),
    "reconstruct": ("reconstruct", "PLAN", "ACQUIRED", "-o", "OUT.h5"),
    "evaluate": ("evaluate", "PLAN", "--images", "IMAGE", "--json", "OUT"),
    "compare": ("compare", "PLAN", "PLAN", "--images", "IMAGE", "--json", "OUT"),
    "compare --html": ("compare", "PLAN", "PLAN", "--images", "IMAGE", "--html", "OUT"),
    "show --html": ("show", "PLAN", "--html", "OUT"),
}


@pytest.fixture
def words(points, scans, run, tmp_path):
    """The words of a command, and its output below ``folder``."""
    acquired = tmp_path / "acquired.h5"
    assert run("simulate", points, scans / "subject0.nii.gz", "-o", acquired).code == 0

    def make(command, folder):
        values = {"PLAN": points, "SCANS": scans, "IMAGE": scans / "subject0.nii.gz", "ACQUIRED": acquired}
        outputs = {"OUT": folder / "out", "OUT.h5": folder / "out.h5"}
        filled = [(values | outputs).get(word, word) for word in COMMANDS[command]]
        return filled, next(word for word in filled if word in outputs.values())

    return make


@pytest.mark.parametrize("command", COMMANDS)
def test_an_existing_output_needs_overwrite(refused, run, words, tmp_path, command):
    call, output = words(command, tmp_path)
    assert run(*call).code == 0
    before = snapshot(tmp_path)
    if command in ("evaluate", "compare"):
        output.write_text("mine")  # an earlier result of acqplan may be replaced
        before = snapshot(tmp_path)
    error = refused(*call).err
    assert "exists" in error
    assert "--overwrite" in error
    assert run(*call, "--overwrite").code == 0
    assert snapshot(tmp_path).keys() == before.keys()


@pytest.mark.parametrize("command", COMMANDS)
def test_an_output_that_cant_be_written(refused, words, tmp_path, command):
    (tmp_path / "file").write_text("no folder")
    call, output = words(command, tmp_path / "file" / "below")
    assert str(output) in refused(*call).err


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("overwrite", [False, True])
def test_a_full_disk(run, words, tmp_path, monkeypatch, command, overwrite):
    folder = tmp_path / "here"
    folder.mkdir()
    call, _ = words(command, folder)
    if overwrite:
        assert run(*call).code == 0
        call.append("--overwrite")
    before = snapshot(tmp_path)

    def full(descriptor):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    outcome = run(*call)
    assert outcome.code == 2
    assert "No space left on device" in outcome.err
    assert "Remedy:" in outcome.err.splitlines()[-1]
    assert snapshot(tmp_path) == before


@pytest.mark.parametrize("command", ["design", "simulate", "reconstruct", "export"])
def test_a_disk_that_fills_up_within_a_file(run, words, tmp_path, monkeypatch, command):
    folder = tmp_path / "here"
    folder.mkdir()
    call, _ = words(command, folder)
    if command == "simulate":
        run("export", call[1], "--to", "numpy", "-o", tmp_path / "played")
        call += ["--exported", tmp_path / "played"]

    def full(self, name, *arguments, **options):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def half_written(self, data):
        with self.open("wb") as stream:
            stream.write(data[: len(data) // 2])
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    if command == "design":  # plans and checkpoints are made in memory and written in one go
        monkeypatch.setattr(Path, "write_bytes", half_written)
    else:
        monkeypatch.setattr(h5py.Group, "create_dataset", full)
    outcome = run(*call)
    assert outcome.code == 2
    assert "No space left on device" in outcome.err
    assert snapshot(folder) == {}


def test_a_folder_that_is_no_export_is_never_replaced(refused, points, tmp_path):
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis/chapter1.tex").write_text("years of work")
    words = ("export", points, "--to", "numpy", "-o", tmp_path / "thesis", "--overwrite")
    assert "no acqplan export" in refused(*words).err
