"""Results appear whole or not at all, and nothing else is left lying about."""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

import acqplan
from acqplan.core import files
from acqplan.core.errors import AcqplanError, OutputError
from acqplan.core.files import atomic_file, atomic_folder, check_writable


def write_file(path: Path, text: str, *, overwrite: bool = False) -> None:
    with atomic_file(path, overwrite=overwrite) as temporary:
        temporary.write_text(text)


def write_folder(path: Path, text: str, *, overwrite: bool = False) -> None:
    with atomic_folder(path, overwrite=overwrite) as temporary:
        (temporary / "manifest.json").write_text(json.dumps(text))
        (temporary / "inner").mkdir()
        (temporary / "inner" / "pattern.bin").write_text(text)


def write_half(block: AbstractContextManager[Path], error: BaseException) -> None:
    """Begin to write, then fail."""
    with block as temporary:
        (temporary / "manifest.json" if temporary.is_dir() else temporary).write_text("half")
        raise error


def listing(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


def test_a_file_appears_when_the_block_ends(tmp_path: Path) -> None:
    path = tmp_path / "new" / "deep" / "image.nii.gz"  # folders are made
    with atomic_file(path) as temporary:
        assert temporary.name == path.name  # writers look at the suffix
        assert not temporary.exists()
        temporary.write_text("whole")
        assert not path.exists()
    assert path.read_text() == "whole"
    assert listing(tmp_path) == ["new", "new/deep", "new/deep/image.nii.gz"]


def test_an_existing_file_is_replaced_only_when_asked(tmp_path: Path) -> None:
    path = tmp_path / "result.json"
    write_file(path, "old")
    with pytest.raises(OutputError, match=r"exists already\. Choose another name or pass --overwrite"):
        write_file(path, "new")
    assert path.read_text() == "old"
    write_file(path, "new", overwrite=True)
    assert path.read_text() == "new"
    assert listing(tmp_path) == ["result.json"]


@pytest.mark.parametrize("error", [ValueError("a bug"), KeyboardInterrupt(), OutputError("Problem.", "Remedy.")])
def test_a_block_that_fails_leaves_the_old_file(tmp_path: Path, error: BaseException) -> None:
    path = tmp_path / "result.json"
    write_file(path, "old")
    for target in (path, tmp_path / "other.json"):
        with pytest.raises(type(error)) as caught:
            write_half(atomic_file(target, overwrite=True), error)
        assert caught.value is error  # passed on as it is
    assert path.read_text() == "old"
    assert listing(tmp_path) == ["result.json"]


@pytest.mark.parametrize("atomic", [atomic_file, atomic_folder])
def test_a_full_disk_is_the_users_to_solve(
    tmp_path: Path, atomic: Callable[[Path], AbstractContextManager[Path]]
) -> None:
    full = OSError(errno.ENOSPC, "No space left on device")
    with pytest.raises(OutputError, match=r"result can't be written: No space left on device\. Nothing was left"):
        write_half(atomic(tmp_path / "result"), full)
    assert listing(tmp_path) == []


def test_a_block_that_writes_nothing_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="No such file"), atomic_file(tmp_path / "image.npy"):
        pass
    assert listing(tmp_path) == []


def test_companions_of_the_temporary_file_go_away(tmp_path: Path) -> None:
    with atomic_file(tmp_path / "image.cfl") as temporary:
        temporary.write_text("whole")
        temporary.with_suffix(".hdr").write_text("scratch")
    assert listing(tmp_path) == ["image.cfl"]


def test_readers_see_the_old_file_or_the_new_one(tmp_path: Path) -> None:
    path = tmp_path / "result"
    texts = {letter * 200_000 for letter in "ab"}
    write_file(path, "a" * 200_000)
    seen: set[str] = set()
    done = threading.Event()

    def read() -> None:
        while not done.is_set():
            seen.add(path.read_text())

    reader = threading.Thread(target=read)
    reader.start()
    for i in range(60):
        write_file(path, "ba"[i % 2] * 200_000, overwrite=True)
    done.set()
    reader.join()
    assert seen <= texts


def test_a_folder_appears_with_all_its_files(tmp_path: Path) -> None:
    path = tmp_path / "new" / "export"
    write_folder(path, "one")
    whole = ["inner", "inner/pattern.bin", "manifest.json"]
    assert listing(path) == whole
    assert listing(path.parent) == ["export", *(f"export/{name}" for name in whole)]
    with pytest.raises(OutputError, match="exists already"):
        write_folder(path, "two")
    (path / "stale").write_text("of the first export")
    write_folder(path, "two", overwrite=True)
    assert listing(path) == whole
    assert (path / "inner" / "pattern.bin").read_text() == "two"
    assert listing(tmp_path / "new")[0] == "export"


def test_a_folder_block_that_fails_leaves_the_old_folder(tmp_path: Path) -> None:
    path = tmp_path / "export"
    write_folder(path, "old")
    before = listing(tmp_path)
    with pytest.raises(RuntimeError, match="a bug"):
        write_half(atomic_folder(path, overwrite=True), RuntimeError("a bug"))
    assert listing(tmp_path) == before
    assert (path / "inner" / "pattern.bin").read_text() == "old"


