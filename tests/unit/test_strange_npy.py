"""NumPy files of strangers: no claim is believed, nothing is unpickled, whatever it was read for."""

from __future__ import annotations

import io
import resource
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from builders.plans import make_plan
from builders.sensing import dmd

from acqplan.core import npy
from acqplan.core.errors import AcqplanError
from acqplan.formats.export import export
from acqplan.formats.numpy_files import NumpyFiles
from acqplan.images import load_stacks
from acqplan.modalities.dmd.formats.spas import Spas
from acqplan.modalities.dmd.traces.files import read_table
from acqplan.sensing.unit_list import parse_units


def stored(array: np.ndarray[Any, Any]) -> bytes:
    content = io.BytesIO()
    np.lib.format.write_array(content, array)
    return content.getvalue()


def with_header(header: bytes) -> bytes:
    """A file of version 2 with a header as it is given."""
    return npy.MAGIC + bytes([2, 0]) + len(header).to_bytes(4, "little") + header + bytes(64)


def claiming(shape: tuple[int, ...], descr: str = "<f8") -> bytes:
    return with_header(repr({"descr": descr, "fortran_order": False, "shape": shape}).encode() + b"\n")


def packed(name: str, content: bytes, how: int = zipfile.ZIP_DEFLATED) -> bytes:
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w", how) as file:
        file.writestr(name, content)
    return archive.getvalue()


STRANGE = {
    "claims a tebibyte": (claiming((1 << 37,)), r"claims the shape \(137438953472,\) of float64, more than it holds"),
    "claims more than a count holds": (claiming((1 << 40, 1 << 40)), "more than it holds"),
    "a side below zero": (claiming((-1, 4)), r"\(-1, 4\) values"),
    "values of no size": (claiming((1 << 40,), "|V0"), r"values of type"),
    "objects": (stored(np.array([[{}]], dtype=object)), "Python objects, which are never loaded"),
    "a header of a gibibyte": (with_header(b"")[:8] + (1 << 30).to_bytes(4, "little"), "header of 1073741824 bytes"),
    "a deep header": (with_header(b"(" * 9000), "header"),
    "another version": (npy.MAGIC + bytes([9, 9, 0, 0]), r"version 9\.9"),
    "cut off": (stored(np.ones((4, 4)))[:-9], "more than it holds"),
}


def images(folder: Path, path: Path) -> None:
    load_stacks([path])


def acquired(folder: Path, path: Path) -> None:
    NumpyFiles().read_acquired(path, make_plan("points"))


def trace(folder: Path, path: Path) -> None:
    read_table(path)


def units(folder: Path, path: Path) -> None:
    parse_units(str(path), make_plan("lines").sensing, "forbidden")


def played(name: str) -> Callable[[Path, Path], None]:
    def exported(folder: Path, path: Path) -> None:
        export(make_plan("points"), NumpyFiles(), folder / "out")
        path.replace(folder / "out" / name)
        NumpyFiles().read(folder / "out")

    return exported


def frames(folder: Path, path: Path) -> None:
    export(make_plan(dmd(4, 4)), Spas(), folder / "out")
    name = next(each for each in (folder / "out").iterdir() if each.suffix == path.suffix)
    path.replace(name)
    Spas().read(folder / "out")


ARRAYS = [images, acquired, trace, units, played("order.npy"), played("mask.npy"), frames]
ARCHIVES = [(images, "images"), (acquired, "readings"), (trace, "signal"), (frames, "pattern_order")]


@pytest.mark.parametrize(("content", "told"), STRANGE.values(), ids=STRANGE)
@pytest.mark.parametrize("read", ARRAYS)
def test_a_strange_array_is_refused_in_words(
    read: Callable[[Path, Path], None], content: bytes, told: str, tmp_path: Path
) -> None:
    path = tmp_path / "strange.npy"
    path.write_bytes(content)
    with pytest.raises(AcqplanError, match=told):
        read(tmp_path, path)


@pytest.mark.parametrize("read", [units, played("order.npy"), played("mask.npy"), played("counts.npy"), frames])
def test_an_archive_called_npy_is_refused_in_words(read: Callable[[Path, Path], None], tmp_path: Path) -> None:
    path = tmp_path / "strange.npy"
    path.write_bytes(packed("order.npy", stored(np.arange(4))))
    with pytest.raises(AcqplanError, match=r"it is a ZIP archive like an \.npz, one array"):
        read(tmp_path, path)


@pytest.mark.parametrize(("content", "told"), [*STRANGE.values(), (b"no array", "is no NumPy array")])
@pytest.mark.parametrize(("read", "name"), ARCHIVES)
def test_a_strange_member_is_refused_in_words(
    read: Callable[[Path, Path], None], name: str, content: bytes, told: str, tmp_path: Path
) -> None:
    path = tmp_path / "strange.npz"
    path.write_bytes(packed(f"{name}.npy", content))
    with pytest.raises(AcqplanError, match=rf"its member {name}\.npy.*{told}"):
        read(tmp_path, path)


@pytest.mark.parametrize(("read", "name"), ARCHIVES)
def test_a_member_that_cannot_be_unpacked_in_pieces_is_refused(
    read: Callable[[Path, Path], None], name: str, tmp_path: Path
) -> None:
    path = tmp_path / "strange.npz"
    path.write_bytes(packed(f"{name}.npy", stored(np.ones((4, 4))), zipfile.ZIP_LZMA))
    with pytest.raises(AcqplanError, match="packed in a way that NumPy doesn't know"):
        read(tmp_path, path)


@pytest.mark.parametrize(
    "array",
    [
        np.asfortranarray(np.arange(12.0).reshape(3, 4)),
        np.array(3 + 1j, np.complex64),
        np.array("words"),
        np.zeros((0, 3)),
        np.array([[True, False]]),
        np.arange(3, dtype=">i2"),
        np.random.default_rng(0).random((1 << 18) + 1),
    ],
    ids=lambda array: f"{array.dtype}{array.shape}",
)
def test_what_numpy_writes_is_read_as_numpy_reads_it(array: np.ndarray[Any, Any], tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", array)
    np.savez_compressed(tmp_path / "a.npz", first=array, other=np.ones(1))
    assert npy.names_of(tmp_path / "a.npz") == ["first", "other"]
    both = npy.load_arrays(tmp_path / "a.npz")
    assert list(both) == ["first", "other"]
    only = npy.load_arrays(tmp_path / "a.npz", ["first", "missing"])
    for found in (npy.load_array(tmp_path / "a.npy"), both["first"], only["first"]):
        assert (found.dtype, found.shape) == (array.dtype, array.shape)
        assert found.flags.f_contiguous == array.flags.f_contiguous
        np.testing.assert_array_equal(found, array)
    assert list(only) == ["first"]


def test_the_stated_limit_is_kept(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.zeros(100))
    np.savez(tmp_path / "a.npz", a=np.zeros(100))
    with pytest.raises(ValueError, match="claims 800 bytes, more than the 100"):
        npy.load_array(tmp_path / "a.npy", 100)
    with pytest.raises(ValueError, match="the archive claims 928 bytes, more than the 100"):
        npy.load_arrays(tmp_path / "a.npz", most=100)


def test_an_array_that_cannot_be_written_whole_is_an_error(tmp_path: Path) -> None:
    """As on a full disk; NumPy itself doesn't hear of it when the last of a file isn't taken."""
    path, array = tmp_path / "a.npy", np.arange(300)
    npy.save_array(path, array)
    assert path.read_bytes() == stored(array)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (path.stat().st_size - 1, before[1]))
    try:
        with pytest.raises(OSError, match="too large"):
            npy.save_array(path, array)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
