"""Classical compressed sensing: sparse wavelet coefficients, no training."""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch

from acqplan.core.errors import RecipeError
from acqplan.core.math.wavelets import inverse_wavelet_transform, wavelet_transform
from acqplan.core.registry import register
from acqplan.reconstructors.classical import Convergence, Solution, misfit
from acqplan.reconstructors.reconstructor import Reconstructor, image_scale, pad
from acqplan.reconstructors.sparsity import analyse, check_levels, detail_norm, shrink_details
from acqplan.sensing.model import SensingModel


@register("reconstructors", "wavelet")
class Wavelet(Reconstructor):
    """min over x of ½ Σ counts|Ax − y|² + weight·rms·‖Ψx‖₁ by FISTA, Ψ orthonormal db4 wavelets.

    The coarse part of Ψx isn't weighed. ``rms`` is that of the zero-filled image, so that scaling the data scales the
    result. (With the ½ this ``weight`` is half the ``wavelet_weight`` of the kind ``hqs``.)

    Parameters
    ----------
    weight
        Of the wavelet term, relative to the image's root mean square.
    iterations
        Number of FISTA steps; at most, with a tolerance.
    levels
        Depth of the wavelet transform; images are padded to a multiple of 2**levels.
    cycle_spinning
        Shift the wavelet grid from iteration to iteration, which removes block artefacts but has no
        objective of its own. Without it this is the plain proximal method on one grid (exact where
        nothing has to be padded), whose objective falls to its minimum.
    tolerance
        Stop once the objective's relative span over the last ten iterations is no more; 0 takes all iterations.
    """

    summary = "wavelet compressed sensing by FISTA with cycle spinning; nothing to train"
    reference = "Lustig 2007, doi 10.1002/mrm.21391; FISTA, doi 10.1137/080716542"
    is_trained = False

    def __init__(
        self,
        weight: float = 0.005,
        iterations: int = 80,
        levels: int = 3,
        cycle_spinning: bool = True,
        tolerance: float = 0.0,
    ) -> None:
        super().__init__(
            weight=weight, iterations=iterations, levels=levels, cycle_spinning=cycle_spinning, tolerance=tolerance
        )
        numbers = (weight, tolerance)
        if not all(math.isfinite(n) and n >= 0 for n in numbers) or iterations < 1 or levels < 1:
            raise RecipeError(
                f"The wavelet options are weight={weight}, iterations={iterations}, levels={levels}, "
                f"tolerance={tolerance}.",
                "Give a weight and a tolerance of at least 0, and at least one iteration and level.",
            )
        if tolerance and cycle_spinning:
            raise RecipeError(
                f"The wavelet options are cycle_spinning=True and tolerance={tolerance}; shifted grids have no "
                "objective that could come to rest.",
                "Give a tolerance of 0, or cycle_spinning=False.",
            )
        self.weight, self.iterations, self.levels = weight, iterations, levels
        self.cycle_spinning, self.tolerance = cycle_spinning, tolerance

    def forward(self, coefficients: torch.Tensor, counts: torch.Tensor, sensing: SensingModel) -> torch.Tensor:
        if self.tolerance:
            return self.solve(coefficients, counts, sensing).image
        scale = image_scale(sensing.adjoint(coefficients))
        *_, image = self._iterates(_divided(coefficients, scale), counts, sensing)
        return image * scale

    def solve(self, coefficients: torch.Tensor, counts: torch.Tensor, sensing: SensingModel) -> Solution:
        """Arguments as of `forward`; the image with the objective, on the unshifted grid, of every iteration."""
        scale = image_scale(sensing.adjoint(coefficients))
        scaled = _divided(coefficients, scale)
        convergence = Convergence(sensing.adjoint(scaled), self.tolerance)
        for image in self._iterates(scaled, counts, sensing):
            sparsity = detail_norm(analyse(image, self.levels), self.levels)
            if convergence.record(image, misfit(image, scaled, counts, sensing) / 2 + self.weight * sparsity):
                break
        return convergence.solution(scale)

    def _iterates(self, scaled: torch.Tensor, counts: torch.Tensor, sensing: SensingModel) -> Iterator[torch.Tensor]:
        check_levels(self.levels, sensing.image_shape)
        weight = sensing.per_unit(counts)
        most = counts.detach().amax(-1).reshape(-1, 1, 1)  # of each image's own pattern
        step = 1 / (most * sensing.gain_bound).clamp(min=1e-12)
        image = sensing.adjoint(scaled)
        momentum, previous = 1.0, image
        for iteration in range(self.iterations):
            grown = (1 + math.sqrt(1 + 4 * momentum**2)) / 2
            point = image + (momentum - 1) / grown * (image - previous)
            momentum, previous = grown, image
            gradient = sensing.adjoint(weight * (sensing.coefficients(point) - scaled))
            image = self._shrink(point - step * gradient, step * self.weight, iteration)
            yield image

    def _shrink(self, image: torch.Tensor, threshold: torch.Tensor, iteration: int) -> torch.Tensor:
        """Soft-threshold the detail coefficients, on a grid shifted along a fixed sequence if cycle spinning."""
        block = 2**self.levels
        height, width = image.shape[-2:]
        shift = (5 * iteration % block, 3 * iteration % block) if self.cycle_spinning else (0, 0)
        padded = pad(image, (-height) % block, (-width) % block)
        spectrum = wavelet_transform(torch.roll(padded, shift, dims=(-2, -1)), self.levels)
        shrunk = inverse_wavelet_transform(shrink_details(spectrum, threshold, self.levels), self.levels)
        return torch.roll(shrunk, (-shift[0], -shift[1]), dims=(-2, -1))[..., :height, :width]


def _divided(coefficients: torch.Tensor, scale: torch.Tensor) -> torch.Tensor:
    return coefficients / scale.reshape(-1, *(1,) * (coefficients.ndim - 1))
