"""The contract of a designer: what chooses a pattern under an exact budget."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from acqplan.core.errors import BudgetError, RecipeError
from acqplan.core.seeding import numpy_generator
from acqplan.sensing.budget import Budget
from acqplan.sensing.model import SensingModel
from acqplan.sensing.pattern import Pattern


@dataclass(frozen=True, eq=False)
class DesignProblem:
    """What a designer knows before training.

    Parameters
    ----------
    sensing
        The catalogue.
    budget
        The exact count, calibration included.
    calibration
        int32[m], ascending: units that every pattern contains, as often as they occur; m = ``budget.n_calibration``.
        Only a sensing model's reference unit occurs more than once.
    energy
        float64[K]: mean of |coefficient|² over the training images, summed over a unit's samples.
    seed
        Seed for whatever the designer draws at construction.
    variance
        float64[K]: noise variance of one reading of each unit, decoded, of a mean training image; None if it isn't
        known. As ``energy`` it is summed over a unit's samples.
    allowed
        bool[K], units that may be measured; None allows all.
    required
        int32[r], units that every pattern contains although they belong to no calibration region.

    Raises
    ------
    BudgetError
        Fewer readings than units that must be measured.
    """

    sensing: SensingModel
    budget: Budget
    calibration: npt.NDArray[np.int32]
    energy: npt.NDArray[np.float64]
    seed: int = 0
    variance: npt.NDArray[np.float64] | None = None
    allowed: npt.NDArray[np.bool_] | None = None
    required: npt.NDArray[np.int32] = field(default_factory=lambda: np.zeros(0, dtype=np.int32))

    def __post_init__(self) -> None:
        name, n_fixed, n_readings = self.sensing.unit_name, self.fixed_readings.size, self.budget.n_readings
        if n_readings < n_fixed:
            raise BudgetError(
                f"The calibration region and the required units are {n_fixed} {name}s, the budget is {n_readings}.",
                "Give a larger budget, or require less.",
            )

    @property
    def fixed_counts(self) -> npt.NDArray[np.int64]:
        """int64[K]: how often every pattern measures each unit: the calibration region's, required units once."""
        counts = np.bincount(self.calibration, minlength=self.sensing.n_units).astype(np.int64)
        counts[self.required] = np.maximum(counts[self.required], 1)
        return counts

    @property
    def fixed_readings(self) -> npt.NDArray[np.int64]:
        """Units as often as `fixed_counts` says, ascending."""
        return np.repeat(np.arange(self.sensing.n_units), self.fixed_counts)

    @property
    def free_units(self) -> npt.NDArray[np.int64]:
        """Units that may but needn't be measured, ascending."""
        is_free = self.fixed_counts == 0
        return np.flatnonzero(is_free if self.allowed is None else is_free & self.allowed)

    @property
    def measurable_units(self) -> npt.NDArray[np.int64]:
        """Fixed and free units, ascending."""
        return np.union1d(self.fixed_readings, self.free_units)

    @property
    def n_free(self) -> int:
        """Readings left beside the fixed ones."""
        return self.budget.n_readings - int(self.fixed_counts.sum())


