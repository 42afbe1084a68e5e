"""Half-quadratic splitting with wavelets and total variation, run to convergence: no training."""

from __future__ import annotations

import math

import torch

from acqplan.core.errors import RecipeError
from acqplan.core.math.total_variation import proximal_map, total_variation
from acqplan.core.registry import register
from acqplan.reconstructors.classical import Convergence, Solution, data_step, misfit
from acqplan.reconstructors.reconstructor import Reconstructor, image_scale
from acqplan.reconstructors.sparsity import analyse, check_levels, detail_norm, shrink_details, synthesise
from acqplan.sensing.model import SensingModel

_THRESHOLD = 0.05  # of the image's root mean square: what the z-steps shrink by
_RELAXATION = 1.7  # between 1 and 2; Boyd 2011, section 3.4.3
_TV_STEPS = 6  # of each proximal map, started at the last dual field


@register("reconstructors", "hqs")
class HQS(Reconstructor):
    """min over x of Σ counts|Ax − y|² + wavelet_weight·rms·‖Ψx‖₁ + tv_weight·rms·TV(x).

    Ψ are orthonormal db4 wavelets, of which the coarse part isn't weighed; TV is isotropic, with differences of 0 at
    the far edges. Each regulariser acts on a copy z of the image, held to it by a quadratic penalty: a proximal
    z-step, then the exact x-step (conjugate gradients with several coils). A fixed penalty alone would stop short of
    the minimum, and a growing one stall; so the scaled multipliers of ADMM are carried along, which makes the minimum
    exact for any penalty. ``rms`` is that of the zero-filled image, so that scaling the data scales the result.

    Parameters
    ----------
    wavelet_weight, tv_weight
        w and τ, at least 0. With both 0 the result is the least-squares image nearest to the zero-filled one.
    levels
        Depth of the wavelet transform; images are padded with zeros to multiples of 2**levels.
    iterations
        At most.
    tolerance
        Of the objective: relative span over the last ten iterations.
    """

    summary = "half-quadratic splitting (ADMM) with wavelets and total variation, to convergence; nothing to train"
    reference = "HQS, doi 10.1109/83.392335; objective of arXiv 2007.14979; ADMM, doi 10.1561/2200000016"
    is_trained = False

    def __init__(
        self,
        wavelet_weight: float = 0.002,
        tv_weight: float = 0.005,
        levels: int = 3,
        iterations: int = 300,
        tolerance: float = 1e-4,
    ) -> None:
        super().__init__(
            wavelet_weight=wavelet_weight,
            tv_weight=tv_weight,
            levels=levels,
            iterations=iterations,
            tolerance=tolerance,
        )
        numbers = (wavelet_weight, tv_weight, tolerance)
        if not all(math.isfinite(n) and n >= 0 for n in numbers) or iterations < 1 or levels < 1:
            raise RecipeError(
                f"The hqs options are wavelet_weight={wavelet_weight}, tv_weight={tv_weight}, levels={levels}, "
                f"iterations={iterations}, tolerance={tolerance}.",
                "Give weights and a tolerance of at least 0, and at least one iteration and level.",
            )
        self.wavelet_weight, self.tv_weight, self.levels = wavelet_weight, tv_weight, levels
        self.iterations, self.tolerance = iterations, tolerance

    def forward(self, coefficients: torch.Tensor, counts: torch.Tensor, sensing: SensingModel) -> torch.Tensor:
        return self.solve(coefficients, counts, sensing).image

    def solve(self, coefficients: torch.Tensor, counts: torch.Tensor, sensing: SensingModel) -> Solution:
        """Arguments as of `forward`; the image with the objective of every iteration."""
        check_levels(self.levels, sensing.image_shape)
        image = sensing.adjoint(coefficients)
        scale = image_scale(image)
        image, data = image / scale, coefficients / scale.reshape(-1, *(1,) * (coefficients.ndim - 1))
        copies = [copy for copy in (self._wavelet_copy(image), self._tv_copy(image)) if copy.weight > 0]
        copies = copies or [_Copy(image)]
        rho = max(max(copy.weight for copy in copies) / (2 * _THRESHOLD), _LEAST_PENALTY)
        penalty = torch.tensor(rho * len(copies), device=image.device)
        convergence = Convergence(image, self.tolerance)
        for _ in range(self.iterations):
            centre = torch.stack([copy.pull() for copy in copies]).mean(0)
            image = data_step(centre, image, data, counts, penalty, sensing)
            objective = misfit(image, data, counts, sensing)
            for copy in copies:
                objective = objective + copy.follow(image, rho)
            if convergence.record(image, objective):
                break
        return convergence.solution(scale)

    def _wavelet_copy(self, image: torch.Tensor) -> _Copy:
        return _WaveletCopy(image, self.wavelet_weight, self.levels)

    def _tv_copy(self, image: torch.Tensor) -> _Copy:
        return _TVCopy(image, self.tv_weight)


_LEAST_PENALTY = 1e-3


class _Copy:
    """A split variable z and its scaled multiplier u, here without a regulariser: a proximal-point step."""

    weight = 0.0

    def __init__(self, image: torch.Tensor) -> None:
        self.z = self.transform(image)
        self.u = torch.zeros_like(self.z)

    def transform(self, image: torch.Tensor) -> torch.Tensor:
        """To where z lives; keeps the norm."""
        return image

    def pull(self) -> torch.Tensor:
        """The image nearest to z − u."""
        return self.z - self.u

    def norm(self, transformed: torch.Tensor) -> torch.Tensor:
        return torch.zeros(transformed.shape[0], dtype=torch.float64, device=transformed.device)

    def shrink(self, point: torch.Tensor, threshold: float) -> torch.Tensor:
        """argmin over z of threshold·norm(z) + ½‖z − point‖²."""
        return point

    def follow(self, image: torch.Tensor, rho: float) -> torch.Tensor:
        """The z-step and the multiplier's; returns the regulariser's share of the objective of ``image``."""
        transformed = self.transform(image)
        point = _RELAXATION * transformed + (1 - _RELAXATION) * self.z + self.u
        self.z = self.shrink(point, self.weight / (2 * rho))
        self.u = point - self.z
        return self.weight * self.norm(transformed)


class _WaveletCopy(_Copy):
    def __init__(self, image: torch.Tensor, weight: float, levels: int) -> None:
        self.weight, self.levels, self.image_shape = weight, levels, image.shape
        super().__init__(image)

    def transform(self, image: torch.Tensor) -> torch.Tensor:
        return analyse(image, self.levels)

    def pull(self) -> torch.Tensor:
        return synthesise(self.z - self.u, self.levels, self.image_shape)

    def norm(self, transformed: torch.Tensor) -> torch.Tensor:
        return detail_norm(transformed, self.levels)

    def shrink(self, point: torch.Tensor, threshold: float) -> torch.Tensor:
        return shrink_details(point, threshold, self.levels)


class _TVCopy(_Copy):
    def __init__(self, image: torch.Tensor, weight: float) -> None:
        self.weight = weight
        self.dual: torch.Tensor | None = None
        super().__init__(image)

    def norm(self, transformed: torch.Tensor) -> torch.Tensor:
        return total_variation(transformed).double()

    def shrink(self, point: torch.Tensor, threshold: float) -> torch.Tensor:
        shrunk, self.dual = proximal_map(point, threshold, _TV_STEPS, self.dual)
        return shrunk
