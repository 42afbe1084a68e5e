"""HDF5 files of strangers: nothing outside the file is read in their name, no size is believed."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest
from builders.plans import make_plan

from acqplan.core import hdf5
from acqplan.core.errors import AcqplanError, PlanFileError
from acqplan.formats.hdf5_files import Hdf5Files
from acqplan.images import load_stacks
from acqplan.learning import checkpoint
from acqplan.modalities.mri.formats.fastmri import FastMRI

SECRET = bytes(range(1, 129)) * 4


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    """A file that isn't the stranger's."""
    path = tmp_path / "secret"
    path.write_bytes(SECRET)
    with h5py.File(tmp_path / "other.h5", "w") as other:
        other["data"] = np.frombuffer(SECRET, np.complex64).reshape(1, 8, 8)
    return path


def external_link(file: h5py.File, name: str, secret: Path) -> None:
    file[name] = h5py.ExternalLink(str(secret.with_name("other.h5")), "data")


def soft_link(file: h5py.File, name: str, secret: Path) -> None:
    file["elsewhere"] = h5py.ExternalLink(str(secret.with_name("other.h5")), "data")
    file[name] = h5py.SoftLink("/elsewhere")


def external_storage(file: h5py.File, name: str, secret: Path) -> None:
    external = [(str(secret), 0, len(SECRET))]
    file.create_dataset(name, (1, 8, 8), np.complex64, external=external)


def virtual_dataset(file: h5py.File, name: str, secret: Path) -> None:
    layout = h5py.VirtualLayout((1, 8, 8), np.complex64)
    layout[:] = h5py.VirtualSource(str(secret.with_name("other.h5")), "data", (1, 8, 8))
    file.create_virtual_dataset(name, layout)


WAYS = [external_link, soft_link, external_storage, virtual_dataset]


@pytest.mark.parametrize("way", WAYS)
def test_training_images_are_never_another_file(way: Callable[..., None], secret: Path, tmp_path: Path) -> None:
    path = tmp_path / "strange.h5"
    with h5py.File(path, "w") as file:
        way(file, "kspace", secret)
    with pytest.raises(AcqplanError):
        load_stacks([path])


@pytest.mark.parametrize("way", WAYS)
def test_acquired_data_are_never_another_file(way: Callable[..., None], secret: Path, tmp_path: Path) -> None:
    path, plan = tmp_path / "strange.h5", make_plan("points")
    with h5py.File(path, "w") as file:
        way(file, "kspace", secret)
    with pytest.raises(AcqplanError):
        FastMRI().read_scan(path, plan)
    with h5py.File(path, "w") as file:
        hdf5.set_text(file, "format", "acqplan-acquired")
        file.attrs["format_version"] = 1
        way(file, "readings", secret)
    with pytest.raises(AcqplanError):
        Hdf5Files().read_scan(path, plan)


@pytest.mark.parametrize("way", WAYS)
def test_a_checkpoint_is_never_another_file(way: Callable[..., None], secret: Path, tmp_path: Path) -> None:
    path = tmp_path / "strange.checkpoint"
    with h5py.File(path, "w") as file:
        hdf5.set_text(file, "format", checkpoint.FORMAT)
        way(file, "order", secret)
    with pytest.raises(PlanFileError, match="damaged"):
        checkpoint.load(path)


def test_a_checkpoint_of_texts_is_damaged(tmp_path: Path) -> None:
    path = tmp_path / "strange.checkpoint"
    with h5py.File(path, "w") as file:
        hdf5.set_text(file, "format", checkpoint.FORMAT)
        file["order"] = "ky"
    with pytest.raises(PlanFileError, match="damaged"):
        checkpoint.load(path)


def claiming(path: Path, name: str, shape: tuple[int, ...]) -> None:
    """A file of a few kilobytes whose dataset claims any shape: nothing of it is stored."""
    with h5py.File(path, "w") as file:
        file.create_dataset(name, shape, np.complex64, chunks=(1, *shape[1:]), compression="gzip")


def test_a_size_that_the_file_cannot_hold_is_refused_before_anything_is_read(tmp_path: Path) -> None:
    path = tmp_path / "bomb.h5"
    claiming(path, "kspace", (100_000, 256, 256))
    assert path.stat().st_size < 10_000
    program = (
        "import resource, sys, time\nfrom acqplan.core.errors import AcqplanError\n"
        "from acqplan.images import load_stacks\n"
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\nstarted = time.perf_counter()\n"
        "try:\n    load_stacks([sys.argv[1]])\nexcept AcqplanError as error:\n    print(error)\n"
        "print(time.perf_counter() - started, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)\n"
    )
    done = subprocess.run([sys.executable, "-c", program, str(path)], capture_output=True, text=True, timeout=120)
    told, measured = done.stdout.strip().splitlines()
    assert "claims" in told
    seconds, kilobytes = map(float, measured.split())
    assert seconds < 10
    assert kilobytes < 512 << 10


def test_more_chunks_than_the_file_has_bytes_are_refused(tmp_path: Path) -> None:
    """Of empty chunks HDF5 takes a kilobyte each: 8 million of them were 6.6 GiB."""
    path = tmp_path / "chunks.h5"
    with h5py.File(path, "w") as file:
        file.create_dataset("order", (8_000_000,), np.int64, chunks=(1,), compression="gzip")
        file.create_dataset("few", (2000,), np.int64, chunks=(1,), compression="gzip")
    with h5py.File(path, "r") as file:
        with pytest.raises(ValueError, match="claims 8000000 chunks"):
            hdf5.numbers_of(file, "order")
        assert hdf5.numbers_of(file, "few").shape == (2000,)


def test_what_compresses_well_is_no_bomb(tmp_path: Path) -> None:
    path = tmp_path / "zeros.h5"
    with h5py.File(path, "w") as file:
        zeros = np.zeros((40, 256, 256), np.complex64)
        file.create_dataset("data", data=zeros, chunks=(1, 256, 256), compression="gzip")
    with h5py.File(path, "r") as file:
        assert hdf5.numbers_of(file, "data").shape == (40, 256, 256)


@pytest.mark.parametrize(
    ("kspace", "said"),
    [
        (np.zeros((2, 8, 8), np.int16), r"type int16 and shape \(2, 8, 8\).*Save it as complex numbers"),
        (np.zeros((2, 8, 8, 2), np.float32), r"real and imaginary parts along one axis"),
        (np.zeros((1, 2, 8, 8, 8), np.complex64), r"shape \(1, 2, 8, 8, 8\).*3D scan"),
    ],
)
def test_another_kind_of_kspace_is_named(kspace: np.ndarray, said: str, tmp_path: Path) -> None:
    path = tmp_path / "kspace.h5"
    with h5py.File(path, "w") as file:
        file["kspace"] = kspace
    for read in (lambda: load_stacks([path]), lambda: FastMRI().read_scan(path, make_plan("lines"))):
        with pytest.raises(AcqplanError, match=said):
            read()


def test_a_reconstruction_of_four_axes_is_named(tmp_path: Path) -> None:
    path = tmp_path / "rss.h5"
    with h5py.File(path, "w") as file:
        file["reconstruction_rss"] = np.ones((1, 2, 8, 8), np.float32)
    with pytest.raises(AcqplanError, match=r"shape \(1, 2, 8, 8\); real \(slices, H, W\) is expected"):
        load_stacks([path])
