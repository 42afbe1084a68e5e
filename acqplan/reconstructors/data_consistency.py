"""The data-consistency step that unrolled networks and splitting methods share."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch

from acqplan.sensing.base import SensingModel

_CG_ITERATIONS = 8


def start_penalty(is_complex: bool) -> float:
    """Where a learned penalty starts: noise variance of a reading over the variance of a network's error, as expected.

    Scanner data are nearly clean; a single-pixel detector's shot noise is as large as what a network leaves wrong.
    Within minutes of training a penalty moves little, and a DMD plan that starts near exact data consistency keeps the
    noise of its readings.
    """
    return 0.05 if is_complex else 1.0


def raw_of(penalty: float) -> float:
    """The number whose softplus is ``penalty``."""
    return penalty + math.log(-math.expm1(-penalty))


def enforce_data(
    image: torch.Tensor,
    coefficients: torch.Tensor,
    counts: torch.Tensor,
    penalty: torch.Tensor,
    sensing: SensingModel,
) -> torch.Tensor:
    """argmin over x of Σᵢ counts_i |(Ax)_i − coefficient_i|² + penalty ‖x − image‖².

    With a unitary model each unit is solved on its own, exactly: a unit measured n times moves the share
    n/(n + penalty) of the way to its measurement, so that ``penalty`` → 0 gives exact data consistency.
    Otherwise (several coils) the normal equations are solved by conjugate gradients, started at ``image``.

    Parameters
    ----------
    image
        [B, *image_shape].
    coefficients, counts
        [B, K, …] and float32[B or 1, K], as for a reconstructor.
    penalty
        Scalar tensor, or [B] for each image its own, > 0: noise variance of one reading over the variance of the
        error of ``image``.
    """
    # ``coefficients`` already are zero where nothing was measured, so availability multiplies the prediction only: the
    # step is then linear in it, with slope (truth − prediction) for a pattern that is being learned.
    available = sensing.per_unit(counts.clamp(max=1))
    repeats = sensing.per_unit(counts.detach().clamp(min=1))
    misfit = coefficients - available * sensing.coefficients(image)
    if sensing.is_unitary:
        each = penalty.reshape(-1, *(1,) * (coefficients.ndim - 1)) if penalty.ndim else penalty
        return image + sensing.adjoint(misfit * repeats / (repeats + each))
    if penalty.ndim:
        penalty = penalty.reshape(-1, 1, 1)

    def normal(x: torch.Tensor) -> torch.Tensor:
        return sensing.adjoint(available * repeats * sensing.coefficients(x)) + penalty * x

    residual = sensing.adjoint(repeats * misfit)
    return image + conjugate_gradient(normal, residual, _CG_ITERATIONS)


def conjugate_gradient(
    operator: Callable[[torch.Tensor], torch.Tensor], right: torch.Tensor, iterations: int
) -> torch.Tensor:
    """Approximate solution of ``operator(x) = right`` for a Hermitian positive definite operator, from x = 0.

    Batched over the first axis; differentiable (unrolled).
    """
    x = torch.zeros_like(right)
    residual, direction = right, right
    energy = _energy(residual)
    for _ in range(iterations):
        image = operator(direction)
        step = energy / _inner(direction, image).clamp(min=torch.finfo(torch.float32).tiny)
        x = x + step * direction
        residual = residual - step * image
        previous, energy = energy, _energy(residual)
        direction = residual + energy / previous.clamp(min=torch.finfo(torch.float32).tiny) * direction
    return x


def _inner(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    product = a.conj() * b
    real = product.real if product.is_complex() else product
    return real.sum((-2, -1), keepdim=True)


def _energy(a: torch.Tensor) -> torch.Tensor:
    return a.abs().square().sum((-2, -1), keepdim=True)
