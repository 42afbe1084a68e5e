"""Noise models: moments by Monte Carlo, repeats, reproducibility."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest
import torch

from acqplan.core import registry
from acqplan.core.errors import RecipeError
from acqplan.modalities.dmd.noise import PoissonGaussian
from acqplan.modalities.mri.noise import ComplexGaussian
from acqplan.sensing.noise import NoiseModel

N_DRAWS = 40_000
MODELS: list[NoiseModel] = [
    ComplexGaussian(0.3),
    PoissonGaussian(read_noise_e=2.0),
    PoissonGaussian(read_noise_e=0.0, dark_e=7.0),
    PoissonGaussian(read_noise_e=3.0, dark_e=5.0),
]
LEVELS = [0.0, 0.5, 20.0, 3000.0]


def expected_readings(model: NoiseModel, level: float, n: int = N_DRAWS) -> torch.Tensor:
    is_complex = isinstance(model, ComplexGaussian)
    return torch.full((n,), level * (0.6 - 0.8j)) if is_complex else torch.full((n,), level)


@pytest.mark.parametrize("model", MODELS, ids=str)
@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("repeats", [1, 4])
def test_mean_and_variance(model: NoiseModel, level: float, repeats: int) -> None:
    readings = expected_readings(model, level)
    generator = torch.Generator().manual_seed(1)
    noisy = model.sample(readings, generator=generator, counts=torch.full((1,), float(repeats)))
    assert noisy.dtype == readings.dtype
    assert noisy.shape == readings.shape
    error = (noisy - readings).numpy()
    variance = float(model.variance(readings)[0]) / repeats
    # Within 6 standard errors. Kurtosis of a Poisson variable of mean λ is 3 + 1/λ.
    assert abs(error.mean()) < 6 * np.sqrt(variance / N_DRAWS) + 1e-4 * level
    shot = max(level + getattr(model, "dark_e", 0.0), 0.1) * repeats
    assert (np.abs(error) ** 2).mean() == pytest.approx(variance, rel=6 * np.sqrt((2 + 1 / shot) / N_DRAWS))


def test_complex_noise_is_circular() -> None:
    readings = torch.zeros(N_DRAWS, dtype=torch.complex64)
    noise = ComplexGaussian(1.0).sample(readings, generator=torch.Generator().manual_seed(2)).numpy()
    covariance = np.cov(noise.real, noise.imag)
    np.testing.assert_allclose(covariance, np.eye(2) / 2, atol=0.02)


def test_shot_noise_alone_counts_whole_electrons() -> None:
    model = PoissonGaussian(read_noise_e=0.0, dark_e=0.0)
    noisy = model.sample(torch.full((1000,), 3.7), generator=torch.Generator().manual_seed(3))
    assert torch.equal(noisy, noisy.round())
    assert noisy.min() >= 0


@pytest.mark.parametrize("model", MODELS, ids=str)
def test_counts_act_reading_by_reading(model: NoiseModel) -> None:
    """Repeats that differ between units: each unit's variance falls by its own count."""
    counts = torch.tensor([1.0, 4.0, 25.0])[:, None]
    readings = expected_readings(model, 10.0, 3 * N_DRAWS // 4).reshape(3, -1)
    noisy = model.sample(readings, generator=torch.Generator().manual_seed(4), counts=counts)
    variance = (noisy - readings).abs().square().mean(1)
    expected = model.variance(readings)[:, 0] / counts[:, 0]
    torch.testing.assert_close(variance, expected, rtol=0.1, atol=0)


@pytest.mark.parametrize("model", MODELS, ids=str)
def test_units_that_are_not_measured_are_finite(model: NoiseModel) -> None:
    readings = expected_readings(model, 5.0, 4)
    noisy = model.sample(readings, generator=torch.Generator().manual_seed(5), counts=torch.zeros(4))
    assert torch.isfinite(noisy.abs()).all()


@pytest.mark.parametrize("model", MODELS, ids=str)
def test_only_the_generator_decides(model: NoiseModel) -> None:
    readings = expected_readings(model, 5.0, 64)
    given = readings.clone()
    torch_state, numpy_state = torch.get_rng_state(), repr(np.random.get_state(legacy=False))  # noqa: NPY002
    first, second, other = (model.sample(readings, generator=torch.Generator().manual_seed(seed)) for seed in (6, 6, 7))
    assert torch.equal(first, second)
    assert not torch.equal(first, other)
    assert torch.equal(readings, given)
    assert torch.equal(torch.get_rng_state(), torch_state)
    assert repr(np.random.get_state(legacy=False)) == numpy_state  # noqa: NPY002


def test_no_noise_gives_a_copy() -> None:
    readings = torch.ones(3, dtype=torch.complex64)
    sampled = ComplexGaussian(0.0).sample(readings, generator=torch.Generator())
    assert torch.equal(sampled, readings)
    assert sampled.data_ptr() != readings.data_ptr()


@pytest.mark.parametrize("model", MODELS, ids=str)
def test_spec_rebuilds_the_model(model: NoiseModel) -> None:
    assert registry.find("noise", model.kind)(**model.spec()) == model
    assert dataclasses.is_dataclass(model)


@pytest.mark.parametrize(
    ("kind", "arguments"),
    [
        (ComplexGaussian, {"std": -0.1}),
        (ComplexGaussian, {"std": float("nan")}),
        (PoissonGaussian, {"read_noise_e": -1.0}),
        (PoissonGaussian, {"dark_e": float("inf")}),
        (PoissonGaussian, {"photons": 0.0}),
    ],
)
def test_impossible_levels_are_refused(kind: type[NoiseModel], arguments: dict[str, Any]) -> None:
    (value,) = arguments.values()
    with pytest.raises(RecipeError, match=str(value)):
        kind(**arguments)
