"""Designers that search: a network is trained on random patterns of a family, then tells which pattern is best."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any, ClassVar, Protocol

import numpy as np
import numpy.typing as npt
import torch

from acqplan.core.seeding import numpy_from, numpy_generator
from acqplan.designers.designer import Designer, DesignProblem
from acqplan.designers.family import Family
from acqplan.designers.options import count_option
from acqplan.sensing.pattern import Pattern

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]


class Critic(Protocol):
    """What a trained network makes of patterns, on images that are fixed for a whole search."""

    def quality(self, counts: IntArray, n_images: int | None = None) -> FloatArray:
        """In dB [n], of each pattern counts[n, K], mean over the first ``n_images`` (all) of the search's images.

        PSNR of the magnitude − 2.5·log10(1 − SSIM): what is better in one and worse in the other doesn't win.

        Every pattern sees the same images and the same noise.
        """

    def guard(self, counts: IntArray) -> FloatArray:
        """As `quality`, over all of a second set of images, which the search doesn't choose by."""

    def guard_measures(self, counts: IntArray) -> FloatArray:
        """As `guard`, [n, 2]: PSNR and −10·log10(1 − SSIM), each on its own."""

    def worth(self, counts: IntArray) -> FloatArray:
        """float64[K]: minus the gradient of the mean squared error, as `quality` takes it, in the counts[K]."""


class SearchingDesigner(Designer):
    """Draws from a family while the network is trained, and searches with it once that is done.

    `search_round` is called until there is no more to do, or no more time. Everything that a search has come to
    is in buffers, and the random numbers of a round follow from its number: a search that is interrupted between
    rounds goes on to the same pattern.

    Parameters
    ----------
    rounds
        At most so many; None: until no more pays. A plan that was made in so many minutes spells out how many there
        were.
    """

    is_learned = False
    searches = True
    has_usual: ClassVar[bool] = False
    """Where no fully sampled image can tell what is good, it keeps to a usual choice instead of being refused."""
    best: torch.Tensor
    best_db: torch.Tensor
    done: torch.Tensor
    tries: torch.Tensor
    is_over: torch.Tensor

    def __init__(self, problem: DesignProblem, rounds: int | None = None) -> None:
        super().__init__(problem)
        self.rounds = None if rounds is None else count_option(self.kind, "rounds", rounds, least=0)
        self.family = Family(problem)
        self.register_buffer("best", torch.zeros(problem.sensing.n_units, dtype=torch.int64))
        self.register_buffer("best_db", torch.full((), -torch.inf, dtype=torch.float64))
        self.register_buffer("done", torch.zeros((), dtype=torch.int64))
        self.register_buffer("tries", torch.zeros((), dtype=torch.int64))
        self.register_buffer("is_over", torch.zeros((), dtype=torch.bool))

    @property
    @abstractmethod
    def n_rounds(self) -> int:
        """At most so many rounds."""

    @abstractmethod
    def take_round(self, critic: Critic, random: np.random.Generator) -> bool:
        """Try some patterns and `keep` what is better; whether more rounds may pay."""

    @property
    def most_rounds(self) -> int:
        """At most so many, and no more than the recipe allows."""
        return self.n_rounds if self.rounds is None else min(self.rounds, self.n_rounds)

    @property
    def rounds_taken(self) -> int:
        """How many there were."""
        return int(self.done)

    @property
    def n_tries(self) -> int:
        """How many patterns were tried."""
        return int(self.tries)

    @property
    def quality_db(self) -> float | None:
        """Of the best pattern, on the images that the search chooses by; None before there is one."""
        return float(self.best_db) if int(self.best.sum()) else None

    def search_round(self, critic: Critic) -> bool:
        """One round; False once there is no more to do."""
        if bool(self.is_over) or self.rounds_taken >= self.most_rounds:
            return False
        pays = self.take_round(critic, numpy_generator(self.problem.seed, f"search {self.rounds_taken}"))
        self.done += 1
        self.is_over.fill_(not pays)
        return pays and self.rounds_taken < self.most_rounds

    def settle(self, critic: Critic) -> None:
        """Once a search is over: go back to a usual pattern where nothing much was gained on it. By default not."""

    def found(self) -> dict[str, Any]:
        """JSON-ready: what the search came to, for a plan's evidence."""
        return {"rounds": self.rounds_taken, "tries": self.n_tries, "quality_db": self.quality_db}

    def counts_of(self, free: npt.ArrayLike) -> IntArray:
        """int64[K]: the fixed readings and these free units."""
        return self.problem.fixed_counts + np.bincount(np.asarray(free, int), minlength=self.problem.sensing.n_units)

    def keep(self, counts: IntArray, quality_db: float) -> None:
        """Take a pattern as the best one so far."""
        self.best.copy_(torch.from_numpy(counts))
        self.best_db.fill_(quality_db)

    def relaxed(self, generator: torch.Generator) -> torch.Tensor:
        return torch.from_numpy(self.drawn(numpy_from(generator))).float()

    def drawn(self, random: np.random.Generator) -> IntArray:
        """int64[K] of one pattern of the family."""
        return self.counts_of(self.family.draw(self.family.any_density(random), random))

    def freeze(self, generator: torch.Generator) -> Pattern:
        if not int(self.best.sum()):
            return self.pattern_of(self.family.draw(self.family.usual, self.family.own_random()))
        return self.pattern_counted(self.best.numpy())
