"""csfm: a learned map of expected repeats, sampled once per captured frame."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn

from acqplan.core.errors import BudgetError
from acqplan.core.registry import register
from acqplan.core.seeding import torch_generator
from acqplan.designers.designer import Designer, DesignProblem
from acqplan.designers.options import count_option, number_option
from acqplan.designers.probability import LOGIT_SLOPE, apportion, initial_logits, rescale
from acqplan.sensing.pattern import Pattern

_SMALLEST = 1e-6  # keeps the logit of a probability finite in float32


@register("designers", "csfm")
class Csfm(Designer):
    """One probability per free unit and capture; a unit's count is in how many captures it is measured.

    The map is LOUPE's, rescaled so that captures × Σp is the count: captures × p is the
    expected number of repeats. Each capture draws a binary sample by the Gumbel-softmax trick over
    {measured, not measured}: hard forward, the soft sample's gradient backward
    (straight-through). `freeze` apportions the exact count by largest remainders of the expected repeats.

    Parameters
    ----------
    captures
        Captured frames per unit to draw for, the largest number of repeats.
    temperature
        Of the softmax.
    """

    summary = "csfm: learned expected repeats, one binary Gumbel-softmax sample per capture"
    reference = "Wang, LaViolette, Moon, Xu and Sabuncu, MICCAI 2021, arXiv 2105.07961"
    is_learned = True
    repeats = True
    free: torch.Tensor

    def __init__(self, problem: DesignProblem, captures: int = 4, temperature: float = 0.8) -> None:
        super().__init__(problem)
        self.captures = count_option(self.kind, "captures", captures)
        if problem.n_free > self.captures * problem.free_units.size:
            raise BudgetError(
                f"{problem.n_free} readings are left for {problem.free_units.size} units of {captures} captures each.",
                "Give a smaller budget or more captures.",
            )
        self.temperature = number_option(self.kind, "temperature", temperature, above=True)
        free = torch.as_tensor(problem.free_units)
        self.register_buffer("free", free, persistent=False)
        generator = torch_generator(problem.seed, f"designer:{self.kind}")
        self.theta = nn.Parameter(initial_logits(free.numel(), generator))

    def expected_repeats(self) -> torch.Tensor:
        """float32 over the free units, 0 to ``captures``, summing to ``problem.n_free``."""
        mean = self.problem.n_free / max(1, self.captures * self.free.numel())
        return self.captures * rescale(torch.sigmoid(LOGIT_SLOPE * self.theta), mean)

    def relaxed(self, generator: torch.Generator) -> torch.Tensor:
        probability = (self.expected_repeats() / self.captures).clamp(_SMALLEST, 1 - _SMALLEST)
        # A difference of two Gumbel variables is logistic, so the two-class softmax is a sigmoid.
        uniform = torch.rand((self.captures, probability.numel()), generator=generator, device=generator.device)
        logistic = torch.logit(uniform.clamp(_SMALLEST, 1 - _SMALLEST)).to(probability.device)
        soft = torch.sigmoid((torch.logit(probability) + logistic) / self.temperature)
        hard = (soft > 0.5).to(soft.dtype)
        repeats = (hard + (soft - soft.detach())).sum(0)
        counts = torch.from_numpy(self.problem.fixed_counts).float().to(probability.device)
        return counts.index_copy(0, self.free, repeats)

    def freeze(self, generator: torch.Generator) -> Pattern:
        problem = self.problem
        expected = self.expected_repeats().detach().cpu().numpy().astype(np.float64)
        counts = problem.fixed_counts
        counts[problem.free_units] = apportion(expected, problem.n_free, self.captures)
        return self.pattern_counted(counts)
