"""The data-consistency step that unrolled networks and splitting methods share."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch

from acqplan.sensing.model import SensingModel

_CG_ITERATIONS = 8


START_PENALTY = 0.05
"""Where a learned penalty starts: noise variance of a reading over the variance of a network's error, as expected for
nearly clean data. An instrument with noisier ones says so (`Modality.network_arguments`)."""


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
    available = counts.clamp(max=1)
    repeats = counts.detach().clamp(min=1)
    if sensing.is_unitary:
        repeats = sensing.per_unit(repeats)
        misfit = coefficients - sensing.per_unit(available) * sensing.coefficients(image)
        each = penalty.reshape(-1, *(1,) * (coefficients.ndim - 1)) if penalty.ndim else penalty
        return image + sensing.adjoint(misfit * repeats / (repeats + each))
    if penalty.ndim:
        penalty = penalty.reshape(-1, 1, 1)

    weights = available * repeats
    gram = sensing.gram_with(weights)

    def normal(x: torch.Tensor) -> torch.Tensor:
        return torch.addcmul(gram(x), penalty, x)

    right = sensing.adjoint(sensing.per_unit(repeats) * coefficients) - gram(image)
    iterations = _iterations(penalty, float(weights.detach().max()))
    # Of a pattern that isn't learned, `gram` has no gradient.
    differentiated = normal if weights.requires_grad else lambda x: penalty * x
    return image + solve(normal, right, iterations, differentiated)


def _iterations(penalty: torch.Tensor, weight: float) -> int:
    """Until conjugate gradients are within 0.1 %; the eigenvalues are ``penalty`` and up to ``weight`` more."""
    root = math.sqrt(1 + max(weight, 1.0) / min(max(float(penalty.detach().min()), 1e-6), 1e6))
    rate = (root - 1) / (root + 1)
    return min(_CG_ITERATIONS, math.ceil(math.log(5e-4) / math.log(rate)))


def solve(
    operator: Callable[[torch.Tensor], torch.Tensor],
    right: torch.Tensor,
    iterations: int,
    differentiated: Callable[[torch.Tensor], torch.Tensor] | None = None,
) -> torch.Tensor:
    """`conjugate_gradient`, whose gradient is that of the exact solution, at the cost of a second solution.

    The derivative of x = N⁻¹b is N⁻¹(db − dN x) (MoDL, arXiv 1712.02862, eq. 14): none of the iterations is kept.
    ``differentiated``: the part of the operator that depends on what gradients are asked for; None: all of it.
    """
    with torch.no_grad():
        x = conjugate_gradient(operator, right, iterations)
    if not torch.is_grad_enabled():
        return x
    change = right - (differentiated or operator)(x)
    if not change.requires_grad:
        return x
    correction: torch.Tensor = _Inverse.apply(change, operator, iterations)  # type: ignore[no-untyped-call]
    return x + correction


class _Inverse(torch.autograd.Function):
    """Zero, with the gradient of N⁻¹ · argument."""

    @staticmethod
    def forward(
        ctx: Any, change: torch.Tensor, operator: Callable[[torch.Tensor], torch.Tensor], iterations: int
    ) -> torch.Tensor:
        ctx.operator, ctx.iterations = operator, iterations
        return torch.zeros_like(change)

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> tuple[torch.Tensor, None, None]:
        return conjugate_gradient(ctx.operator, gradients[0], ctx.iterations), None, None


def conjugate_gradient(
    operator: Callable[[torch.Tensor], torch.Tensor], right: torch.Tensor, iterations: int
) -> torch.Tensor:
    """Approximate solution of ``operator(x) = right`` for a Hermitian positive definite operator, from x = 0.

    Batched over the first axis; differentiable (unrolled).
    """
    # As pairs of real and imaginary parts: numbers that multiply complex tensors would be made complex first.
    residual = direction = _pairs(right)
    x = torch.zeros_like(residual)
    energy = _inner(residual, residual)
    for _ in range(iterations):
        image = _pairs(operator(torch.view_as_complex(direction) if right.is_complex() else direction))
        step = energy / _inner(direction, image).clamp(min=torch.finfo(torch.float32).tiny)
        x = torch.addcmul(x, step, direction)
        residual = torch.addcmul(residual, step, image, value=-1)
        previous, energy = energy, _inner(residual, residual)
        ratio = energy / previous.clamp(min=torch.finfo(torch.float32).tiny)
        direction = torch.addcmul(residual, ratio, direction)
    return torch.view_as_complex(x) if right.is_complex() else x


def _pairs(a: torch.Tensor) -> torch.Tensor:
    return torch.view_as_real(a) if a.is_complex() else a


def _inner(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """Σ ab over all axes but the first, kept as axes of size 1."""
    return (a * b).sum(tuple(range(1, a.ndim)), keepdim=True)
