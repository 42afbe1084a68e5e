"""From readings to coefficients: averaging, what isn't measured, what is refused."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
import torch

from acqplan.core.errors import AcquisitionError
from acqplan.modalities.dmd.noise import PoissonGaussian
from acqplan.modalities.dmd.sensing import HadamardDMD
from acqplan.modalities.mri.noise import ComplexGaussian
from acqplan.modalities.mri.sensing import CartesianMRI
from acqplan.sensing.acquisition import Acquisition
from acqplan.sensing.measurement import averaged, coefficients_of, measure, measured
from acqplan.sensing.model import SensingModel
from acqplan.sensing.pattern import Pattern

SENSING: list[SensingModel] = [CartesianMRI((8, 6), "points"), CartesianMRI((8, 6), "lines"), HadamardDMD((4, 8))]
IDS = ["points", "lines", "hadamard"]


def image_of(sensing: SensingModel, n: int = 2) -> torch.Tensor:
    random = np.random.default_rng(0)
    image = random.random((n, *sensing.image_shape)) * 100
    if sensing.is_complex:
        image = image * np.exp(2j * np.pi * random.random(image.shape))
    return torch.from_numpy(image).to(sensing.image_dtype)


def noiseless(sensing: SensingModel) -> ComplexGaussian:
    return ComplexGaussian(0.0)


def has_negative_zero(x: torch.Tensor) -> bool:
    real = torch.view_as_real(x) if x.is_complex() else x
    return bool(((real == 0) & torch.signbit(real)).any())


@pytest.mark.parametrize("sensing", SENSING, ids=IDS)
def test_unmeasured_coefficients_are_positive_zero(sensing: SensingModel) -> None:
    coefficients = sensing.coefficients(image_of(sensing))
    counts = torch.zeros(1, sensing.n_units)
    counts[0, ::3] = 1
    assert has_negative_zero(coefficients * sensing.per_unit(counts))  # the plain product would leak the sign
    kept = measured(coefficients, counts, sensing)
    assert not has_negative_zero(kept)
    assert torch.equal(kept[:, ::3], coefficients[:, ::3])
    assert not kept[:, 1::3].any()


@pytest.mark.parametrize("sensing", SENSING, ids=IDS)
def test_repeats_do_not_scale_what_is_measured(sensing: SensingModel) -> None:
    coefficients = sensing.coefficients(image_of(sensing))
    counts = torch.full((1, sensing.n_units), 3.0)
    torch.testing.assert_close(measured(coefficients, counts, sensing), coefficients, rtol=0, atol=0)


def test_grey_counts_keep_their_share_and_pass_the_gradient() -> None:
    sensing = HadamardDMD((4, 8))
    coefficients = sensing.coefficients(image_of(sensing, 1))
    counts = torch.full((1, 32), 0.25, requires_grad=True)
    kept = measured(coefficients, counts, sensing)
    torch.testing.assert_close(kept, coefficients / 4)
    (gradient,) = torch.autograd.grad(kept.sum(), counts)
    torch.testing.assert_close(gradient, coefficients)


@pytest.mark.parametrize("sensing", SENSING, ids=IDS)
def test_simulation_without_noise_is_the_sensing_model(sensing: SensingModel) -> None:
    images = image_of(sensing)
    counts = torch.ones(1, sensing.n_units)
    simulated = measure(images, counts, sensing, noiseless(sensing), torch.Generator())[0]
    torch.testing.assert_close(simulated, sensing.coefficients(images), rtol=0, atol=0)


def test_simulated_repeats_reduce_the_noise() -> None:
    sensing = HadamardDMD((16, 16))
    images = torch.full((64, 16, 16), 5.0)
    counts = torch.ones(1, 256)
    counts[:, 128:] = 9
    noise = PoissonGaussian(read_noise_e=4.0)
    simulated = measure(images, counts, sensing, noise, torch.Generator().manual_seed(1))[0]
    # ± pair: the two variances add, (Σimage + 2·read²)/N.
    expected = (images[0].sum() + 2 * 4.0**2) / 256
    error = (simulated - sensing.coefficients(images))[:, 1:].square()
    assert error[:, :127].mean().item() == pytest.approx(expected.item(), rel=0.06)
    assert error[:, 127:].mean().item() == pytest.approx(expected.item() / 9, rel=0.06)


def acquired(sensing: SensingModel, pattern: Pattern, image: torch.Tensor) -> Acquisition:
    readings = sensing(image)[0, torch.from_numpy(pattern.order.astype(np.int64))].numpy()
    return Acquisition(readings, pattern.digest, "scan.h5")


@pytest.mark.parametrize("sensing", SENSING, ids=IDS)
def test_acquired_readings_give_the_simulated_coefficients(sensing: SensingModel) -> None:
    image = image_of(sensing, 1)
    order = np.random.default_rng(2).permutation(sensing.n_units)[: sensing.n_units // 2]
    pattern = Pattern(np.concatenate([order, order[:2]]), sensing.n_units)  # not ascending, two repeats
    coefficients, counts = coefficients_of(acquired(sensing, pattern, image), pattern, sensing)
    assert counts.shape == (1, sensing.n_units)
    assert counts.dtype == torch.float32
    assert torch.equal(counts[0], torch.from_numpy(pattern.counts).float())
    simulated = measure(image, counts, sensing, noiseless(sensing), torch.Generator())[0]
    torch.testing.assert_close(coefficients, simulated)
    assert not has_negative_zero(coefficients)


def test_repeats_are_averaged() -> None:
    sensing = CartesianMRI((2, 2), "points")
    pattern = Pattern(np.array([1, 3, 1, 1]), 4)
    readings = np.array([[3], [10], [5j], [0]], dtype=np.complex64)
    coefficients, counts = coefficients_of(Acquisition(readings, None, "scan.h5"), pattern, sensing)
    expected = torch.tensor([0, 1 + 5j / 3, 0, 10], dtype=torch.complex64)[None, :, None]
    torch.testing.assert_close(coefficients, expected)
    assert counts.tolist() == [[0, 3, 0, 1]]


@pytest.mark.parametrize("dtype", ["uint16", ">u2", ">f8", "int32", "float32"])
def test_read_only_readings_of_any_real_type_are_taken(dtype: str) -> None:
    sensing = HadamardDMD((2, 2))
    pattern = Pattern(np.arange(4, dtype=np.int32), 4)
    readings = np.array([[9, 1], [4, 6], [5, 5], [7, 3]], dtype=dtype)
    readings.setflags(write=False)
    coefficients, _ = coefficients_of(Acquisition(readings, None, "trace.csv"), pattern, sensing)
    assert coefficients[0].tolist() == [4, -1, 0, 2]


@pytest.mark.parametrize(
    ("readings", "message"),
    [
        (np.zeros((3, 1), np.complex64), r"(?s)scan.h5 holds readings of shape \(3, 1\), .* \(2, 1\).*Pass the plan"),
        (np.zeros((2, 4), np.complex64), r"(?s)shape \(2, 4\).*several coils.*coil maps"),
        (np.zeros(2, np.complex64), r"shape \(2,\)"),
        (np.zeros((2, 1), np.int16), "type int16, expected complex"),
        (np.array([["a"], ["b"]]), "expected complex"),
        (np.array([[np.nan], [1]], np.complex64), "1 readings with NaN"),
        (np.array([[1j * np.inf], [np.nan]], np.complex64), "2 readings with NaN"),
        (np.array([[1e300], [1]], np.complex128), "1 readings with NaN or infinite"),
    ],
)
def test_impossible_readings_are_refused(readings: npt.NDArray[np.generic], message: str) -> None:
    sensing = CartesianMRI((2, 2), "points")
    with pytest.raises(AcquisitionError, match=message):
        coefficients_of(Acquisition(readings, None, "scan.h5"), Pattern(np.array([0, 3]), 4), sensing)


def test_complex_readings_of_a_detector_are_refused() -> None:
    acquisition = Acquisition(np.zeros((1, 2), np.complex64), None, "trace.csv")
    with pytest.raises(AcquisitionError, match="type complex64, expected real"):
        coefficients_of(acquisition, Pattern(np.array([0]), 4), HadamardDMD((2, 2)))


def test_readings_are_averaged_by_unit() -> None:
    random = np.random.default_rng(0)
    readings = random.normal(size=(40, 2, 3)) + 1j * random.normal(size=(40, 2, 3))
    units = random.integers(1, 7, size=40)
    mean, counts = averaged(torch.from_numpy(readings), units, 9)
    assert counts.tolist() == [(units == unit).sum() for unit in range(9)]
    for unit in range(9):
        expected = readings[units == unit].mean(0) if counts[unit] else np.zeros((2, 3))
        np.testing.assert_allclose(mean[unit].numpy(), expected, rtol=1e-12)


@pytest.mark.parametrize("scheme", ["dc", "s-matrix"])
def test_the_reading_that_decodes_all_the_others_is_needed(scheme: str) -> None:
    sensing = HadamardDMD((2, 2), scheme)
    pattern = Pattern(np.array([2, 0, 1]), 4)
    readings = np.array([[3], [8], [5]], np.float32)
    whole = Acquisition(readings, None, "trace.csv", pattern.order)
    assert (coefficients_of(whole, pattern, sensing)[1] > 0).sum() == 3
    lacking = Acquisition(readings[[0, 2]], None, "trace.csv", pattern.order[[0, 2]])
    with pytest.raises(AcquisitionError, match="no reading of coefficient 0, which decodes all the others"):
        coefficients_of(lacking, pattern, sensing)
