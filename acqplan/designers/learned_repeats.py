"""Repeats by water-filling on what the network can't tell from the other units: learned on top of the plain one."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
import torch
from scipy import ndimage

from acqplan.core.errors import RecipeError
from acqplan.core.registry import register
from acqplan.designers.designer import Designer, DesignProblem
from acqplan.designers.options import count_option, number_option
from acqplan.designers.repeats import allot, candidates_of, noise_variance
from acqplan.sensing.pattern import Pattern

_NEIGHBOURHOOD = 1.5  # grid positions, standard deviation: what units share of how well they are told
_MEMORY = 0.95  # of what was seen of a unit, from one look to the next: the network learns meanwhile
_FIXED_FROM = 0.8  # of joint training: from there on nothing is hidden, and the pattern stays


@register("designers", "learned-repeats")
class LearnedRepeats(Designer):
    """Water-filling with the prior variance that counts: of a unit, given what the network knows from all others.

    A network predicts coefficients that aren't measured from those that are, so that a reading is worth less than
    the unit's energy says, and not everywhere by the same factor. In some steps of joint training a few
    measured units are hidden, and their readings given to others. The mean square error of the network's prediction of
    a unit while it isn't measured, over its energy, is remembered, averaged with the neighbours' on the catalogue's
    grid, and multiplies the prior. Started at 1, which is plain water-filling. Every step has whole counts on
    the exact budget, as the frozen pattern has.

    Parameters
    ----------
    hide
        Share of the measured units, outside the calibration region, that are hidden in a look; up to 0.5.
    every
        There is a look in one of so many steps.
    caution
        Looks at a unit, neighbours included, that the start, a factor of 1, counts for.
    """

    summary = "water-filling on what the network can't predict, learned with it"
    reference = "water-filling warm start; effective prior variances of a network, this project"
    is_learned = True
    learns_from_errors = True
    repeats = True

    def __init__(self, problem: DesignProblem, hide: float = 0.1, every: int = 2, caution: float = 3.0) -> None:
        super().__init__(problem)
        self.hide = number_option(self.kind, "hide", hide)
        if self.hide > 0.5:
            raise RecipeError(f"The {self.kind} option hide is {hide}.", "Give a number from 0 to 0.5.")
        self.every = count_option(self.kind, "every", every)
        self.caution = number_option(self.kind, "caution", caution, above=True)
        self.progress = 0.0
        self._variance = noise_variance(problem)
        self._candidates = candidates_of(problem)
        # Decaying sums, over the looks in which a unit wasn't measured, of its relative error and of 1.
        self.register_buffer("error_sum", torch.zeros(problem.sensing.n_units))
        self.register_buffer("looks", torch.zeros(problem.sensing.n_units))
        self.register_buffer("drawn", torch.zeros((), dtype=torch.int64))
        self._looks_now = False

    def set_progress(self, progress: float) -> None:
        self.progress = min(max(progress, 0.0), 1.0)

    def relaxed(self, generator: torch.Generator) -> torch.Tensor:
        drawn: torch.Tensor = self.get_buffer("drawn")
        self._looks_now = int(drawn) % self.every == 0 and self.progress < _FIXED_FROM
        drawn += 1
        counts = self.counts()
        if self._looks_now and self.hide > 0:
            may_hide = (counts > 0) & (self.problem.fixed_counts == 0)
            uniform = torch.rand(counts.size, generator=generator).numpy()
            shown = self._candidates & ~(may_hide & (uniform < self.hide))
            if shown.any():
                counts = self.counts(shown)
        return torch.from_numpy(counts).float()

    def wants_errors(self) -> bool:
        return self._looks_now

    def learn(self, counts: torch.Tensor, errors: torch.Tensor) -> None:
        unmeasured = (counts == 0).float().cpu()
        energy = torch.from_numpy(np.maximum(self.problem.energy, 1e-300))
        relative = (errors.double().cpu() / energy).clamp(max=4).float()  # one image may be far from the mean
        self.get_buffer("error_sum").mul_(_MEMORY).add_(relative * unmeasured)
        self.get_buffer("looks").mul_(_MEMORY).add_(unmeasured)

    def unpredictable(self) -> npt.NDArray[np.float64]:
        """float64[K]: error of the network's prediction of a unit that isn't measured, over the unit's energy."""
        shape = self.problem.sensing.grid_shape
        sums = [self.get_buffer(name).numpy().astype(np.float64).reshape(shape) for name in ("error_sum", "looks")]
        # A Gaussian mean; the number of units that it pools is (2σ√π) to the power of the dimension.
        pooled = (2 * _NEIGHBOURHOOD * math.sqrt(math.pi)) ** len(shape)
        error, looks = (pooled * ndimage.gaussian_filter(grid, _NEIGHBOURHOOD, mode="nearest") for grid in sums)
        return np.asarray((self.caution + error) / (self.caution + looks)).reshape(-1)

    def counts(self, candidates: npt.NDArray[np.bool_] | None = None) -> npt.NDArray[np.int64]:
        """int64[K]: how often each unit is measured, as of now; more than in calibration only of ``candidates``."""
        problem = self.problem
        prior = problem.energy * self.unpredictable()
        chosen = self._candidates if candidates is None else candidates
        return allot(prior, self._variance, problem.fixed_counts, chosen, problem.n_free)

    def freeze(self, generator: torch.Generator) -> Pattern:
        return self.pattern_counted(self.counts())
