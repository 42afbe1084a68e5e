"""The sparse start, step by step beside its plain formula."""

from __future__ import annotations

import math

import pytest
import torch

from acqplan.core.math.hermitian import apply_hermitian
from acqplan.modalities.dmd.sensing import HadamardDMD
from acqplan.modalities.mri.sensing import CartesianMRI
from acqplan.reconstructors.haar_shrinkage import shrink_haar
from acqplan.reconstructors.sparse_start import sparse_start
from acqplan.sensing.model import SensingModel


def soft(values: torch.Tensor, threshold: float) -> torch.Tensor:
    size = values.abs()
    return values * ((size - threshold).clamp(min=0) / size.clamp(min=1e-12))


def plain_haar(image: torch.Tensor, threshold: float, levels: int = 2) -> torch.Tensor:
    """Sums and differences of the four pixels of a square, level by level."""
    a, b = image[..., 0::2, 0::2], image[..., 0::2, 1::2]
    c, d = image[..., 1::2, 0::2], image[..., 1::2, 1::2]
    coarse = (a + b + c + d) / 2
    across, down, diagonal = (soft(v / 2, threshold) for v in (a - b + c - d, a + b - c - d, a - b - c + d))
    if levels > 1:
        coarse = plain_haar(coarse, threshold, levels - 1)
    upper = torch.stack([coarse + across + down + diagonal, coarse - across + down - diagonal], -1)
    lower = torch.stack([coarse + across - down - diagonal, coarse - across - down + diagonal], -1)
    return torch.stack([upper.flatten(-2), lower.flatten(-2)], -2).flatten(-3, -2) / 2


def plain_shrinkage(image: torch.Tensor, threshold: float, shift: tuple[int, int]) -> torch.Tensor:
    height, width = image.shape[-2:]
    padded = image.new_zeros((*image.shape[:-2], height + -height % 4, width + -width % 4))
    padded[..., :height, :width] = image
    rolled = plain_haar(padded.roll(shift, dims=(-2, -1)), threshold)
    return rolled.roll((-shift[0], -shift[1]), dims=(-2, -1))[..., :height, :width]


@pytest.mark.parametrize("shape", [(8, 12), (9, 14)])
@pytest.mark.parametrize("dtype", [torch.float64, torch.complex128])
def test_haar_shrinkage_and_its_gradient_are_those_of_sums_and_differences(
    shape: tuple[int, int], dtype: torch.dtype
) -> None:
    generator = torch.Generator().manual_seed(0)
    image = torch.randn((2, *shape), dtype=dtype, generator=generator)
    image[1] = 0  # nothing there to divide by
    towards = torch.randn((2, *shape), dtype=dtype, generator=generator)
    for shift in ((0, 0), (1, 2), (3, 1)):
        results = []
        for shrink in (shrink_haar, plain_shrinkage):
            given = image.clone().requires_grad_()
            shrunk = shrink(given, 0.6, shift)
            (shrunk * towards.conj()).sum().real.backward()
            assert given.grad is not None
            results.append((shrunk.detach(), given.grad[:1]))
        torch.testing.assert_close(results[0], results[1], rtol=1e-9, atol=1e-9)
        torch.testing.assert_close(shrink_haar(image, 0.6, shift), results[1][0], rtol=1e-9, atol=1e-9)


def plain_start(coefficients: torch.Tensor, counts: torch.Tensor, sensing: SensingModel) -> torch.Tensor:
    zero_filled = sensing.adjoint(coefficients)
    scale = zero_filled.detach().abs().square().mean((-2, -1), keepdim=True).sqrt()
    data = coefficients / scale.reshape(-1, *(1,) * (coefficients.ndim - 1))
    image = previous = zero_filled / scale
    momentum = 1.0
    for i in range(20):
        grown = (1 + math.sqrt(1 + 4 * momentum**2)) / 2
        point = image + (momentum - 1) / grown * (image - previous)
        momentum, previous = grown, image
        misfit = sensing.adjoint(sensing.per_unit(counts) * sensing.coefficients(point) - data)
        shift = (5 * i % 4, 3 * i // 2 % 4)
        image = plain_shrinkage(point - misfit / sensing.gain_bound, max(0.005, 0.1 * 0.8**i), shift)
    return image * scale


def quick_start(coefficients: torch.Tensor, counts: torch.Tensor, sensing: SensingModel) -> torch.Tensor:
    return sparse_start(sensing.adjoint(coefficients), counts, sensing, 20)


def sensing_models() -> list[SensingModel]:
    maps = torch.randn((2, 3, 18, 12), dtype=torch.complex64, generator=torch.Generator().manual_seed(3))
    maps = maps / maps.abs().square().sum(1, keepdim=True).sqrt()
    mri = [CartesianMRI((18, 12), encoding, coils) for encoding in ("points", "lines") for coils in (None, maps)]
    return [*mri, HadamardDMD((16, 16))]


@pytest.mark.parametrize("sensing", sensing_models(), ids=lambda s: f"{s.kind}-{s.reading_shape}")
def test_the_sparse_start_and_its_gradient_are_those_of_the_plain_iteration(sensing: SensingModel) -> None:
    generator = torch.Generator().manual_seed(1)
    truth = torch.randn((2, *sensing.image_shape), dtype=sensing.image_dtype, generator=generator).cumsum(-1)
    measured = (torch.rand((1, sensing.n_units), generator=generator) < 0.6).float()
    results = []
    for start in (quick_start, plain_start):
        counts = measured.clone().requires_grad_()
        image = start(sensing.coefficients(truth) * sensing.per_unit(counts), counts, sensing)
        (image - truth).abs().square().sum().backward()
        assert counts.grad is not None
        results.append((image.detach(), counts.grad))
        with torch.no_grad():
            coefficients = sensing.coefficients(truth) * sensing.per_unit(measured)
            torch.testing.assert_close(start(coefficients, measured, sensing), image.detach(), rtol=1e-4, atol=1e-4)
    for found, expected in zip(*results, strict=True):
        assert float((found - expected).norm() / expected.norm()) < 1e-4


def test_a_hermitian_operator_is_its_own_gradient() -> None:
    generator = torch.Generator().manual_seed(2)
    root = torch.randn((5, 5), dtype=torch.complex128, generator=generator)
    matrix = root @ root.mH
    x = torch.randn(5, dtype=torch.complex128, generator=generator, requires_grad=True)
    assert torch.autograd.gradcheck(lambda v: apply_hermitian(lambda u: matrix @ u, v), x)
    assert torch.autograd.gradgradcheck(lambda v: apply_hermitian(lambda u: matrix @ u, v).abs().square(), x)
