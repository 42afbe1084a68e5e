"""BART's ``ecalib`` and ``pics`` on readings of an MRI plan, as the benchmarks compare with them.

Images have a known scale (their peak is near 1) and maps are normalised, so that ``pics -w 1`` keeps it and nothing is
fitted. ``ecalib`` makes one set of maps with a kernel as narrow as acqplan's, not cropped.
"""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from acqplan.modalities.mri.sensing import CartesianMRI
from acqplan.reconstructors.reconstructor import Reconstructor
from acqplan.sensing.model import SensingModel

Complex = npt.NDArray[np.complex64]
ITERATIONS = {"wavelet": 100, "tv": 500}
"""Total variation converges slowly: on 64 × 64 slices its best weight gained 0.6 to 1.6 dB from 100 to 1000
iterations, half of it by 300; wavelets gained nothing."""
NARROW = 14  # calibration regions up to here get a kernel of 4 samples, wider ones of 5
TERMS = {"wavelet": "W", "tv": "T"}


def is_installed() -> bool:
    """Whether BART is on the path."""
    return shutil.which("bart") is not None


class Pics(Reconstructor):
    """``pics`` with one regulariser, on the maps of the sensing model or on those of ``ecalib``.

    Parameters
    ----------
    regulariser
        ``wavelet`` or ``tv``.
    weight
        Of it, for images whose peak is near 1.
    estimates_maps
        Maps from the calibration region of each image's readings, by ``ecalib``.
    """

    kind, summary, reference, is_trained = "pics", "BART", "https://mrirecon.github.io/bart/", False

    def __init__(self, regulariser: str, weight: float, *, estimates_maps: bool = False) -> None:
        super().__init__(regulariser=regulariser, weight=weight, estimates_maps=estimates_maps)
        self.regulariser, self.weight, self.estimates_maps = regulariser, weight, estimates_maps

    def forward(self, coefficients: torch.Tensor, counts: torch.Tensor, sensing: SensingModel) -> torch.Tensor:
        assert isinstance(sensing, CartesianMRI)
        grids, maps = sensing.to_grid(coefficients).numpy(), sensing.coil_maps
        images, iterations = [], ITERATIONS[self.regulariser]
        for i, grid in enumerate(grids):
            own = None if maps is None else (maps[i] if maps.ndim == 4 else maps).numpy()
            mask = counts[min(i, len(counts) - 1)].numpy() > 0
            given = None if self.estimates_maps and len(grid) > 1 else own
            images.append(pics(grid, mask, sensing, given, self.regulariser, self.weight, iterations))
        return torch.from_numpy(np.stack(images))


def pics(
    grid: Complex,
    mask: npt.NDArray[np.bool_],
    sensing: CartesianMRI,
    maps: Complex | None,
    regulariser: str,
    weight: float,
    iterations: int,
) -> Complex:
    """Image[rows, columns] of k-space[C, rows, columns] and bool[K] of what was measured.

    ``maps``: complex64[C, rows, columns]; None: those of ``ecalib``, of one coil ones.
    """
    encoding, (rows, columns) = sensing.encoding, sensing.image_shape
    measured = mask.reshape(rows, -1) * np.ones((1, rows, columns))  # a line is repeated along its readout
    axes = 3 if encoding == "lines" else 6  # bits of the axes of the image
    if maps is None and len(grid) == 1:
        maps = np.ones_like(grid)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_cfl(folder / "kspace", to_bart(grid, encoding))
        write_cfl(folder / "pattern", to_bart(measured, encoding))
        if maps is None:
            width = sensing.measured_width(np.flatnonzero(mask))
            kernel = "4" if width <= NARROW else "5"
            run(folder, "ecalib", "-m1", "-c0", f"-k{kernel}", f"-r{width}", "kspace", "maps")
        else:
            write_cfl(folder / "maps", to_bart(maps, encoding))
        term = f"{TERMS[regulariser]}:{axes}:0:{weight:.6g}"
        run(folder, "pics", "-w1", f"-i{iterations}", "-R", term, "-p", "pattern", "kspace", "maps", "image")
        image = np.fromfile(folder / "image.cfl", "<c8")
    shape = (columns, rows) if encoding == "lines" else (rows, columns)
    image = image.reshape(shape, order="F")
    return np.ascontiguousarray(image.T if encoding == "lines" else image)


def write_cfl(path: Path, values: npt.NDArray[Any]) -> None:
    """BART's pair of files."""
    path.with_suffix(".hdr").write_text("# Dimensions\n" + " ".join(map(str, values.shape)) + "\n")
    np.asarray(values, "<c8").ravel(order="F").tofile(path.with_suffix(".cfl"))


def to_bart(grid: npt.NDArray[Any], encoding: str) -> npt.NDArray[Any]:
    """[coils, rows, columns] -> (readout, ky, kz, coil)."""
    return grid.transpose(2, 1, 0)[:, :, None] if encoding == "lines" else grid.transpose(1, 2, 0)[None]


def run(folder: Path, *command: str) -> None:
    """One of BART's programs."""
    subprocess.run(["bart", *command], cwd=folder, check=True, capture_output=True)
