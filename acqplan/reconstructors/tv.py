"""Plain total variation by a primal–dual method: no training."""

from __future__ import annotations

import math

import torch

from acqplan.core.errors import RecipeError
from acqplan.core.math.total_variation import divergence, gradient, magnitude, total_variation
from acqplan.core.registry import register
from acqplan.reconstructors.classical import Convergence, Solution, data_step, misfit
from acqplan.reconstructors.reconstructor import Reconstructor, image_scale
from acqplan.sensing.model import SensingModel

_NORM_SQUARED = 8.0  # upper bound of ‖gradient‖²
_PRIMAL_REACH = 0.04  # of the image's root mean square: how far pixels move while the dual crosses its ball


@register("reconstructors", "tv")
class TV(Reconstructor):
    """min over x of Σ counts|Ax − y|² + weight·rms·TV(x) by Chambolle and Pock's primal–dual method.

    TV is isotropic, with differences of 0 at the far edges. The primal step is the exact proximal map of the data
    term (conjugate gradients with several coils), the dual one a projection. ``rms`` is that of the zero-filled image,
    so that scaling the data scales the result.

    Parameters
    ----------
    weight
        Of total variation, at least 0.
    iterations
        At most.
    tolerance
        Of the objective: relative span over the last ten iterations.
    """

    summary = "total variation by the primal-dual method of Chambolle and Pock; nothing to train"
    reference = "Rudin 1992, doi 10.1016/0167-2789(92)90242-F; Chambolle 2011, doi 10.1007/s10851-010-0251-1"
    is_trained = False

    def __init__(self, weight: float = 0.01, iterations: int = 500, tolerance: float = 1e-4) -> None:
        super().__init__(weight=weight, iterations=iterations, tolerance=tolerance)
        if not all(math.isfinite(n) and n >= 0 for n in (weight, tolerance)) or iterations < 1:
            raise RecipeError(
                f"The tv options are weight={weight}, iterations={iterations}, tolerance={tolerance}.",
                "Give a weight and a tolerance of at least 0, and at least one iteration.",
            )
        self.weight, self.iterations, self.tolerance = weight, iterations, tolerance

    def forward(self, coefficients: torch.Tensor, counts: torch.Tensor, sensing: SensingModel) -> torch.Tensor:
        return self.solve(coefficients, counts, sensing).image

    def solve(self, coefficients: torch.Tensor, counts: torch.Tensor, sensing: SensingModel) -> Solution:
        """Arguments as of `forward`; the image with the objective of every iteration."""
        image = sensing.adjoint(coefficients)
        scale = image_scale(image)
        image, data = image / scale, coefficients / scale.reshape(-1, *(1,) * (coefficients.ndim - 1))
        # The dual field is kept divided by the weight: of magnitude at most 1. Steps: primal · dual · 8 = 1.
        weight = max(self.weight, 1e-6)
        primal = _PRIMAL_REACH / weight / math.sqrt(_NORM_SQUARED)
        dual = weight / _PRIMAL_REACH / math.sqrt(_NORM_SQUARED)
        penalty = torch.tensor(1 / (2 * primal), device=image.device)
        field, ahead = torch.zeros_like(gradient(image)), image
        convergence = Convergence(image, self.tolerance)
        for _ in range(self.iterations):
            field = field + dual / weight * gradient(ahead)
            field = field / magnitude(field).clamp(min=1)
            previous = image
            centre = previous + primal * self.weight * divergence(field)
            image = data_step(centre, previous, data, counts, penalty, sensing)
            ahead = 2 * image - previous
            objective = misfit(image, data, counts, sensing) + self.weight * total_variation(image).double()
            if convergence.record(image, objective):
                break
        return convergence.solution(scale)
