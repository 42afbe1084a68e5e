"""Every pattern of a family, of any budget: what a base network is trained on."""

from __future__ import annotations

import numpy as np
import torch

from acqplan.core.errors import RecipeError
from acqplan.core.registry import register
from acqplan.core.seeding import numpy_from
from acqplan.designers.designer import Designer, DesignProblem
from acqplan.designers.family import Family
from acqplan.designers.options import number_option
from acqplan.sensing.pattern import Pattern

_LOSSY = 0.25  # share of the patterns that lack readings, as an acquisition may
_MOST_LOST = 0.1  # of the readings that are drawn


@register("designers", "any-pattern")
class AnyPattern(Designer):
    """A new pattern of a family in every step, before the freeze and after: for networks that serve many patterns.

    Budgets are drawn evenly in the logarithm, densities as `Family.any_density` draws them; a quarter of the patterns
    lack up to a tenth of their readings, at random, as where some got lost. The plan's own pattern is a usual one, of
    the problem's budget: an example.

    Parameters
    ----------
    least, most
        Range of accelerations: catalogue over readings.
    """

    summary = "a new random pattern in every step: trains a base network for many patterns"
    reference = "none needed"
    is_learned = False
    keeps_drawing = True
    repeats_by_instrument = True

    def __init__(self, problem: DesignProblem, least: float = 2.0, most: float = 16.0) -> None:
        super().__init__(problem)
        self.least = number_option(self.kind, "least", least, least=1.0)
        self.most = number_option(self.kind, "most", most, least=1.0)
        if self.most < self.least:
            raise RecipeError(
                f"The {self.kind} options are least = {self.least:g} and most = {self.most:g}.",
                "Give accelerations in ascending order.",
            )
        self.family = Family(problem)

    def relaxed(self, generator: torch.Generator) -> torch.Tensor:
        random = numpy_from(generator)
        n_units = self.problem.sensing.n_units
        n = round(n_units / float(np.exp(random.uniform(np.log(self.least), np.log(self.most)))))
        fixed, n_free = self.problem.fixed_counts, self.problem.free_units.size
        n_drawn = min(max(n - int(fixed.sum()), min(1, n_free)), n_free)
        drawn = self.family.draw(self.family.any_density(random), random, n_drawn)
        if random.random() < _LOSSY:
            drawn = drawn[random.random(drawn.size) >= random.uniform(0, _MOST_LOST)]
        return torch.from_numpy(fixed + np.bincount(drawn, minlength=n_units)).float()

    def freeze(self, generator: torch.Generator) -> Pattern:
        return self.pattern_of(self.family.draw(self.family.usual, self.family.own_random()))
