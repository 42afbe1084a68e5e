"""The wavelet transform: orthonormal, invertible, and blind to cubic polynomials."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from acqplan.core.math.wavelets import inverse_wavelet_transform, wavelet_transform

SHAPES = pytest.mark.parametrize(("shape", "levels"), [((16, 16), 1), ((16, 32), 2), ((24, 8), 3), ((8, 8), 3)])
DTYPES = pytest.mark.parametrize("dtype", [torch.float64, torch.complex128])


def image_of(shape: tuple[int, ...], dtype: torch.dtype = torch.float64, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, dtype=dtype, generator=torch.Generator().manual_seed(seed))


@SHAPES
@DTYPES
def test_the_inverse_is_one_on_both_sides(shape: tuple[int, int], levels: int, dtype: torch.dtype) -> None:
    image = image_of((2, *shape), dtype)
    torch.testing.assert_close(inverse_wavelet_transform(wavelet_transform(image, levels), levels), image)
    torch.testing.assert_close(wavelet_transform(inverse_wavelet_transform(image, levels), levels), image)


@SHAPES
@DTYPES
def test_the_inverse_is_the_adjoint(shape: tuple[int, int], levels: int, dtype: torch.dtype) -> None:
    x, y = image_of(shape, dtype, 1), image_of(shape, dtype, 2)
    forward = torch.vdot(wavelet_transform(x, levels).flatten(), y.flatten())
    backward = torch.vdot(x.flatten(), inverse_wavelet_transform(y, levels).flatten())
    torch.testing.assert_close(forward, backward)


def test_the_matrix_is_orthonormal() -> None:
    matrix = wavelet_transform(torch.eye(64, dtype=torch.float64).reshape(64, 8, 8), 2).reshape(64, 64)
    torch.testing.assert_close(matrix @ matrix.T, torch.eye(64, dtype=torch.float64))


def test_the_energy_is_kept_in_float32() -> None:
    image = image_of((3, 32, 32), torch.float32)
    coefficients = wavelet_transform(image)
    assert coefficients.dtype == torch.float32
    torch.testing.assert_close(coefficients.square().sum(), image.square().sum())


@pytest.mark.parametrize("power", [0, 1, 2, 3])
@pytest.mark.parametrize("axis", [0, 1])
def test_four_vanishing_moments(power: int, axis: int) -> None:
    """Details of a cubic are zero wherever the filter doesn't reach over the periodic edge."""
    side = 64
    ramp = torch.linspace(-1, 1, side, dtype=torch.float64) ** power
    image = ramp[:, None].expand(side, side) if axis == 0 else ramp[None, :].expand(side, side)
    coefficients = wavelet_transform(image, 1)
    half = side // 2
    detail = coefficients[half:] if axis == 0 else coefficients[:, half:].T
    assert detail[: half - 3].abs().max() < 1e-12  # 8 taps reach three of the next pairs
    other = coefficients[:, half:] if axis == 0 else coefficients[half:]
    assert other.abs().max() < 1e-12  # along the other axis the image is constant


def test_a_fifth_moment_does_not_vanish() -> None:
    ramp = torch.linspace(-1, 1, 64, dtype=torch.float64) ** 4
    assert wavelet_transform(ramp[:, None].expand(64, 64), 1)[32:61, :32].abs().min() > 1e-8


def test_the_coarse_part_of_a_constant_holds_all_of_it() -> None:
    coefficients = wavelet_transform(torch.ones(16, 16, dtype=torch.float64), 2)
    torch.testing.assert_close(coefficients[:4, :4], torch.full((4, 4), 4.0, dtype=torch.float64))
    coefficients[:4, :4] = 0
    assert coefficients.abs().max() < 1e-12


def test_gradients_pass_through() -> None:
    image = image_of((8, 8)).requires_grad_()
    assert torch.autograd.gradcheck(lambda x: wavelet_transform(x, 2), (image,))
    assert torch.autograd.gradcheck(lambda x: inverse_wavelet_transform(x, 2), (image,))


def test_arguments_are_not_changed() -> None:
    image = image_of((8, 8))
    before = image.clone()
    wavelet_transform(image, 2)
    inverse_wavelet_transform(image, 2)
    assert torch.equal(image, before)


@pytest.mark.parametrize("shape", [(8, 12), (6, 8)])
def test_sides_must_divide(shape: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match="must be multiples of 8"):
        wavelet_transform(torch.zeros(shape), 3)
    with pytest.raises(ValueError, match="must be multiples of 8"):
        inverse_wavelet_transform(torch.zeros(shape), 3)


def test_filters_agree_with_their_defining_equations() -> None:
    """Σh = √2 and Σ h[n] h[n + 2k] = δ(k), from the impulse response."""
    impulse = torch.zeros(32, 32, dtype=torch.float64)
    impulse[4, 4] = 1
    low = inverse_wavelet_transform(impulse, 1).numpy()[8:16, 8:16]
    taps = low.sum(1) / np.sqrt(2)  # the response is an outer product of the filter with itself
    assert taps.sum() == pytest.approx(np.sqrt(2))
    for k in range(4):
        assert taps[: 8 - 2 * k] @ taps[2 * k :] == pytest.approx(float(k == 0), abs=1e-12)
