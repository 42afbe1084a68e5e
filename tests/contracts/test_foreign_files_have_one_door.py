"""What opens a stranger's file stands in `acqplan.core`, or is listed here with its reason (from the syntax tree)."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import acqplan

PACKAGE = Path(acqplan.__file__).parent
FILES = sorted(path for path in PACKAGE.rglob("*.py") if path.relative_to(PACKAGE).parts[0] != "core")
OPENERS = (
    *("h5py.File", "numpy.load", "numpy.lib.format", "numpy.memmap", "numpy.fromfile", "numpy.loadtxt"),
    *("numpy.genfromtxt", "zipfile", "tarfile", "pickle", "marshal", "shelve", "torch.load", "gzip.open"),
    *("gzip.decompress", "zlib.decompress", "scipy.io.loadmat", "scipy.io.whosmat"),
)

# (file, what it calls): why it may.
ALLOWED = {
    ("modalities/mri/formats/bart.py", "numpy.fromfile"): "plain numbers; the header's sizes have to be the file's",
    ("modalities/dmd/traces/files.py", "scipy.io.whosmat"): "after every element was walked and its size added up",
    ("modalities/dmd/traces/files.py", "scipy.io.loadmat"): "after every element was walked and its size added up",
}


def names_of(tree: ast.AST) -> dict[str, str]:
    """What each imported name stands for, dotted."""
    names: dict[str, str] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for each in node.names:
                names[each.asname or each.name.split(".")[0]] = each.name if each.asname else each.name.split(".")[0]
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names |= {each.asname or each.name: f"{node.module}.{each.name}" for each in node.names}
    return names


def dotted(node: ast.expr, names: dict[str, str]) -> str | None:
    if isinstance(node, ast.Name):
        return names.get(node.id)
    if isinstance(node, ast.Attribute):
        before = dotted(node.value, names)
        return None if before is None else f"{before}.{node.attr}"
    return None


def opened(source: str) -> Iterator[str]:
    """What a module calls that opens files of its own accord."""
    tree = ast.parse(source)
    names = names_of(tree)
    for node in ast.walk(tree):
        called = dotted(node.func, names) if isinstance(node, ast.Call) else None
        if called is not None and any(called == each or called.startswith(f"{each}.") for each in OPENERS):
            yield called


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.relative_to(PACKAGE).as_posix())
def test_files_are_opened_by_the_doors_of_core(path: Path) -> None:
    name = path.relative_to(PACKAGE).as_posix()
    assert [each for each in opened(path.read_text(encoding="utf-8")) if (name, each) not in ALLOWED] == []


def test_what_is_allowed_is_still_needed() -> None:
    found = {(name, each) for name, _ in ALLOWED for each in opened((PACKAGE / name).read_text(encoding="utf-8"))}
    assert found == set(ALLOWED)


@pytest.mark.parametrize(
    ("source", "called"),
    [
        ("import h5py\nwith h5py.File(path) as f: pass", "h5py.File"),
        ("import numpy as np\nnp.lib.format.open_memmap(path)", "numpy.lib.format.open_memmap"),
        ("from numpy import load as fetch\nfetch(path)", "numpy.load"),
        ("import zipfile\nzipfile.ZipFile(path)", "zipfile.ZipFile"),
        ("import scipy.io\nscipy.io.loadmat(path)", "scipy.io.loadmat"),
    ],
)
def test_a_door_of_its_own_is_found(source: str, called: str) -> None:
    assert list(opened(source)) == [called]


def test_what_opens_nothing_is_no_fault() -> None:
    assert not list(opened("import h5py, numpy as np\ndef f(file: h5py.File): np.save(path, file['a'])"))
