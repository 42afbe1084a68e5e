"""Exact-k Gumbel top-k, so that every training step is binary and on budget."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from scipy import ndimage
from torch import nn

from acqplan.core.registry import register
from acqplan.core.seeding import numpy_generator
from acqplan.designers.blue_noise import blue_noise
from acqplan.designers.designer import Designer, DesignProblem
from acqplan.designers.options import count_option, number_option
from acqplan.sensing.pattern import Pattern

_BISECTIONS = 50
_MEMORY = 0.97  # of what was learned about a unit, from step to step
_NEIGHBOURHOOD = 2.0  # grid positions, standard deviation: what units share of their worth
_SMOOTHING = 1.0  # grid positions, standard deviation: of the starting density
_FLOOR = 1e-4  # of the typical worth: below it units are equally worthless
# Fourier samples alias, which scattering makes harmless; Hadamard coefficients have nothing to scatter for.
_USUAL = {"spread": 0.6, "scatter": 1.0, "exploration": 0.3}  # of Fourier samples


class _ExactTopK(torch.autograd.Function):
    """Hard top-k forward; backward through p = σ((z − τ)/T) with τ such that Σp = k."""

    @staticmethod
    def forward(ctx: Any, z: torch.Tensor, k: int, temperature: float) -> torch.Tensor:
        hard = torch.zeros_like(z)
        hard[torch.sort(z, descending=True, stable=True).indices[:k]] = 1
        low = z.min() - 40 * temperature
        high = z.max() + 40 * temperature
        for _ in range(_BISECTIONS):
            middle = (low + high) / 2
            too_many = torch.sigmoid((z - middle) / temperature).sum() > k
            low, high = torch.where(too_many, middle, low), torch.where(too_many, high, middle)
        p = torch.sigmoid((z - (low + high) / 2) / temperature)
        ctx.save_for_backward(p * (1 - p) / temperature)
        return hard

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> tuple[torch.Tensor, None, None]:
        (slope,) = ctx.saved_tensors
        (gradient,) = gradients
        mean = (slope * gradient).sum() / slope.sum().clamp(min=torch.finfo(slope.dtype).tiny)
        return slope * (gradient - mean), None, None


def exact_top_k(z: torch.Tensor, k: int, temperature: float) -> torch.Tensor:
    """0/1 float[N] with exactly k ones at the largest z (stable ties), differentiable in z[N].

    The gradient is that of p_i = σ((z_i − τ)/T) with τ fixed by Σp = k: ∂p_i/∂z_j = s_i(δ_ij − s_j/Σs),
    s = p(1 − p)/T, by the implicit function theorem.
    """
    if k <= 0 or k >= z.numel():
        return torch.zeros_like(z) if k <= 0 else torch.ones_like(z)
    result: torch.Tensor = _ExactTopK.apply(z, k, temperature)  # type: ignore[no-untyped-call]
    return result


@register("designers", "learned")
class Learned(Designer):
    """One score per unit; the k best are measured, in every training step as in the final pattern.

    The scores start at a *drawn* pattern, log density plus one fixed draw of Gumbel variables, whose top-k is a
    weighted draw without replacement: learning moves samples of a pattern that is already good. A
    smooth start would collapse to the low-pass disc. The draw is blue noise (`blue_noise`): its top-k leaves
    neither clusters nor holes, whatever density is learned.

    What a unit is worth shows only while it isn't measured: the loss is flat, to first order, in a unit whose value
    is already known. So the gradient of each unit is remembered from the steps in which it was left out, and
    averaged with its neighbours' on the catalogue's grid, which stand in for a unit that is always measured.
    Scores then move by the logarithm of that worth until it is level across the edge of the pattern: the
    condition of an optimal density. Neighbours move together, so that the even draw stays even.

    Parameters
    ----------
    spread
        The starting density is the mean coefficient energy over the training images, a little smoothed, to this
        power; None: 0.6, or what suits the catalogue (`SensingModel.designer_defaults`).
    scatter
        Scale of the Gumbel variables of the start; None: 1, or what suits the catalogue.
    exploration
        Scale γ of the Gumbel noise at the start of joint training; falls to 0. None: 0.3, or what
        suits the catalogue.
    temperature
        Temperature T of the relaxation at the start; falls to a tenth.
    rate
        Step size of the scores, in score units per unit of log worth.
    every
        The scores move in one of so many steps; the others train the network alone, which is quicker, on
        patterns that are drawn all the same.
    """

    summary = "exact-k Gumbel top-k: binary and on budget in every training step"
    reference = "Gumbel top-k, arXiv 1903.06059; straight-through LOUPE, arXiv 2007.14450"
    is_learned = True

    def __init__(
        self,
        problem: DesignProblem,
        spread: float | None = None,
        scatter: float | None = None,
        exploration: float | None = None,
        temperature: float = 1.0,
        rate: float = 0.25,
        every: int = 4,
    ) -> None:
        super().__init__(problem)
        given = {"spread": spread, "scatter": scatter, "exploration": exploration}
        usual = {**_USUAL, **problem.sensing.designer_defaults.get(self.kind, {})}
        decided = {name: usual[name] if value is None else value for name, value in given.items()}
        self.spread, self.scatter, self.exploration = (
            number_option(self.kind, name, value) for name, value in decided.items()
        )
        self.temperature = number_option(self.kind, "temperature", temperature, above=True)
        self.rate = number_option(self.kind, "rate", rate)
        self.every = count_option(self.kind, "every", every)
        self.progress = 0.0
        free = problem.free_units
        self.scores = nn.Parameter(torch.from_numpy(self._start()[free]).float())
        self.register_buffer("free", torch.from_numpy(free), persistent=False)
        base = torch.from_numpy(problem.fixed_counts).float()
        self.register_buffer("base", base, persistent=False)
        # Decaying sums, over the steps in which a unit was left out, of its worth and of 1.
        self.register_buffer("worth_sum", torch.zeros(free.size))
        self.register_buffer("left_out", torch.zeros(free.size))
        self.register_buffer("drawn", torch.zeros((), dtype=torch.int64))

    def _start(self) -> npt.NDArray[np.float64]:
        """float64[K]: scores whose top-k is a blue-noise draw of the starting density."""
        problem, shape = self.problem, self.problem.sensing.grid_shape
        energy = np.maximum(problem.energy, 1e-12 * max(float(problem.energy.max()), 1e-300))
        density = self.spread * ndimage.gaussian_filter(np.log(energy).reshape(shape), _SMOOTHING, mode="nearest")
        levels = blue_noise(shape, numpy_generator(problem.seed, "designer:learned"))
        gumbel = -np.log(-np.log1p(-levels))  # the lowest level is the likeliest
        return np.asarray((density - density.mean() + self.scatter * gumbel).reshape(-1))

    def set_progress(self, progress: float) -> None:
        self.progress = min(max(progress, 0.0), 1.0)

    def optimiser(self, learning_rate: float) -> torch.optim.Optimizer:
        return torch.optim.SGD([self.scores], lr=self.rate)

    def relaxed(self, generator: torch.Generator) -> torch.Tensor:
        drawn: torch.Tensor = self.get_buffer("drawn")
        scores: torch.Tensor = self.scores + 0 if int(drawn) % self.every == 0 else self.scores.detach()
        drawn += 1
        if self.exploration > 0 and self.progress < 1:
            noise = _gumbel(scores.numel(), generator)
            scores = scores + self.exploration * (1 - self.progress) * noise
        temperature = self.temperature * 0.1**self.progress
        chosen = exact_top_k(scores, self.problem.n_free, temperature)
        if chosen.requires_grad:
            scores.register_hook(self._smooth)
            measured = chosen.detach() > 0
            chosen.register_hook(lambda gradient: self._with_hindsight(gradient, measured))
        base: torch.Tensor = self.get_buffer("base")
        return base.index_add(0, self.get_buffer("free"), chosen)

    def _with_hindsight(self, gradient: torch.Tensor, measured: torch.Tensor) -> torch.Tensor:
        """Remember the worth of what was left out; give minus the log worth of every unit as the gradient."""
        worth_sum, left_out = self.get_buffer("worth_sum"), self.get_buffer("left_out")
        worth_sum.mul_(_MEMORY).add_(torch.where(measured, torch.zeros_like(gradient), -gradient))
        left_out.mul_(_MEMORY).add_((~measured).float())
        typical = worth_sum.sum().clamp(min=0) / left_out.sum().clamp(min=1)
        floor = _FLOOR * typical + torch.finfo(torch.float32).tiny
        worth = self._smooth(worth_sum) / self._smooth(left_out).clamp(min=1e-6)
        return -worth.clamp(min=floor).log()

    def _smooth(self, values: torch.Tensor) -> torch.Tensor:
        """Gaussian mean over the catalogue's grid; units that aren't free count as nothing."""
        grid = np.zeros(self.problem.sensing.n_units)
        grid[self.problem.free_units] = values.numpy()
        smooth = ndimage.gaussian_filter(grid.reshape(self.problem.sensing.grid_shape), _NEIGHBOURHOOD, mode="nearest")
        return torch.from_numpy(smooth.reshape(-1)[self.problem.free_units]).float()

    def freeze(self, generator: torch.Generator) -> Pattern:
        ranked = torch.sort(self.scores.detach().cpu(), descending=True, stable=True).indices.numpy()
        return self.pattern_of(self.problem.free_units[ranked[: self.problem.n_free]])


def _gumbel(n: int, generator: torch.Generator) -> torch.Tensor:
    uniform = torch.rand(n, generator=generator).clamp(min=1e-20)
    return -torch.log((-torch.log(uniform)).clamp(min=1e-20))
