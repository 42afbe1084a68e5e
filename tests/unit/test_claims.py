"""Decompression bombs are refused before they cost memory or time, and sound files are not."""

from __future__ import annotations

import gzip
import io
import struct
import subprocess
import sys
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from acqplan.core import claims
from acqplan.images import load_stacks

_MEASURED = """
import resource, sys, time
import numpy, h5py, nibabel, torch
from acqplan.core.errors import AcqplanError
from acqplan.images import load_stacks
from acqplan.modalities.dmd.traces.files import read_table
read = {"images": lambda path: load_stacks([path]), "trace": read_table}[sys.argv[2]]
before, started = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.process_time()
try:
    read(__import__("pathlib").Path(sys.argv[1]))
    print("read")
except AcqplanError:
    print("refused")
print(time.process_time() - started, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


def nifti_bomb(folder: Path) -> tuple[Path, str]:
    """A gzipped NIfTI of two gigabytes of zeros."""
    header = nib.Nifti1Image(np.zeros((2, 2, 2), np.float32), np.eye(4)).header
    header.set_data_shape((800, 800, 800))
    head = header.binaryblock + b"\0\0\0\0"
    packer = zlib.compressobj(9, wbits=31)
    parts = [packer.compress(head)] + [packer.compress(bytes(1 << 24)) for _ in range(123)]
    path = folder / "bomb.nii.gz"
    path.write_bytes(b"".join([*parts, packer.flush()]))
    return path, "images"


def npz_bomb(folder: Path) -> tuple[Path, str]:
    path = folder / "bomb.npz"
    head = io.BytesIO()
    np.lib.format.write_array_header_1_0(head, {"descr": "<f4", "fortran_order": False, "shape": (1, 1 << 15, 1 << 14)})
    with (
        zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive,
        archive.open("images.npy", "w", force_zip64=True) as member,
    ):
        member.write(head.getvalue())
        for _ in range(1 << 7):
            member.write(bytes(1 << 24))
    return path, "images"


def npz_header(folder: Path) -> tuple[Path, str]:
    """A header that claims more than the member holds."""
    path = folder / "header.npz"
    head = io.BytesIO()
    np.lib.format.write_array_header_1_0(head, {"descr": "<f8", "fortran_order": False, "shape": (1, 1 << 17, 1 << 17)})
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("images.npy", head.getvalue() + bytes(64))
    return path, "images"


def mat_bomb(folder: Path) -> tuple[Path, str]:
    packer = zlib.compressobj(9)
    packed = b"".join([*(packer.compress(bytes(1 << 24)) for _ in range(128)), packer.flush()])
    head = b"MATLAB 5.0 MAT-file".ljust(124) + struct.pack("<H", 0x0100) + b"IM"
    path = folder / "bomb.mat"
    path.write_bytes(head + struct.pack("<II", 15, len(packed)) + packed)
    return path, "trace"


@pytest.mark.parametrize("make", [nifti_bomb, npz_bomb, npz_header, mat_bomb])
def test_a_bomb_is_refused_at_once(make: Callable[[Path], tuple[Path, str]], tmp_path: Path) -> None:
    path, what = make(tmp_path)
    command = [sys.executable, "-c", _MEASURED, str(path), what]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    outcome, measured = done.stdout.strip().splitlines()
    seconds, kilobytes = map(float, measured.split())
    assert outcome == "refused"
    assert seconds < 4  # of processor time; two on a machine of its own
    assert kilobytes < 512 << 10


def test_what_measured_data_are_packed_to_is_believed(tmp_path: Path) -> None:
    volume = np.random.default_rng(0).random((24, 64, 64), dtype=np.float32)
    nib.save(nib.Nifti1Image(volume, np.eye(4)), tmp_path / "volume.nii.gz")
    np.savez_compressed(tmp_path / "volume.npz", images=volume)
    assert len(load_stacks([tmp_path / "volume.nii.gz"])) == len(load_stacks([tmp_path / "volume.npz"])) == 1


def test_gzip_of_several_members_is_unpacked_whole() -> None:
    data = gzip.compress(b"one") + gzip.compress(b"two") + bytes(7)
    assert claims.gunzipped(data) == b"onetwo"
    with pytest.raises(ValueError, match="cut off"):
        claims.gunzipped(gzip.compress(bytes(range(256)) * 9)[:-12])
