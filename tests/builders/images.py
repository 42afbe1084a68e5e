"""Tiny images, and what a folder holds."""

from pathlib import Path

import nibabel as nib
import numpy as np
from scipy import ndimage

SLICES, SIDE = 6, 24


def blobs(seed: int, shape: tuple[int, ...]) -> np.ndarray:
    """Smooth non-negative float32 images with an object in the middle."""
    random = np.random.default_rng(seed)
    image = ndimage.gaussian_filter(random.normal(size=shape), 2.0)
    y, x = np.ogrid[-1 : 1 : 1j * shape[-2], -1 : 1 : 1j * shape[-1]]
    return ((1 + 3 * image) * (y**2 + x**2 < 0.7)).clip(0).astype(np.float32)


def write_volume(path: Path, seed: int, side: int = SIDE) -> None:
    """A NIfTI volume of `SLICES` axial slices, voxels of 2 × 2 × 3 mm."""
    volume = np.moveaxis(blobs(seed, (SLICES, side, side)), 0, 2)
    affine = np.diag([2.0, 2.0, 3.0, 1.0])
    affine[:3, 3] = (-20, -30, 40)
    nib.save(nib.Nifti1Image(volume, affine), path)


def snapshot(folder: Path) -> dict[str, bytes]:
    """Everything in a folder, temporary and hidden files too."""
    return {
        str(path.relative_to(folder)): path.read_bytes() if path.is_file() else b"folder" for path in folder.rglob("*")
    }
