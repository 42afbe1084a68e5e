"""Held-out images that are noisy themselves."""

from __future__ import annotations

import numpy as np
import pytest

from acqplan.images import ImageRecord
from acqplan.images.own_noise import own_noise
from acqplan.learning.evaluation import Evaluation
from acqplan.learning.noisy_truth import noisy_truth_warnings


def smooth(side: int = 64) -> np.ndarray:
    x = np.linspace(0, 3, side)
    return np.sin(x)[:, None] * np.cos(x / 2)[None, :] + 2.0


@pytest.mark.parametrize("std", [0.003, 0.03, 0.3])
@pytest.mark.parametrize("shape", [(64, 64), (63, 80)])
def test_white_noise_is_measured(std: float, shape: tuple[int, int]) -> None:
    image = smooth(80)[: shape[0], : shape[1]] + np.random.default_rng(0).normal(0, std, shape)
    assert own_noise(image) == pytest.approx(std, rel=0.1)


def test_a_smooth_image_has_none() -> None:
    assert own_noise(smooth()) < 1e-3


def test_edges_are_no_noise() -> None:
    image = np.zeros((64, 64))
    image[13:41, 17:50] = 1
    assert own_noise(image) == 0


def records(subject: str, std: float, n: int = 4) -> list[ImageRecord]:
    rng = np.random.default_rng(1)
    arrays = [(smooth() + rng.normal(0, std, (64, 64))).astype(np.float32) for _ in range(n)]
    return [
        ImageRecord(array, subject, f"{subject}.tif", i, float(array.max()), True) for i, array in enumerate(arrays)
    ]


def evaluation(images: list[ImageRecord], psnr_db: float) -> Evaluation:
    return Evaluation([{"subject": each.subject, "plan": {"psnr_db": psnr_db}} for each in images])


def test_noisy_truth_is_told_of_the_subject_that_has_it() -> None:
    images = records("grainy", 0.1) + records("clean", 0.0005)
    (told,) = noisy_truth_warnings(evaluation(images, 29.0), images)
    assert "Subject grainy: 4 of its 4" in told
    assert "score 30." in told  # 0.1 of a peak of about 3.2


def test_noise_that_is_small_beside_the_plans_error_is_not_told() -> None:
    images = records("grainy", 0.1)
    assert noisy_truth_warnings(evaluation(images, 24.0), images) == []
