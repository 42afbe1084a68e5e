"""What the classical reconstructors minimise, how they know that they have, and the steps they share."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from acqplan.reconstructors.data_consistency import conjugate_gradient, enforce_data
from acqplan.sensing.model import SensingModel

_CG_ITERATIONS = 6
_ROUNDING = 1e-6  # of float32: of iterates that differ by less the last is the best
WINDOW = 10  # iterations over which the objective has to stand still: splitting methods may pause for a few


@dataclass(frozen=True, eq=False)
class Solution:
    """What a classical solver found.

    Parameters
    ----------
    image
        [B, *image_shape], the best that was met (up to rounding, 1e-6 of the objective: the last such).
    objective
        float64[B, iterations]: the lowest objective up to and including each iteration, in the data's own units
        (squared). Constant after an image's convergence.
    converged
        bool[B]: whether the tolerance was met within the iterations that were allowed.
    """

    image: torch.Tensor
    objective: torch.Tensor
    converged: torch.Tensor


class Convergence:
    """The best image of each problem of a batch, its objective, and which problems are solved.

    A problem counts as solved once the objective of its iterates spans, over the last `WINDOW` iterations, at most
    ``tolerance`` times its value. From then on its result stays, so that it doesn't depend on its batch.
    """

    def __init__(self, image: torch.Tensor, tolerance: float) -> None:
        self.tolerance = tolerance
        self.best = image
        self._recent: list[torch.Tensor] = []
        self._history: list[torch.Tensor] = []
        self._is_active = torch.ones(image.shape[0], dtype=torch.bool, device=image.device)

    def record(self, image: torch.Tensor, objective: torch.Tensor) -> bool:
        """Take an iterate and its objective float64[B]; True once every problem is solved."""
        lowest = self._history[-1] if self._history else torch.full_like(objective, torch.inf)
        is_best = self._is_active & (objective <= lowest * (1 + _ROUNDING))
        self.best = torch.where(is_best[:, None, None], image, self.best)
        self._history.append(torch.where(self._is_active, torch.minimum(objective, lowest), lowest))
        self._recent = [*self._recent[-WINDOW:], objective]
        if len(self._recent) > WINDOW:
            recent = torch.stack(self._recent)
            span = recent.amax(0) - recent.amin(0)
            self._is_active = self._is_active & ~(span <= self.tolerance * recent.amin(0))
        return not bool(self._is_active.any())

    def solution(self, scale: torch.Tensor) -> Solution:
        """In the data's units, which are ``scale[B, 1, 1]`` times those of the iterates."""
        squared = scale.reshape(-1, 1).double().square()
        return Solution(self.best * scale, torch.stack(self._history, -1) * squared, ~self._is_active)


def misfit(
    image: torch.Tensor, coefficients: torch.Tensor, counts: torch.Tensor, sensing: SensingModel
) -> torch.Tensor:
    """Σ counts|Ax − coefficients|² of each image[B, H, W]: float64[B]."""
    difference = (sensing.coefficients(image) - coefficients).abs().double()
    return (sensing.per_unit(counts) * difference.square()).flatten(1).sum(1)


def data_step(
    centre: torch.Tensor,
    start: torch.Tensor,
    coefficients: torch.Tensor,
    counts: torch.Tensor,
    penalty: torch.Tensor,
    sensing: SensingModel,
) -> torch.Tensor:
    """argmin over x of Σ counts|Ax − coefficients|² + penalty‖x − centre‖²: the proximal map of `misfit`.

    Exact for a unitary model, else by a few conjugate gradients from ``start``, which in a loop is the last result:
    the error then falls from call to call.
    """
    if sensing.is_unitary:
        return enforce_data(centre, coefficients, counts, penalty, sensing)
    weight, gram = sensing.per_unit(counts), sensing.gram_with(counts)

    def normal(x: torch.Tensor) -> torch.Tensor:
        return torch.addcmul(gram(x), penalty, x)

    right = sensing.adjoint(weight * (coefficients - sensing.coefficients(start))) + penalty * (centre - start)
    return start + conjugate_gradient(normal, right, _CG_ITERATIONS)
