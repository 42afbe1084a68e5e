"""Results appear whole or not at all: written beside the target, synced, renamed. What is read may be damaged."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from acqplan.core.errors import AcqplanError, OutputError

try:
    import fcntl

    _HAS_LOCKS = True
except ImportError:  # Windows
    _HAS_LOCKS = False

_MARK = ".acqplan-writes"  # in each hidden folder, locked by its process
_HIDDEN = ".acqplan"  # ends the name of a hidden folder: an empty one was made by a process that was killed at once
_NEW, _OLD = "new", "old-"  # in those of a folder
_LONGEST = 40  # characters of a name that are in the hidden folder's
_TRIED = 4096  # bytes


def check_writable(path: Path, *, overwrite: bool = False) -> None:
    """Raise `OutputError` now rather than after an hour of work if ``path`` can't be written later."""
    parent = _checked(path, overwrite=overwrite)
    # Only by writing a little are a name that is too long, a full disk and a read-only place found.
    with _output_errors(path), _hidden(path, parent) as folder:
        for name in path.absolute().relative_to(parent).parts:
            (folder / name).write_bytes(bytes(_TRIED))


def _checked(path: Path, *, overwrite: bool) -> Path:
    """The folder of ``path``, or the nearest above it that there is; `OutputError` if it can't be written by rights."""
    with _output_errors(path):  # a name that is too long
        if path.exists() and not overwrite:
            raise OutputError(f"{path} exists already.", "Choose another name or pass --overwrite.")
        parent = path.absolute().parent
        while not parent.exists():
            parent = parent.parent
    if not parent.is_dir() or not os.access(parent, os.W_OK | os.X_OK):
        raise OutputError(f"{path} can't be written: {parent} isn't a writable folder.", "Choose another place.")
    return parent


@contextmanager
def atomic_file(path: Path, *, overwrite: bool = False) -> Iterator[Path]:
    """Yield a temporary path (same suffixes, same folder); renamed to ``path`` if the block succeeds.

    A kill at any moment leaves the old file or the new one.

    Raises
    ------
    OutputError
        ``path`` exists and ``overwrite`` is False, or the system refuses to write (also a full disk).
    """
    _checked(path, overwrite=overwrite)
    if path.is_dir():
        raise OutputError(f"{path} is a folder, expected a file name.", "Choose another name.")
    parent = path.absolute().parent
    with _output_errors(path):
        parent.mkdir(parents=True, exist_ok=True)
        with _hidden(path, parent) as folder:
            temporary = folder / path.name
            yield temporary
            _sync(temporary)
            os.replace(temporary, path)
            _sync(parent)


@contextmanager
def atomic_folder(path: Path, *, overwrite: bool = False, mark: str = "manifest.json") -> Iterator[Path]:
    """Yield a temporary folder beside ``path``; renamed to ``path`` if the block succeeds.

    With ``overwrite`` an existing folder is replaced as a whole, but only one that holds a file called
    ``mark``: anything else isn't an export, and isn't deleted.
    """
    _checked(path, overwrite=overwrite)
    if path.exists() and not (path / mark).is_file():
        raise OutputError(f"{path} exists and is no acqplan export.", "Choose another name; it is not overwritten.")
    parent = path.absolute().parent
    with _output_errors(path):
        parent.mkdir(parents=True, exist_ok=True)
        with _hidden(path, parent) as holder:
            temporary = holder / _NEW
            temporary.mkdir()
            yield temporary
            for file in sorted(temporary.rglob("*")):
                _sync(file)
            if path.exists():
                os.replace(path, holder / f"{_OLD}{path.name}")
            os.replace(temporary, path)
            _sync(parent)


@contextmanager
def _hidden(path: Path, parent: Path) -> Iterator[Path]:
    """A hidden folder in ``parent`` for what will be called ``path``; it goes when the block ends.

    A file in it, locked as long as this process lives, says that it is acqplan's: what a killed process has left
    is cleaned up by the next one that writes into the same place.
    """
    _clean(parent)
    while True:
        folder = Path(tempfile.mkdtemp(prefix=f".{path.name[:_LONGEST]}.", suffix=_HIDDEN, dir=parent))
        try:
            mark = _marked(folder)
            if mark is None:
                continue
            with mark:
                yield folder
                return
        finally:
            shutil.rmtree(folder, ignore_errors=True)


def _marked(folder: Path) -> IO[bytes] | None:
    """The locked file that says whose a folder is; None where another process took it for a killed one's before."""
    try:
        mark = (folder / _MARK).open("wb")
    except FileNotFoundError:
        return None
    if _HAS_LOCKS and not (_lock(mark) and (folder / _MARK).exists()):
        mark.close()
        return None
    return mark


def _clean(parent: Path) -> None:
    """Remove what killed processes have left in a folder; an export that one was about to replace comes back."""
    for folder in parent.glob(".*") if _HAS_LOCKS else ():
        try:
            if folder.name.endswith(_HIDDEN) and not any(folder.iterdir()):
                folder.rmdir()  # killed before it was marked
                continue
            with (folder / _MARK).open("r+b") as mark:
                if not _lock(mark):
                    continue
                for old in folder.glob(f"{_OLD}*"):
                    target = parent / old.name.removeprefix(_OLD)
                    if not target.exists():
                        os.replace(old, target)
                shutil.rmtree(folder, ignore_errors=True)
        except OSError:  # no folder of acqplan, or gone already
            continue


def _lock(mark: IO[bytes]) -> bool:
    """Lock the file; whether nobody else has."""
    try:
        fcntl.flock(mark, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


@contextmanager
def readable(path: Path, error: type[AcqplanError], remedy: str) -> Iterator[None]:
    """Turn whatever a parser raises on a damaged file into one ``error`` that names the file.

    Put nothing but the calls of the parser into the block: numpy, h5py, zipfile and tifffile raise many
    kinds of exceptions on a damaged file, and a mistake of acqplan must not look like one.
    """
    try:
        yield
    except error:
        raise
    except Exception as cause:
        reason = cause.strerror if isinstance(cause, OSError) and cause.strerror else str(cause)
        reason = " ".join(reason.split()).rstrip(".") or type(cause).__name__
        raise error(f"{path} can't be read: {reason}.", remedy) from cause


@contextmanager
def _output_errors(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise OutputError(
            f"{path} can't be written: {error.strerror or error}.",
            "Nothing was left under that name; free some space or choose another place.",
        ) from error


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
