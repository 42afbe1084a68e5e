"""PSNR, SSIM, NRMSE, HFEN and ring correlation by hand and against a plain loop."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from scipy import ndimage

from acqplan.core.math import metrics
from acqplan.core.math.metrics import METRICS, frc, hfen, nrmse, psnr, ring_correlation, ssim
from acqplan.core.measures import MEASURES

Array = npt.NDArray[Any]


def images(seed: int = 0, shape: tuple[int, int] = (13, 11)) -> tuple[Array, Array]:
    random = np.random.default_rng(seed)
    truth = random.random(shape)
    return truth + 0.2 * random.normal(size=shape), truth


def test_psnr_by_hand() -> None:
    truth = np.zeros((4, 4))
    image = np.full((4, 4), 0.1)
    assert psnr(image, truth, 1.0) == pytest.approx(20.0)
    assert psnr(image, truth, 10.0) == pytest.approx(40.0)
    one_pixel = truth.copy()
    one_pixel[1, 2] = 1
    assert psnr(one_pixel, truth, 2.0) == pytest.approx(10 * math.log10(4 * 16))
    assert psnr(truth, truth, 1.0) == math.inf


def test_nrmse_by_hand() -> None:
    truth = np.array([[3.0, 4.0], [0.0, 0.0]])
    assert nrmse(truth + np.array([[0, 0], [1, 0]]), truth) == pytest.approx(0.2)
    assert nrmse(np.zeros((2, 2)), truth) == 1.0
    assert nrmse(truth, truth) == 0.0
    assert nrmse(np.zeros((2, 2)), np.zeros((2, 2))) == 0.0


def plain_ssim(x: Array, y: Array, data_range: float) -> float:
    """Wang et al. 2004 window by window, with sample covariances."""
    c1, c2 = (0.01 * data_range) ** 2, (0.03 * data_range) ** 2
    values = []
    for i in range(x.shape[0] - 6):
        for j in range(x.shape[1] - 6):
            a, b = x[i : i + 7, j : j + 7].ravel(), y[i : i + 7, j : j + 7].ravel()
            (var_a, cov), (_, var_b) = np.cov(a, b)
            luminance = (2 * a.mean() * b.mean() + c1) / (a.mean() ** 2 + b.mean() ** 2 + c1)
            values.append(luminance * (2 * cov + c2) / (var_a + var_b + c2))
    return float(np.mean(values))


@pytest.mark.parametrize("shape", [(13, 11), (7, 7), (20, 9)])
@pytest.mark.parametrize("data_range", [1.0, 0.3, 255.0])
def test_ssim_is_that_of_a_plain_loop(shape: tuple[int, int], data_range: float) -> None:
    image, truth = images(1, shape)
    assert ssim(image, truth, data_range) == pytest.approx(plain_ssim(image, truth, data_range), rel=1e-9)


def test_ssim_of_equal_images_is_one_and_it_is_symmetric() -> None:
    image, truth = images()
    assert ssim(truth, truth, 1.0) == pytest.approx(1.0)
    assert ssim(image, truth, 1.0) == pytest.approx(ssim(truth, image, 1.0))
    assert ssim(1 - truth, truth, 1.0) < 0 < ssim(image, truth, 1.0) < 1


def test_ssim_of_flat_images_compares_their_levels() -> None:
    dark, bright = np.full((9, 9), 0.2), np.full((9, 9), 0.6)
    assert ssim(dark, bright, 1.0) == pytest.approx((2 * 0.2 * 0.6 + 1e-4) / (0.2**2 + 0.6**2 + 1e-4))


def test_ssim_needs_a_whole_window() -> None:
    with pytest.raises(ValueError, match="at least 7 pixels a side"):
        ssim(np.zeros((6, 20)), np.zeros((6, 20)), 1.0)


def test_complex_images_are_compared_by_magnitude() -> None:
    image, truth = images()
    phase = np.exp(2j * np.pi * np.random.default_rng(2).random(truth.shape))
    image = np.abs(image)
    for metric in (lambda x, y: psnr(x, y, 1.0), lambda x, y: ssim(x, y, 1.0), nrmse):
        expected = metric(image, truth)
        assert metric(image * phase, truth) == pytest.approx(expected)
        assert metric((image * phase).astype(np.complex64), truth * phase[::-1]) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_whole_numbers_do_not_wrap_around(dtype: type[np.generic]) -> None:
    low, high = np.full((8, 8), 1).astype(dtype), np.full((8, 8), 4).astype(dtype)
    assert psnr(low, high, 255.0) == pytest.approx(10 * math.log10(255**2 / 9))
    assert psnr(high, low, 255.0) == psnr(low, high, 255.0)
    assert nrmse(low, high) == pytest.approx(0.75)


def test_every_measure_has_a_name_and_a_function() -> None:
    assert set(METRICS) == set(MEASURES)
    truth = images(3, (32, 32))[1]
    noise = np.random.default_rng(3).normal(size=truth.shape)
    for name, measure in MEASURES.items():
        worse, better = METRICS[name](truth + 2 * noise, truth, 1.0), METRICS[name](truth + 0.2 * noise, truth, 1.0)
        assert measure.larger_is_better is bool(better > worse), name


def test_hfen_is_of_what_the_laplacian_of_a_gaussian_keeps() -> None:
    _, truth = images(4, (40, 40))
    offsets = np.arange(-7, 8)
    r2 = offsets[:, None] ** 2 + offsets**2
    kernel = (r2 - 2 * 1.5**2) / 1.5**4 * np.exp(-r2 / (2 * 1.5**2))
    wrong = truth + 0.1 * np.eye(40)
    kept = [ndimage.convolve(each, kernel) for each in (wrong - truth, truth - truth.mean())]
    assert hfen(wrong, truth) == pytest.approx(np.linalg.norm(kept[0]) / np.linalg.norm(kept[1]), rel=0.02)
    assert hfen(truth + 5, truth) < 0.01
    assert hfen(truth, truth) == 0


def plain_ring_correlation(image: Array, truth: Array) -> list[float]:
    """Ring by ring over the whole plane, without a taper."""
    first, second = (np.fft.fft2(each - each.mean()) for each in (image, truth))
    n = min(truth.shape)
    radius = np.round(np.hypot(np.fft.fftfreq(truth.shape[0])[:, None], np.fft.fftfreq(truth.shape[1])) * n)
    found = []
    for ring in range(1, n // 2 + 1):
        x, y = first[radius == ring], second[radius == ring]
        found.append(float((x * y.conj()).sum().real / np.sqrt((abs(x) ** 2).sum() * (abs(y) ** 2).sum())))
    return found


@pytest.mark.parametrize("shape", [(16, 16), (15, 15), (24, 16), (13, 22)])
def test_ring_correlation_is_that_of_a_plain_loop(shape: tuple[int, int], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metrics, "_TAPER", 0.0)
    metrics._rings.cache_clear()
    image, truth = images(5, shape)
    frequencies, found = ring_correlation(image, truth)
    metrics._rings.cache_clear()
    assert found == pytest.approx(plain_ring_correlation(image, truth))
    assert frequencies[0] == 1 / min(shape)
    assert frequencies[-1] <= 0.5


def test_resolution_ends_where_the_image_does() -> None:
    truth = np.random.default_rng(6).random((96, 96))
    radius = np.hypot(np.fft.fftfreq(96)[:, None], np.fft.fftfreq(96))
    noise = 0.02 * np.random.default_rng(7).normal(size=truth.shape)
    for cutoff in (0.1, 0.2, 0.3):
        spectrum = np.where(radius < cutoff, np.fft.fft2(truth), 0)
        assert frc(np.fft.ifft2(spectrum).real + noise, truth) == pytest.approx(cutoff, abs=0.015)
    assert frc(truth, truth) == 0.5
    assert frc(3 * truth + 1, truth) == 0.5
    assert frc(np.zeros_like(truth), truth) == frc(1 - truth, truth) == 0
    assert frc(np.ones((8, 8)), np.zeros((8, 8))) == 0.5


def test_the_threshold_is_where_noise_has_three_times_the_energy() -> None:
    """The correlation with the truth is √(S/(S + N)): that of two halves is 1/7 where each has N = 6 S."""
    random = np.random.default_rng(8)
    truth, noise = random.normal(size=(2, 256, 256))
    at_threshold = ring_correlation(truth + math.sqrt(3) * noise, truth)[1]
    assert at_threshold[64:].mean() == pytest.approx(metrics.FRC_THRESHOLD, abs=0.02)
    assert frc(truth + noise, truth) == 0.5
    assert frc(truth + 3 * noise, truth) < 0.1
