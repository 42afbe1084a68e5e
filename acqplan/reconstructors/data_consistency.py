"""The data-consistency step that unrolled networks and splitting methods share."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch

from acqplan.reconstructors.pixels import as_pairs, from_pairs
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
    """`DataConsistency` for a single image and penalty."""
    return DataConsistency(coefficients, counts, sensing)(image, penalty)


class DataConsistency:
    """argmin over x of Σᵢ counts_i |(Ax)_i − coefficient_i / scale|² + penalty ‖x − image‖², for images to come.

    With a unitary model each unit is solved on its own, exactly: a unit measured n times moves the share
    n/(n + penalty) of the way to its measurement, so that ``penalty`` → 0 gives exact data consistency.
    Otherwise (several coils) the normal equations are solved by conjugate gradients, started at ``image``.

    Parameters
    ----------
    coefficients, counts
        [B, K, …] and float32[B or 1, K], as for a reconstructor.
    scale
        float32[B, 1, 1], by default 1.
    zero_filled
        The adjoint of ``coefficients``, where it is known already.
    """

    def __init__(
        self,
        coefficients: torch.Tensor,
        counts: torch.Tensor,
        sensing: SensingModel,
        scale: torch.Tensor | None = None,
        zero_filled: torch.Tensor | None = None,
    ) -> None:
        # ``coefficients`` already are zero where nothing was measured, so availability multiplies the prediction only:
        # the step is then linear in it, with slope (truth − prediction) for a pattern that is being learned.
        self._available, self._repeats = counts.clamp(max=1), counts.detach().clamp(min=1)
        self._most = float(self._repeats.max())
        self._coefficients, self._sensing, self._scale = coefficients, sensing, scale
        self._is_direct = sensing.is_unitary and self._most == 1
        if sensing.is_unitary and not self._is_direct:
            return
        if zero_filled is None or self._most > 1:
            zero_filled = sensing.adjoint(sensing.per_unit(self._repeats) * coefficients)
        self._right = zero_filled if scale is None else zero_filled / scale
        self._weights = self._available * self._repeats
        self._gram = sensing.gram_with(self._weights)

    def __call__(self, image: torch.Tensor, penalty: torch.Tensor) -> torch.Tensor:
        """image[B, *image_shape] to the solution.

        ``penalty`` is a scalar tensor, or [B] for each image its own, > 0: noise variance of one reading over the
        variance of the error of ``image``.
        """
        each = penalty.reshape(-1, 1, 1) if penalty.ndim else penalty
        if self._is_direct:
            return image + (self._right - self._gram(image)) / (1 + each)
        if self._sensing.is_unitary:
            return self._unit_by_unit(image, penalty)
        return self._solved(image, each, _iterations(penalty, self._most))

    def _unit_by_unit(self, image: torch.Tensor, penalty: torch.Tensor) -> torch.Tensor:
        sensing = self._sensing
        shares = self._repeats / (self._repeats + (penalty[:, None] if penalty.ndim else penalty))
        pull = sensing.adjoint(self._coefficients * sensing.per_unit(shares))
        if self._scale is not None:
            pull = pull / self._scale
        return image + pull - sensing.gram(image, self._available * shares)

    def _solved(self, image: torch.Tensor, penalty: torch.Tensor, iterations: int) -> torch.Tensor:
        gram = self._gram
        of_pairs = penalty[..., None] if penalty.ndim and image.is_complex() else penalty

        def normal(x: torch.Tensor) -> torch.Tensor:
            total = torch.addcmul(as_pairs(gram(x)), of_pairs, as_pairs(x))
            return from_pairs(total, x)

        with torch.no_grad():
            x = image + conjugate_gradient(normal, self._right - gram(image), iterations)
        if not torch.is_grad_enabled():
            return x
        # The derivative of x = N⁻¹b is N⁻¹(db − dN x) (MoDL, arXiv 1712.02862, eq. 14): none of the iterations is kept.
        change = penalty * (image - x)
        if self._right.requires_grad:
            change = change + self._right
        if self._weights.requires_grad:
            change = change - gram(x)
        if not change.requires_grad:
            return x
        correction: torch.Tensor = _Inverse.apply(change, normal, iterations)  # type: ignore[no-untyped-call]
        return x + correction


def _iterations(penalty: torch.Tensor, weight: float) -> int:
    """Until conjugate gradients are within 0.1 %; the eigenvalues are ``penalty`` and up to ``weight`` more."""
    root = math.sqrt(1 + max(weight, 1.0) / min(max(float(penalty.detach().min()), 1e-6), 1e6))
    rate = (root - 1) / (root + 1)
    return min(_CG_ITERATIONS, math.ceil(math.log(5e-4) / math.log(rate)))


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
    residual = direction = as_pairs(right)
    x = torch.zeros_like(residual)
    energy = _inner(residual, residual)
    for iteration in range(iterations):
        image = as_pairs(operator(from_pairs(direction, right)))
        step = energy / _inner(direction, image).clamp(min=torch.finfo(torch.float32).tiny)
        x = torch.addcmul(x, step, direction)
        if iteration == iterations - 1:
            break
        residual = torch.addcmul(residual, step, image, value=-1)
        previous, energy = energy, _inner(residual, residual)
        ratio = energy / previous.clamp(min=torch.finfo(torch.float32).tiny)
        direction = torch.addcmul(residual, ratio, direction)
    return from_pairs(x, right)


def _inner(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """Σ ab over all axes but the first, kept as axes of size 1."""
    return (a * b).sum(tuple(range(1, a.ndim)), keepdim=True)