def test_a_folder_that_is_no_export_is_never_deleted(tmp_path: Path) -> None:
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "chapter1").write_text("years")
    with pytest.raises(OutputError, match="is no acqplan export"):
        write_folder(tmp_path / "thesis", "export", overwrite=True)
    (tmp_path / "file").write_text("years")
    with pytest.raises(OutputError, match="is no acqplan export"):
        write_folder(tmp_path / "file", "export", overwrite=True)
    with pytest.raises(OutputError, match="is a folder, expected a file name"):
        write_file(tmp_path / "thesis", "export", overwrite=True)
    assert listing(tmp_path) == ["file", "thesis", "thesis/chapter1"]


def test_what_can_not_be_written_is_found_early(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    check_writable(tmp_path / "a" / "b" / "new")
    assert listing(tmp_path) == ["file"]  # only looked
    with pytest.raises(OutputError, match="isn't a writable folder"):
        check_writable(tmp_path / "file" / "new")
    with pytest.raises(OutputError, match="exists already"):
        check_writable(tmp_path / "file")
    check_writable(tmp_path / "file", overwrite=True)


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_without_permission_is_refused(tmp_path: Path) -> None:
    locked = tmp_path / "locked"
    locked.mkdir(mode=0o500)
    with pytest.raises(OutputError, match="isn't a writable folder"):
        check_writable(locked / "new")


def test_names_in_the_working_folder_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write_file(Path("plain"), "text")
    write_folder(Path("export"), "text")
    assert {"plain", "export"} <= set(listing(tmp_path))
    with pytest.raises(AcqplanError):
        write_file(Path("plain"), "text")


# --- what can't be written is known before, and what a kill left goes ---------------------------------------


def test_what_only_an_attempt_tells_is_found_before_the_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(OutputError, match="can't be written: File name too long"):
        check_writable(tmp_path / ("x" * 300))
    with pytest.raises(OutputError, match="can't be written: File name too long"):
        check_writable(tmp_path / ("x" * 300) / "a.txt")
    check_writable(tmp_path / ("x" * 250))  # the hidden folder's name is shorter
    assert list(tmp_path.iterdir()) == []

    def full(path: Path, data: bytes) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(OutputError, match="No space left on device"):
        check_writable(tmp_path / "a.txt")
    assert list(tmp_path.iterdir()) == []


def kill_while_writing(code: str, folder: Path) -> None:
    """Run ``code`` in a process that kills itself in the midst of it."""
    head = "import os, signal\nfrom pathlib import Path\nfrom acqplan.core.files import atomic_file, atomic_folder\n"
    kill = "os.kill(os.getpid(), signal.SIGKILL)"
    here = {**os.environ, "PYTHONPATH": str(Path(acqplan.__file__).parents[1])}
    done = subprocess.run([sys.executable, "-c", head + code.replace("KILL", kill)], cwd=folder, env=here, check=False)
    assert done.returncode == -signal.SIGKILL


def test_what_a_killed_process_left_goes_with_the_next_in_that_place(tmp_path: Path) -> None:
    code = "with atomic_file(Path('a.txt')) as t:\n    t.write_text('half')\n    KILL"
    kill_while_writing(code, tmp_path)
    kill_while_writing(code.replace("a.txt", "b.txt"), tmp_path)
    (tmp_path / ".somebody").mkdir()
    (tmp_path / ".somebody" / "elses").write_text("kept")
    assert len(listing(tmp_path)) > 4
    with atomic_file(tmp_path / "c.txt") as running:
        running.write_text("c")
        write_file(tmp_path / "d.txt", "d")  # leaves alone what is being written
    assert listing(tmp_path) == [".somebody", ".somebody/elses", "c.txt", "d.txt"]


def test_an_export_that_a_kill_took_away_comes_back(tmp_path: Path) -> None:
    write_folder(tmp_path / "export", "old")
    code = "with atomic_folder(Path('export'), overwrite=True) as t:\n    (t / 'manifest.json').write_text('new')\n"
    code = "replace = os.replace\n" + "def stop(a, b):\n    replace(a, b)\n    KILL\nos.replace = stop\n" + code
    kill_while_writing(code, tmp_path)
    assert not (tmp_path / "export").exists()
    write_file(tmp_path / "other.txt", "x")
    assert (tmp_path / "export" / "inner" / "pattern.bin").read_text() == "old"
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


def test_a_folder_that_a_process_had_no_time_to_mark_goes_too(tmp_path: Path) -> None:
    code = "import acqplan.core.files as files\ndef die(folder):\n    KILL\nfiles._marked = die\n"
    kill_while_writing(code + "with atomic_file(Path('a.txt')):\n    pass", tmp_path)
    (tmp_path / ".empty").mkdir()  # somebody else's
    assert len(listing(tmp_path)) == 2
    write_file(tmp_path / "b.txt", "b")
    assert listing(tmp_path) == [".empty", "b.txt"]


def test_of_two_processes_the_one_whose_folder_was_taken_tries_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    marked, taken = files._marked, []

    def late(folder: Path) -> object:
        if not taken:
            taken.append(folder)
            files._clean(tmp_path)
            assert not folder.exists()
        return marked(folder)

    monkeypatch.setattr(files, "_marked", late)
    write_file(tmp_path / "a.txt", "a")
    assert listing(tmp_path) == ["a.txt"]
    assert len(taken) == 1
