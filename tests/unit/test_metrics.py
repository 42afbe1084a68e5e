"""PSNR, SSIM and NRMSE by hand and against a plain loop."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from acqplan.core.math.metrics import nrmse, psnr, ssim

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
