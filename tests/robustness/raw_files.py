"""Files that acqplan reads and doesn't write: raw data of scanners, images as other programs write them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import h5py
import nibabel as nib
import numpy as np
import tifffile
from builders.ismrmrd_files import acquisition, header, kspace_of, oversampled, smooth, write
from builders.plans import make_plan
from builders.twix_files import COILS, COLUMNS, ROWS, sound
from ismrmrd import xsd

from acqplan.plan.plan import Plan


def written(folder: Path, kind: str) -> Iterator[tuple[Path, Plan]]:
    """Raw data of a format, with a plan whose lines they hold; nothing of the others."""
    if kind in _RAW:
        plan = make_plan("lines", np.arange(ROWS), np.arange(ROWS // 2 - 2, ROWS // 2 + 2))
        target = folder / "raw"
        target.mkdir(exist_ok=True)
        yield _RAW[kind](target), plan


def pictures(folder: Path, kind: str) -> list[Path]:
    """Image files of a format as other programs write them."""
    return [] if kind not in _PICTURES else _PICTURES[kind](folder)


def _twix(folder: Path) -> Path:
    return sound(folder / "meas.dat", smooth(2, COILS, ROWS, COLUMNS))


def _fastmri(folder: Path) -> Path:
    kspace = oversampled(smooth(2, COILS, ROWS, COLUMNS)).swapaxes(-1, -2)  # slices, coils, readout, ky
    path = folder / "file1000.h5"
    with h5py.File(path, "w") as file:
        file["kspace"] = kspace
        file["ismrmrd_header"] = xsd.ToXML(header((2 * COLUMNS, ROWS, 1), (COLUMNS, ROWS, 1)), encoding="utf-8")
        file["reconstruction_rss"] = np.ones((2, COLUMNS, COLUMNS), np.float32)
        file.attrs["max"] = 1.0
    return path


def _ismrmrd(folder: Path) -> Path:
    """Several coils, oversampled, with a noise scan and reflected readouts."""
    kspace = kspace_of(smooth(COILS, ROWS, 2 * COLUMNS))
    noise = np.random.default_rng(0).standard_normal((COILS, 64)).astype(np.complex64)
    lines = [acquisition(noise, flags=[19])]
    lines += [acquisition(kspace[:, ky], ky=ky, position=(0.0, 0.0, 0.0)) for ky in range(ROWS)]
    return write(folder / "scan.mrd", header((2 * COLUMNS, ROWS, 1), (COLUMNS, ROWS, 1)), lines)


_RAW: dict[str, Callable[[Path], Path]] = {"twix": _twix, "fastmri": _fastmri, "ismrmrd": _ismrmrd}


def _nifti(folder: Path) -> list[Path]:
    volume = np.random.default_rng(1).random((24, 20, 3)).astype(np.float32)
    for suffix in (".nii", ".nii.gz"):
        nib.save(nib.Nifti1Image(volume, np.diag([2.0, 2.0, 3.0, 1.0])), folder / f"volume{suffix}")
    return [folder / "volume.nii", folder / "volume.nii.gz"]


def _numpy(folder: Path) -> list[Path]:
    images = np.random.default_rng(2).random((3, 20, 24))
    np.save(folder / "stack.npy", images)
    np.savez(folder / "stack.npz", images)
    np.savez_compressed(folder / "packed.npz", images.astype(np.complex64))
    return [folder / name for name in ("stack.npy", "stack.npz", "packed.npz")]


def _tiff(folder: Path) -> list[Path]:
    images = (1000 * np.random.default_rng(3).random((3, 20, 24))).astype(np.uint16)
    tifffile.imwrite(folder / "pages.tif", images, photometric="minisblack")
    how = {"photometric": "minisblack", "compression": "zlib", "metadata": {"axes": "ZYX"}}
    tifffile.imwrite(folder / "packed.ome.tif", images, **how)
    return [folder / "pages.tif", folder / "packed.ome.tif"]


_PICTURES: dict[str, Callable[[Path], list[Path]]] = {"nifti": _nifti, "numpy": _numpy, "tiff": _tiff}
