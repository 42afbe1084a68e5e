"""LOUPE: learning a map of sampling probabilities."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn

from acqplan.core.registry import register
from acqplan.core.seeding import torch_generator
from acqplan.designers.designer import Designer, DesignProblem
from acqplan.designers.options import number_option
from acqplan.designers.probability import LOGIT_SLOPE, initial_logits, rescale
from acqplan.sensing.pattern import Pattern


@register("designers", "loupe")
class Loupe(Designer):
    """One probability per free unit, p = σ(t·θ) with t = 5, rescaled so that Σp is the count.

    A training step measures m = σ(s·(p − u)) with u uniform on [0, 1): a grey, differentiable
    stand-in for drawing each unit with probability p. The paper's budget holds on average only; `freeze`
    takes the most probable units up to the exact count.

    Parameters
    ----------
    slope
        s. 12 as in the authors' code; 200 in the paper: nearly binary, with rare large gradients.
    """

    summary = "LOUPE: a learned map of probabilities, grey masks in training"
    reference = "Bahadir, Wang, Dalca and Sabuncu, IEEE TCI 2020, arXiv 1907.11374"
    is_learned = True
    free: torch.Tensor

    def __init__(self, problem: DesignProblem, slope: float = 12.0) -> None:
        super().__init__(problem)
        self.slope = number_option(self.kind, "slope", slope, above=True)
        free = torch.as_tensor(problem.free_units)
        self.register_buffer("free", free, persistent=False)
        generator = torch_generator(problem.seed, f"designer:{self.kind}")
        self.theta = nn.Parameter(initial_logits(free.numel(), generator))

    def probability(self) -> torch.Tensor:
        """p float32 over the free units, summing to ``problem.n_free``."""
        mean = self.problem.n_free / max(1, self.free.numel())
        return rescale(torch.sigmoid(LOGIT_SLOPE * self.theta), mean)

    def relaxed(self, generator: torch.Generator) -> torch.Tensor:
        probability = self.probability()
        threshold = torch.rand(probability.shape, generator=generator, device=generator.device)
        grey = torch.sigmoid(self.slope * (probability - threshold.to(probability.device)))
        counts = torch.from_numpy(self.problem.fixed_counts).float().to(probability.device)
        return counts.index_copy(0, self.free, grey)

    def freeze(self, generator: torch.Generator) -> Pattern:
        # p increases with θ, so they share one order; θ has no ties from σ's saturation.
        descending = np.argsort(-self.theta.detach().cpu().numpy(), kind="stable")
        return self.pattern_of(self.problem.free_units[descending[: self.problem.n_free]])
