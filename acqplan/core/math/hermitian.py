"""Hermitian operators in differentiable calculations."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch


def apply_hermitian(operator: Callable[[torch.Tensor], torch.Tensor], x: torch.Tensor) -> torch.Tensor:
    """``operator(x)`` of a linear operator that is its own adjoint and depends on nothing that is differentiated.

    Its gradient is the operator itself, so that nothing is kept for it and the operator may work in place on what is
    its own. Differentiable in ``x`` any number of times.
    """
    if not (x.requires_grad and torch.is_grad_enabled()):
        return operator(x)
    result: torch.Tensor = _Hermitian.apply(x, operator)  # type: ignore[no-untyped-call]
    return result


class _Hermitian(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, operator: Callable[[torch.Tensor], torch.Tensor]) -> torch.Tensor:
        ctx.operator = operator
        return operator(x)

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> tuple[torch.Tensor, None]:
        return apply_hermitian(ctx.operator, gradients[0]), None
