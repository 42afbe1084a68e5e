"""The worst small change of what was measured, as far as ten steps uphill find it.

Antun, Renna, Poon, Adcock and Hansen (PNAS 117:30088, 2020, doi 10.1073/pnas.1907377117) looked for perturbations that
are invisible in the data and ruin a network's image. Here a change of the measured coefficients of at most 1 % of
their norm is moved by projected gradient steps to where the image's error is largest. It is a lower bound of the worst
case: a better search may find a worse one. Total variation, beside which it is told, is attacked in the same way.
"""

from __future__ import annotations

import torch

from acqplan.reconstructors.reconstructor import Reconstructor
from acqplan.sensing.measurement import measured
from acqplan.sensing.model import SensingModel

SHARE = 0.01  # of the norm of the coefficients
STEPS = 10
_STEP = 0.25  # of the largest change


def worst_change(
    network: Reconstructor,
    coefficients: torch.Tensor,
    counts: torch.Tensor,
    sensing: SensingModel,
    truth: torch.Tensor,
    generator: torch.Generator,
) -> torch.Tensor:
    """A change of coefficients[B, K, …] by which the magnitudes of the image get far from truth[B, H, W]; same shape.

    Of each item its norm is `SHARE` of the coefficients' norm, and it is zero where nothing was measured. From a random
    start; the best of the states on the way is kept.
    """
    each = (-1, *(1,) * (coefficients.ndim - 1))
    radius = SHARE * torch.linalg.vector_norm(coefficients.flatten(1), dim=1).reshape(each)
    change = measured(torch.randn(coefficients.shape, dtype=coefficients.dtype, generator=generator), counts, sensing)
    change = _on_sphere(change, radius)
    best, largest = change, torch.full((coefficients.shape[0],), -torch.inf)
    for step in range(STEPS + 1):
        given = change.clone().requires_grad_()
        found = network(coefficients + given, counts, sensing)
        error = (found.abs() - truth.abs()).square().flatten(1).mean(1)
        is_worse = error.detach() > largest
        best = torch.where(is_worse.reshape(each), change, best)
        largest = torch.maximum(largest, error.detach())
        if step < STEPS:
            (uphill,) = torch.autograd.grad(error.sum(), given)
            uphill = measured(uphill, counts, sensing)
            change = _on_sphere(change + _STEP * _on_sphere(uphill, radius), radius)
    return best.detach()


def _on_sphere(change: torch.Tensor, radius: torch.Tensor) -> torch.Tensor:
    norm = torch.linalg.vector_norm(change.flatten(1), dim=1).reshape(radius.shape)
    scaled: torch.Tensor = change * (radius / norm.clamp(min=torch.finfo(torch.float32).tiny))
    return scaled
