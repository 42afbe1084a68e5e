"""A plain raster scan beside a DMD plan."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from acqplan.images import ImageRecord
from acqplan.modalities.dmd.in_use import raster_words
from acqplan.modalities.dmd.noise import PoissonGaussian
from acqplan.modalities.dmd.raster import expected_error, rasters, scanned


def record(side: int = 32, seed: int = 0) -> ImageRecord:
    rng = np.random.default_rng(seed)
    array = rng.uniform(0.1, 0.3, (side, side)).astype(np.float32)
    array[8:14, 10:20] = 1
    return ImageRecord(array, "cell", "cell.tif", 0, float(array.max()), False)


@pytest.mark.parametrize(("block", "frames"), [(1, 0.25), (2, 1.0), (4, 30.0)])
def test_the_expected_error_is_that_of_simulated_scans(block: int, frames: float) -> None:
    noise, image = PoissonGaussian(20.0, 2.0, 3.0), record()
    generator = torch.Generator().manual_seed(0)
    errors = [np.square(scanned(image, noise, block, frames, generator) - image.array).mean() for _ in range(60)]
    assert np.mean(errors) == pytest.approx(10 ** expected_error(image, noise, block, frames), rel=0.05)


def test_without_noise_a_scan_of_single_pixels_is_the_image() -> None:
    image = record()
    found = scanned(image, PoissonGaussian(1e8, 0.0), 1, 1.0, torch.Generator().manual_seed(0))
    np.testing.assert_allclose(found, image.array, atol=1e-3)


def found_with(photons: float) -> dict[str, dict[str, Any]]:
    return rasters(PoissonGaussian(photons), 256, 128.0, [record(seed=1)], [record()], seed=0)


def test_each_pixel_is_lit_for_its_share_of_the_time_or_for_as_long_as_in_the_plan() -> None:
    found = found_with(1e6)
    assert found["same_time"]["block"] == found["same_light"]["block"] == 1
    assert found["same_time"]["frames"] == 256 / 32**2
    assert found["same_time"]["total_frames"] == 256
    assert found["same_light"]["frames"] == 128
    assert found["same_light"]["total_frames"] == 128 * 32**2


def test_with_the_same_light_a_raster_is_far_better_than_in_the_same_time() -> None:
    found = found_with(20.0)
    assert found["same_light"]["psnr_db"] > found["same_time"]["psnr_db"] + 6


def test_scarce_light_asks_for_larger_blocks() -> None:
    assert found_with(5.0)["same_time"]["block"] > found_with(1e5)["same_time"]["block"]


def test_the_words_tell_all_three() -> None:
    words = raster_words(found_with(20.0), 25.0, 256)  # type: ignore[arg-type]
    assert "this plan 25.00 dB" in words
    assert "times the time" in words
