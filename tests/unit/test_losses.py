"""Losses against their formulas and against other implementations."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from builders.batches import make_counts, make_images, make_sensing

from acqplan.core.math.metrics import ssim
from acqplan.modalities.dmd.sensing import HadamardDMD
from acqplan.modalities.mri.sensing import CartesianMRI
from acqplan.reconstructors.hqs import HQS
from acqplan.reconstructors.losses import (
    DataConsistency,
    HeldBack,
    MeanSquaredError,
    StructuralDissimilarity,
    Target,
    TotalVariation,
    WaveletNorm,
)
from acqplan.sensing.measurement import measured

SENSING: dict[str, Any] = {
    "lines": CartesianMRI((16, 24), "lines"),
    "points": CartesianMRI((24, 16), "points"),
    "hadamard": HadamardDMD((16, 16)),
}


@pytest.mark.parametrize("name", SENSING)
def test_the_unsupervised_losses_are_the_objective_of_hqs(name: str) -> None:
    sensing = SENSING[name]
    counts = make_counts(sensing)
    coefficients = measured(sensing.coefficients(make_images(sensing)), counts, sensing)
    solution = HQS(wavelet_weight=0.01, tv_weight=0.02, iterations=40, tolerance=0.0).solve(
        coefficients, counts, sensing
    )
    target = Target(coefficients, counts, sensing)
    sum_of_losses = (
        DataConsistency()(solution.image, target)
        + 0.01 * WaveletNorm()(solution.image, target)
        + 0.02 * TotalVariation()(solution.image, target)
    )
    pixels = solution.image[0].numel()
    expected = solution.objective[:, -1] / (pixels * target.scale[:, 0, 0].double().square())
    torch.testing.assert_close(sum_of_losses.double(), expected, rtol=1e-4, atol=0)


def test_ssim_is_that_of_the_metrics() -> None:
    sensing = SENSING["points"]
    truth, image = make_images(sensing, 2), make_images(sensing, 2, seed=1)
    image = truth + 0.2 * image
    target = Target(sensing.coefficients(truth), make_counts(sensing), sensing, truth)
    expected = [1 - ssim(x.numpy(), t.numpy(), float(t.abs().max())) for x, t in zip(image, truth, strict=True)]
    torch.testing.assert_close(StructuralDissimilarity()(image, target), torch.tensor(expected), rtol=1e-4, atol=1e-5)


def test_mse_is_relative_to_each_truth() -> None:
    sensing = make_sensing("points")
    truth = make_images(sensing, 2) * torch.tensor([1.0, 50.0])[:, None, None]
    target = Target(sensing.coefficients(truth), make_counts(sensing), sensing, truth)
    torch.testing.assert_close(MeanSquaredError()(1.1 * truth, target), torch.full((2,), 0.01), rtol=1e-4, atol=0)


def test_held_back_is_the_sum_of_two_relative_norms_over_hidden_units() -> None:
    sensing = make_sensing("points")
    truth, image = make_images(sensing), make_images(sensing, seed=1)
    hidden = (torch.arange(sensing.n_units) % 3 == 0).float()[None]
    target = Target(sensing.coefficients(truth), 1 - hidden, sensing, held_back=hidden)
    y, prediction = (sensing.coefficients(x)[hidden > 0] for x in (truth, image))
    expected = (prediction - y).norm() / y.norm() + (prediction - y).abs().sum() / y.abs().sum()
    torch.testing.assert_close(HeldBack()(image, target)[0], expected, rtol=1e-4, atol=0)
    assert float(HeldBack()(truth, target)) < 1e-5
