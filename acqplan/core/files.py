"""Results appear whole or not at all: written beside the target, synced, renamed. What is read may be damaged."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from acqplan.core.errors import AcqplanError, OutputError


def check_writable(path: Path, *, overwrite: bool = False) -> None:
    """Raise `OutputError` now rather than after an hour of work if ``path`` can't be written later."""
    if path.exists() and not overwrite:
        raise OutputError(f"{path} exists already.", "Choose another name or pass --overwrite.")
    parent = path.absolute().parent
    while not parent.exists():
        parent = parent.parent
    if not parent.is_dir() or not os.access(parent, os.W_OK | os.X_OK):
        raise OutputError(f"{path} can't be written: {parent} isn't a writable folder.", "Choose another place.")


@contextmanager
def atomic_file(path: Path, *, overwrite: bool = False) -> Iterator[Path]:
    """Yield a temporary path (same suffixes, same folder); renamed to ``path`` if the block succeeds.

    A kill at any moment leaves the old file or the new one.

    Raises
    ------
    OutputError
        ``path`` exists and ``overwrite`` is False, or the system refuses to write (also a full disk).
    """
    check_writable(path, overwrite=overwrite)
    if path.is_dir():
        raise OutputError(f"{path} is a folder, expected a file name.", "Choose another name.")
    with _output_errors(path):
        path.absolute().parent.mkdir(parents=True, exist_ok=True)
        folder = Path(tempfile.mkdtemp(prefix=f".{path.name}.", dir=path.absolute().parent))
    temporary = folder / path.name
    try:
        with _output_errors(path):
            yield temporary
            _sync(temporary)
            os.replace(temporary, path)
            _sync(path.absolute().parent)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def atomic_folder(path: Path, *, overwrite: bool = False, mark: str = "manifest.json") -> Iterator[Path]:
    """Yield a temporary folder beside ``path``; renamed to ``path`` if the block succeeds.

    With ``overwrite`` an existing folder is replaced as a whole, but only one that holds a file called
    ``mark``: anything else isn't an export, and isn't deleted.
    """
    check_writable(path, overwrite=overwrite)
    if path.exists() and not (path / mark).is_file():
        raise OutputError(f"{path} exists and is no acqplan export.", "Choose another name; it is not overwritten.")
    with _output_errors(path):
        path.absolute().parent.mkdir(parents=True, exist_ok=True)
        holder = Path(tempfile.mkdtemp(prefix=f".{path.name}.", dir=path.absolute().parent))
    temporary = holder / "new"
    try:
        with _output_errors(path):
            temporary.mkdir()
            yield temporary
            for file in sorted(temporary.rglob("*")):
                _sync(file)
            if path.exists():
                os.replace(path, holder / "old")
            os.replace(temporary, path)
            _sync(path.absolute().parent)
    finally:
        shutil.rmtree(holder, ignore_errors=True)


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
