"""Each data crime is found where it was done, and none where it wasn't."""

import io

import numpy as np
import pytest
import torch
from PIL import Image

from acqplan.core.math.transforms import fft_centred, ifft_centred
from acqplan.images import crimes, load_stacks
from acqplan.modalities.mri.phase import smooth_phase

SHAPE = (128, 112)


def anatomy(n: int = 4, noise: float = 0.003, seed: int = 0) -> np.ndarray:
    """Complex images with edges at all scales, a smooth phase and noise, as a scanner gives them."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[: SHAPE[0], : SHAPE[1]]
    images = np.zeros((n, *SHAPE))
    for image in images:
        for _ in range(80):
            cy, cx, a, b = rng.random(4) * [80, 70, 18, 18] + [24, 21, 1, 1]
            image += rng.uniform(-0.5, 1) * (((y - cy) / a) ** 2 + ((x - cx) / b) ** 2 < 1)
    images = np.abs(images) * ((y - 64) ** 2 / 50**2 + (x - 56) ** 2 / 44**2 < 1)
    phase = smooth_phase(n, SHAPE, torch.Generator().manual_seed(seed)).numpy()
    noisy = noise * (rng.standard_normal(images.shape) + 1j * rng.standard_normal(images.shape))
    return images / images.max() * np.exp(1j * phase) + noisy


def filtered(images: np.ndarray, keep: np.ndarray) -> np.ndarray:
    return ifft_centred(fft_centred(torch.from_numpy(images), (1, 2)) * torch.from_numpy(keep), (1, 2)).numpy()


def radii() -> tuple[np.ndarray, np.ndarray]:
    y, x = ((np.arange(n) - n // 2) / (n / 2) for n in SHAPE)
    return np.abs(y)[:, None] + 0 * x, np.abs(x)[None, :] + 0 * y[:, None]


@pytest.mark.parametrize("magnitude", [False, True])
@pytest.mark.parametrize("noise", [0.001, 0.01])
@pytest.mark.parametrize("edge", [0.5, 0.75, 0.9])
def test_zero_filled_rectangles_and_discs_are_found(edge, noise, magnitude):
    rows, columns = radii()
    images = anatomy(noise=noise)
    seen = [
        filtered(images, keep.astype(float))
        for keep in ((rows < edge) & (columns < edge), rows < edge, np.hypot(rows, columns) < edge)
    ]
    both, one, disc = (crimes.zero_filled(np.abs(s) if magnitude else s) for s in seen)
    percent = [f"{p}%" for p in range(round(100 * edge) - 2, round(100 * edge) + 7)]  # the window blurs the edge
    assert "of the rows and" in both
    assert "columns" not in one
    assert "disc" in disc
    assert all(any(p in found for p in percent) for found in (both, one, disc))


@pytest.mark.parametrize("noise", [0.0, 0.003, 0.05])
def test_scanner_images_and_smooth_decays_are_not_zero_filled(noise):
    images = anatomy(noise=noise)
    rows, columns = radii()
    for width in (0.2, 0.4, 0.8):  # a Gaussian filter, however narrow, is no step
        assert crimes.zero_filled(filtered(images, np.exp(-(rows**2 + columns**2) / (2 * width**2)))) is None
    assert crimes.found_in(images) == []
    assert crimes.found_in(np.abs(images).astype(np.float32)) == []
    assert crimes.found_in(np.random.default_rng(0).standard_normal((1, 64, 64))) == []
    assert crimes.found_in(np.ones((1, 64, 64))) == []


@pytest.mark.parametrize("quality", [50, 75, 90])
@pytest.mark.parametrize("scale", [1.0, 0.37])
def test_jpeg_blocks_are_found_even_after_cropping(quality, scale):
    for image in np.abs(anatomy(n=3)):
        packed = io.BytesIO()
        Image.fromarray((image / image.max() * 255).astype("u1")).save(packed, "JPEG", quality=quality)
        unpacked = np.asarray(Image.open(packed)).astype(np.float32)[None] * scale
        assert crimes.jpeg_blocks(unpacked) is not None
        assert crimes.jpeg_blocks(unpacked[:, 3:, 5:-2]) is not None
        assert crimes.jpeg_blocks(image[None]) is None


def test_a_magnitude_saved_as_complex_is_found_and_becomes_real(tmp_path):
    images = anatomy().astype(np.complex64)
    assert crimes.real_saved_as_complex(images) is None
    magnitude = np.abs(images)
    disguised = magnitude * np.exp(1j * np.array([0.3, -2, 3, 1.6]))[:, None, None].astype(np.complex64)
    found = crimes.real_saved_as_complex(disguised)
    assert np.allclose(found, magnitude)
    assert found.min() >= 0
    sign = np.where(np.arange(112) < 30, -1, 1)
    assert np.allclose(crimes.real_saved_as_complex(disguised * sign), magnitude * sign, atol=1e-6)
    np.save(tmp_path / "a.npy", disguised)
    (stack,) = load_stacks([tmp_path / "a.npy"])
    assert stack.is_magnitude
    assert stack.images.dtype == np.float32
    assert stack.warnings[0].startswith("a.npy: magnitude saved as complex")


def test_loading_warns_by_name_and_does_not_refuse(tmp_path):
    rows, columns = radii()
    np.save(tmp_path / "scan.npy", np.abs(filtered(anatomy(), ((rows < 0.75) & (columns < 0.75)).astype(float))))
    (stack,) = load_stacks([tmp_path])
    assert len(stack.warnings) == 1
    assert stack.warnings[0].startswith("scan.npy: Fourier-interpolated: k-space beyond 7")


def test_only_so_many_files_of_a_large_folder_are_examined(tmp_path, monkeypatch):
    for i in range(120):
        np.save(tmp_path / f"{i}.npy", np.full((8, 8), i + 1.0))
    looked_at = []
    monkeypatch.setattr(crimes, "found_in", lambda images: looked_at.append(1) or [])
    load_stacks([tmp_path])
    assert 25 <= len(looked_at) <= 50