class Designer(nn.Module, ABC):
    """Chooses a pattern; lives during training only and is never stored in a plan.

    A subclass's constructor takes the `DesignProblem` and then its own options as JSON-ready keywords. It keeps each
    under its own name as it was decided, so that a plan's recipe can spell it out; None is an option
    that the seed decides.
    """

    kind: ClassVar[str]
    summary: ClassVar[str]
    reference: ClassVar[str]
    is_learned: ClassVar[bool]
    repeats: ClassVar[bool] = False
    """It measures units several times where that pays, so that the count may exceed the catalogue."""
    repeats_by_instrument: ClassVar[bool] = False
    """It does so for sensing models whose ``repeats_pay``."""
    most_units: ClassVar[int | None] = None
    """The largest catalogue that it can search; None: any."""
    searches: ClassVar[bool] = False
    """It searches with the trained network before it freezes (`acqplan.designers.searching`)."""
    keeps_drawing: ClassVar[bool] = False
    """After the freeze, too, each step draws a pattern by `relaxed`: the network is to serve all of them."""
    learns_from_errors: ClassVar[bool] = False
    """It is learned by `learn`, not by gradients, and has no parameters."""

    def __init__(self, problem: DesignProblem) -> None:
        super().__init__()
        n_units = problem.sensing.n_units
        if self.most_units is not None and n_units > self.most_units:
            raise RecipeError(
                f"The designer {self.kind} is for at most {self.most_units} units, and there are {n_units}.",
                "Choose swaps.",
            )
        if not self.may_repeat(problem.sensing) and problem.n_free > problem.free_units.size:
            raise BudgetError(
                f"The designer {self.kind} measures a unit once, and {problem.n_free} readings are left for "
                f"{problem.free_units.size} units.",
                "Give a smaller budget, lift some of the pattern's constraints, or choose a designer that repeats, "
                "such as water-filling.",
            )
        self.problem = problem

    @classmethod
    def may_repeat(cls, sensing: SensingModel) -> bool:
        """Whether it may measure units of this catalogue several times."""
        return cls.repeats or (cls.repeats_by_instrument and sensing.repeats_pay)

    @abstractmethod
    def relaxed(self, generator: torch.Generator) -> torch.Tensor:
        """counts float32[K] for one training step, differentiable where the designer is learned."""

    @abstractmethod
    def freeze(self, generator: torch.Generator) -> Pattern:
        """The final pattern: exactly ``budget.n_readings`` readings, the fixed ones inside."""

    def set_progress(self, progress: float) -> None:
        """Tell how far joint training is, 0 to 1, for annealing; by default ignored."""

    def wants_errors(self) -> bool:
        """Whether `learn` is to be called in this step of joint training; asked after `relaxed`."""
        return False

    def learn(self, counts: torch.Tensor, errors: torch.Tensor) -> None:
        """See what the network made of this step's pattern.

        Parameters
        ----------
        counts
            float32[K], of this step.
        errors
            float32[K]: mean over a batch of |coefficient of (reconstruction − truth)|² of each unit, summed over its
            samples, in units of full scale, as ``problem.energy``.
        """

    def optimiser(self, learning_rate: float) -> torch.optim.Optimizer:
        """The optimiser of the designer's parameters; its rate is scaled by the training's schedule.

        ``learning_rate`` is the network's. By default Adam at ten times that rate.
        """
        parameters = list(self.parameters()) or [nn.Parameter(torch.zeros(0))]
        return torch.optim.Adam(parameters, lr=10 * learning_rate)

    def pattern_of(self, free: npt.ArrayLike) -> Pattern:
        """The pattern of the fixed readings plus these units, in ascending order."""
        n_units = self.problem.sensing.n_units
        return self.pattern_counted(self.problem.fixed_counts + np.bincount(np.asarray(free, int), minlength=n_units))

    def pattern_counted(self, counts: npt.NDArray[np.integer]) -> Pattern:
        """The pattern that measures each unit as often as ``counts`` int[K] says, in ascending order."""
        pattern = Pattern.from_counts(counts, self.problem.calibration)
        assert pattern.n_readings == self.problem.budget.n_readings, "budget not exact"
        return pattern


class FixedDesigner(Designer):
    """A designer that learns nothing: draws one pattern at construction and keeps it."""

    is_learned = False

    def __init__(self, problem: DesignProblem) -> None:
        super().__init__(problem)
        self._pattern: Pattern | None = None

    @abstractmethod
    def choose(self, random: np.random.Generator) -> npt.NDArray[np.int64]:
        """``problem.n_free`` distinct ones of ``problem.free_units``."""

    @property
    def pattern(self) -> Pattern:
        """The pattern, drawn at the first use from the problem's seed."""
        if self._pattern is None:
            random = numpy_generator(self.problem.seed, f"designer:{self.kind}")
            self._pattern = self.pattern_of(self.choose(random))
        return self._pattern

    def relaxed(self, generator: torch.Generator) -> torch.Tensor:
        return torch.as_tensor(self.pattern.counts, dtype=torch.float32)

    def freeze(self, generator: torch.Generator) -> Pattern:
        return self.pattern
