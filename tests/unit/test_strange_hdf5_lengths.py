"""Values of variable length in HDF5: a length, a heap or a chunk that was changed costs neither memory nor time."""

from __future__ import annotations

import os
import struct
import subprocess
import sys
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from builders.ismrmrd_files import acquisition, header, write

from acqplan.core import hdf5
from acqplan.core.errors import AcquisitionError
from acqplan.modalities.mri.formats.ismrmrd.reader import read

TEXT = h5py.special_dtype(vlen=bytes)
TABLE = np.dtype([("head", "<i4"), ("word", TEXT), ("data", h5py.vlen_dtype(np.dtype("<f4")))])


def random_kspace(n_ky: int, n_readout: int) -> Any:
    parts = np.random.default_rng(0).normal(size=(2, 2, n_ky, n_readout))
    return (parts[0] + 1j * parts[1]).astype(np.complex64)


def scan(folder: Path) -> Path:
    kspace = random_kspace(16, 16)
    return write(
        folder / "scan.h5", header((16, 16, 1), (16, 16, 1)), [acquisition(kspace[:, ky], ky=ky) for ky in range(16)]
    )


def place_of(path: Path, name: str, offset: int = 0) -> int:
    """Where the first row of a dataset lies in the file."""
    with h5py.File(path) as file:
        found = file[name].id
        return int((found.get_chunk_info(0).byte_offset if file[name].chunks else found.get_offset()) + offset)


def changed(path: Path, place: int, content: bytes) -> None:
    with path.open("r+b") as stream:
        stream.seek(place)
        stream.write(content)


def refused(path: Path, told: str) -> None:
    """In a process of its own: within two seconds of processor time and 512 MiB, in words."""
    program = (
        "import resource, sys, time\nfrom pathlib import Path\nimport h5py, ismrmrd.xsd, torch\n"
        "from acqplan.core.errors import AcquisitionError\n"
        "from acqplan.modalities.mri.formats.ismrmrd.reader import read\n"
        "before, started = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.process_time()\n"
        "try:\n    read(Path(sys.argv[1]))\nexcept AcquisitionError as error:\n    print(error)\n"
        "print(time.process_time() - started, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)\n"
    )
    done = subprocess.run([sys.executable, "-c", program, str(path)], capture_output=True, text=True, timeout=60)
    words, measured = done.stdout.strip().splitlines()
    seconds, kilobytes = map(float, measured.split())
    assert told in words
    assert seconds < 2
    assert kilobytes < 512 << 10


@pytest.mark.parametrize("name", ["dataset/xml", "dataset/data"])
def test_a_length_that_the_file_cannot_hold_is_refused_at_once(name: str, tmp_path: Path) -> None:
    path = scan(tmp_path)
    with h5py.File(path) as file:
        kind = file[name].id.get_type()
        offset = kind.get_member_offset(kind.get_member_index(b"data")) if name.endswith("data") else 0
    changed(path, place_of(path, name, offset), struct.pack("<I", 0xFFFF_FFF0))
    refused(path, f"the values in {name.split('/')[1]} claim")


def test_a_heap_without_an_end_is_refused_at_once(tmp_path: Path) -> None:
    path = scan(tmp_path)
    heap = path.read_bytes().index(b"GCOL")
    changed(path, heap + 16 + 8, struct.pack("<Q", 2**64 - 16))  # of its first object, which has no end
    refused(path, "points to a heap that is damaged")
    changed(path, heap, b"GONE")
    refused(path, "points to a heap that isn't there")


def test_an_encoded_matrix_that_the_file_cannot_fill_is_refused(tmp_path: Path) -> None:
    kspace = random_kspace(6, 8)
    lines = [acquisition(kspace[:, ky % 6], ky=ky % 6) for ky in range(200)]
    path = write(tmp_path / "scan.h5", header((60_000, 6, 1), (60_000, 6, 1)), lines)
    assert os.stat(path).st_size < 1 << 20
    with pytest.raises(AcquisitionError, match="its encoded matrix of readouts claims"):
        read(path)


@pytest.mark.parametrize(
    "stored",
    [{}, {"chunks": (3,)}, {"chunks": (3,), "compression": "gzip", "shuffle": True, "fletcher32": True}],
    ids=["one block", "chunks", "packed"],
)
def test_lengths_are_found_however_they_are_stored(stored: dict[str, Any], tmp_path: Path) -> None:
    rows = np.empty(7, TABLE)
    for i in range(7):
        rows[i] = (i, b"word " * i, np.arange(i, dtype="<f4"))
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_dataset("rows", data=rows, **stored)
        file.create_dataset("one", data=[b"a text"], dtype=TEXT)
        file["scalar"] = "a text"
    with hdf5.opened(tmp_path / "a.h5") as file:
        found = hdf5.dataset_of(file, "rows")
        assert found is not None
        assert [(row["word"], len(row["data"])) for row in found[()]] == [(b"word " * i, i) for i in range(7)]
        for name in ("one", "scalar"):
            assert hdf5.dataset_of(file, name) is not None
    if "compression" in stored:
        return
    for name, offset in (("rows", 4), ("rows", 20), ("one", 0), ("scalar", 0)):
        content = (tmp_path / "a.h5").read_bytes()
        (tmp_path / "b.h5").write_bytes(content)
        changed(tmp_path / "b.h5", place_of(tmp_path / "a.h5", name, offset), struct.pack("<I", 1 << 20))
        with hdf5.opened(tmp_path / "b.h5") as file, pytest.raises(ValueError, match=f"the values in {name} claim"):
            hdf5.dataset_of(file, name)


def test_a_group_that_holds_itself_is_walked_once(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        group = file.create_group("group")
        file["numbers"] = np.arange(3)
        for i in range(50):
            group[f"again {i}"] = group
            group[f"root {i}"] = file["/"]
        file["linked"] = h5py.ExternalLink("b.h5", "data")
    with hdf5.opened(tmp_path / "a.h5") as file:
        assert list(hdf5.datasets_of(file)) == ["numbers"]
