"""Transforms against NumPy and SciPy."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
import scipy.linalg
import torch

from acqplan.core.math.transforms import (
    fft_centred,
    ifft_centred,
    is_power_of_two,
    sequency_order,
    walsh_hadamard,
    walsh_sequency,
)


def complex_normal(shape: tuple[int, ...], seed: int = 0) -> npt.NDArray[np.complex128]:
    random = np.random.default_rng(seed)
    return random.standard_normal(shape) + 1j * random.standard_normal(shape)


@pytest.mark.parametrize("shape", [(8, 8), (7, 6), (5, 9), (1, 4)])
@pytest.mark.parametrize("dims", [(-2, -1), (-1,), (-2,)])
def test_fft_is_centred_and_orthonormal(shape: tuple[int, int], dims: tuple[int, ...]) -> None:
    x = complex_normal((3, *shape))
    expected = np.fft.fftshift(np.fft.fftn(np.fft.ifftshift(x, dims), axes=dims, norm="ortho"), dims)
    np.testing.assert_allclose(fft_centred(torch.from_numpy(x), dims).numpy(), expected, atol=1e-12)
    back = ifft_centred(torch.from_numpy(expected), dims).numpy()
    np.testing.assert_allclose(back, x, atol=1e-12)


@pytest.mark.parametrize("n", [6, 7])
def test_fft_is_the_sum_over_centred_positions(n: int) -> None:
    x = complex_normal((n,))
    position = np.arange(n) - n // 2
    matrix = np.exp(-2j * np.pi * np.outer(position, position) / n) / np.sqrt(n)
    np.testing.assert_allclose(fft_centred(torch.from_numpy(x), (-1,)).numpy(), matrix @ x, atol=1e-12)


@pytest.mark.parametrize("n", [1, 2, 4, 8, 16, 32, 64, 128, 512])
def test_walsh_hadamard_is_that_of_scipy(n: int) -> None:
    columns = walsh_hadamard(torch.eye(n, dtype=torch.float64), 1, orthonormal=False)
    np.testing.assert_array_equal(columns.numpy(), scipy.linalg.hadamard(n))


@pytest.mark.parametrize("shape", [(2, 2), (8, 2), (4, 32), (16, 16), (1, 8), (64, 8)])
def test_walsh_hadamard_in_two_dimensions(shape: tuple[int, int]) -> None:
    rows, columns = (scipy.linalg.hadamard(side) for side in shape)
    x = np.random.default_rng(1).integers(-50, 50, (3, *shape))
    transformed = walsh_hadamard(torch.from_numpy(x).double(), 2, orthonormal=False)
    np.testing.assert_array_equal(transformed.numpy(), rows @ x @ columns)
    orthonormal = walsh_hadamard(torch.from_numpy(x).double(), 2)
    np.testing.assert_allclose(orthonormal.numpy(), rows @ x @ columns / np.sqrt(x[0].size), atol=1e-11)


def test_walsh_hadamard_of_complex_numbers_acts_on_both_parts() -> None:
    x = complex_normal((2, 8, 4))
    expected = scipy.linalg.hadamard(8) @ x @ scipy.linalg.hadamard(4) / np.sqrt(32)
    np.testing.assert_allclose(walsh_hadamard(torch.from_numpy(x)).numpy(), expected, atol=1e-12)


def test_walsh_hadamard_leaves_its_argument_and_takes_strided_views() -> None:
    x = torch.from_numpy(complex_normal((8, 8))).real.T[:, ::2].float()
    before = x.clone()
    transformed = walsh_hadamard(x)
    torch.testing.assert_close(x, before, rtol=0, atol=0)
    torch.testing.assert_close(transformed, walsh_hadamard(x.contiguous()), rtol=0, atol=0)


@pytest.mark.parametrize("shape", [(6,), (8, 12), (0,)])
def test_sides_must_be_powers_of_two(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="powers of two"):
        walsh_hadamard(torch.zeros(shape), len(shape))
    with pytest.raises(ValueError, match="power of two"):
        sequency_order(shape[-1])


@pytest.mark.parametrize("n", [1, 2, 4, 8, 32, 256])
def test_sequency_row_s_changes_sign_s_times(n: int) -> None:
    rows = walsh_sequency(torch.eye(n, dtype=torch.float64), 1).numpy()
    assert (np.abs(rows) > 0).all()
    assert (np.diff(np.sign(rows), axis=1) != 0).sum(1).tolist() == list(range(n))
    assert sorted(sequency_order(n)) == list(range(n))
    np.testing.assert_allclose(rows, rows.T, atol=1e-12)


@pytest.mark.parametrize("shape", [(4, 8), (16, 2), (8, 8)])
def test_sequency_in_two_dimensions_is_separable(shape: tuple[int, int]) -> None:
    rows, columns = (walsh_sequency(torch.eye(side, dtype=torch.float64), 1) for side in shape)
    x = torch.from_numpy(np.random.default_rng(2).standard_normal((3, *shape)))
    torch.testing.assert_close(walsh_sequency(x), rows @ x @ columns)
    torch.testing.assert_close(walsh_sequency(walsh_sequency(x)), x)


@pytest.mark.parametrize("transform", [walsh_hadamard, walsh_sequency])
def test_gradient_is_the_transform(transform: object) -> None:
    assert callable(transform)
    random = np.random.default_rng(3)
    x = torch.from_numpy(random.standard_normal((2, 4, 8))).requires_grad_()
    weights = torch.from_numpy(random.standard_normal((2, 4, 8)))
    (gradient,) = torch.autograd.grad((transform(x) * weights).sum(), x)
    torch.testing.assert_close(gradient, transform(weights))


def test_powers_of_two() -> None:
    assert [n for n in range(-2, 40) if is_power_of_two(n)] == [1, 2, 4, 8, 16, 32]


def test_what_a_reconstruction_transformed_first_can_be_trained_with() -> None:
    """The matrices are kept from one call to the next."""
    with torch.inference_mode():
        walsh_sequency(torch.rand(2, 32, dtype=torch.float64))
    image = torch.rand(2, 32, dtype=torch.float64, requires_grad=True)
    walsh_sequency(image).square().sum().backward()
    assert image.grad is not None
    assert torch.allclose(image.grad, 2 * image.detach())
