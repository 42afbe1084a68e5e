"""A plain raster scan with the same microscope: what a plan's image has to be better than.

The mirrors of one block of q × q pixels are on at a time, and the detector is read once for each block. x is the image
in photo-electrons that a pixel gives during one frame, X its sum over a block, t the frames that a block is lit for, b
the dark counts of a frame, σ the read noise. The mean of a block is then known with the variance
(X t + b t + σ²)/(t q²)², and stands for each of its pixels. Larger blocks resolve less, but give more light and are lit
for longer; the best q is chosen on validation images.

Two scans are told. In the *same time* as the plan's F frames, t = F q²/N. With the *same light* on the sample, t is the
number of frames for which the plan lights a pixel: the raster then takes longer, or needs a brighter lamp. Under shot
noise Hadamard patterns have no advantage over a raster in the same time: the noise of bright pixels is spread over all,
so that dark ones get more than their own (Harwit and Sloane, *Hadamard Transform Optics*, 1979). With the same light
they are far worse, since each pixel is lit in half of the frames, for the others' sake.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch

from acqplan.core.math.metrics import psnr, ssim
from acqplan.core.seeding import torch_generator
from acqplan.images import ImageRecord
from acqplan.modalities.dmd.noise import PoissonGaussian

BLOCKS = (1, 2, 4, 8)


@dataclass(frozen=True)
class Raster:
    """A raster scan: ``block`` pixels wide and high, lit for ``frames`` frames' time each; in all, ``total_frames``.

    ``psnr_db`` and ``ssim``: means over the held-out images, simulated.
    """

    block: int
    frames: float
    total_frames: float
    psnr_db: float
    ssim: float


def rasters(
    noise: PoissonGaussian,
    frames: int,
    light_frames: float,
    validation: Sequence[ImageRecord],
    test: Sequence[ImageRecord],
    seed: int,
) -> dict[str, dict[str, Any]]:
    """The two raster scans beside a plan, JSON-ready: ``same_time`` and ``same_light``, as `Raster`.

    Parameters
    ----------
    frames, light_frames
        Of the plan: all that are shown, and those during which a mean pixel is on.
    validation, test
        The images that the block is chosen by, and those that the figures are of.
    """
    n_pixels, shape = test[0].array.size, test[0].array.shape
    blocks = [q for q in BLOCKS if all(side % q == 0 for side in shape)]
    return {
        "same_time": asdict(_best({q: frames * q**2 / n_pixels for q in blocks}, noise, validation, test, seed)),
        "same_light": asdict(_best(dict.fromkeys(blocks, light_frames), noise, validation, test, seed)),
    }


def _best(
    lit: dict[int, float],
    noise: PoissonGaussian,
    validation: Sequence[ImageRecord],
    test: Sequence[ImageRecord],
    seed: int,
) -> Raster:
    """The scan with the block that suits the validation images; ``lit``: the frames that each block is lit for."""
    error = {q: np.mean([expected_error(record, noise, q, t) for record in validation]) for q, t in lit.items()}
    q = min(lit, key=lambda block: error[block])
    generator = torch_generator(seed, "raster")
    images = [(scanned(record, noise, q, lit[q], generator), record) for record in test]
    return Raster(
        q,
        lit[q],
        lit[q] * test[0].array.size / q**2,
        float(np.mean([psnr(image, record.array, float(record.data_range)) for image, record in images])),
        float(np.mean([ssim(image, record.array, float(record.data_range)) for image, record in images])),
    )


def expected_error(record: ImageRecord, noise: PoissonGaussian, block: int, frames: float) -> float:
    """Expected logarithm (base 10) of the mean squared error over the squared peak: what PSNR is the mean of."""
    x = torch.from_numpy(record.array) * noise.image_scale
    sums = _sums(x, block)
    spread = _spread(sums / block**2, block)
    variance = (sums * frames + noise.dark_e * frames + noise.read_noise_e**2) / (frames * block**2) ** 2
    error = (x - spread).square().mean() + variance.mean()
    return float(torch.log10(error / (record.data_range * noise.image_scale) ** 2))


def scanned(
    record: ImageRecord, noise: PoissonGaussian, block: int, frames: float, generator: torch.Generator
) -> np.ndarray[Any, np.dtype[np.float32]]:
    """float32[H, W]: the image that a raster scan gives, in the units of the record."""
    sums = _sums(torch.from_numpy(record.array) * noise.image_scale, block)
    lit = PoissonGaussian(noise.photons, noise.read_noise_e, noise.dark_e * frames)
    readings = lit.sample(sums * frames, generator=generator)
    return np.asarray(_spread(readings / (frames * block**2 * noise.image_scale), block).numpy())


def _sums(x: torch.Tensor, block: int) -> torch.Tensor:
    rows, columns = x.shape
    return x.reshape(rows // block, block, columns // block, block).sum((1, 3))


def _spread(values: torch.Tensor, block: int) -> torch.Tensor:
    return values.repeat_interleave(block, 0).repeat_interleave(block, 1)
