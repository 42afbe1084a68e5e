"""Few units: a pattern that grows one unit after the other, each the best of a few dozen."""

from __future__ import annotations

import math

import numpy as np
import torch

from acqplan.core.registry import register
from acqplan.designers.designer import DesignProblem
from acqplan.designers.options import count_option
from acqplan.designers.searching import Critic, IntArray, SearchingDesigner

_MOST_TRIES = 1200
_DRAWS = 4  # of which a pattern is completed


@register("designers", "greedy")
class Greedy(SearchingDesigner):
    """Grow the pattern from the readings that every pattern has, by the best of a few dozen random units each time.

    A network that was trained at one budget can't judge a part of a pattern. So what is still missing is drawn from
    the family, anew in each round and the same for all its candidates: a whole pattern is judged. The candidates are
    spread over all distances from the centre. In the end the pattern, the best one seen on the way and a usual
    draw are compared on the search's images and a second set together.

    Parameters
    ----------
    candidates
        Units that are tried in each round. Several are taken at once where it would come to more than 1200 tries.
    """

    summary = "for few units: adds the best of a few dozen random ones, again and again"
    reference = "sLBCS, Sanchez et al., ICASSP 2020; LBCS, Gözcü et al., IEEE TMI 2018"
    repeats_by_instrument = True
    most_units = 512
    taken: torch.Tensor

    def __init__(self, problem: DesignProblem, candidates: int = 32, rounds: int | None = None) -> None:
        super().__init__(problem, rounds)
        self.candidates = count_option(self.kind, "candidates", candidates)
        self.register_buffer("taken", torch.from_numpy(problem.fixed_counts))

    @property
    def n_rounds(self) -> int:
        n_free, n_units = self.problem.n_free, self._to_choose_from(self.problem.fixed_counts).size
        is_settled = n_free == 0 or n_units == 1 or (n_free == n_units and not self.family.repeats)
        return 0 if is_settled else n_free + 1

    def take_round(self, critic: Critic, random: np.random.Generator) -> bool:
        taken = self.taken.numpy()
        n_left = self.problem.budget.n_readings - int(taken.sum())
        if n_left == 0:
            self._choose(critic)
            return False
        units = self._spread(self._to_choose_from(taken), n_left, random)
        counts = self._completed(taken, units, n_left - 1, random) + np.eye(taken.size, dtype=np.int64)[units]
        found = critic.quality(counts)
        self.tries += units.size
        ranked = np.argsort(-found, kind="stable")
        at_once = math.ceil(self.problem.n_free * self.candidates / _MOST_TRIES)
        self.taken[torch.from_numpy(units[ranked[: min(at_once, n_left)]])] += 1
        if float(found[ranked[0]]) > float(self.best_db):
            self.keep(counts[ranked[0]], float(found[ranked[0]]))
        return True

    def _choose(self, critic: Critic) -> None:
        """The pattern that has grown, the best one on the way or a usual one: whichever is best on all images."""
        usual = self.counts_of(self.family.draw(self.family.usual, self.family.own_random()))
        counts = np.stack([self.taken.numpy(), self.best.numpy(), usual])
        found = critic.quality(counts)
        self.tries += 2
        i = int((found + critic.guard(counts)).argmax())
        self.keep(counts[i], float(found[i]))

    def _to_choose_from(self, taken: IntArray) -> IntArray:
        """Units that may have one reading more than ``taken``[K]."""
        if self.family.repeats:
            return np.flatnonzero(self.family.candidates)
        free = self.problem.free_units
        return np.asarray(free[taken[free] == 0])

    def _spread(self, units: IntArray, n_left: int, random: np.random.Generator) -> IntArray:
        """The round's candidates, one of each stretch of distances; enough others are left to complete the pattern."""
        n = min(self.candidates, units.size if self.family.repeats else units.size - n_left + 1)
        by_distance = units[np.argsort(self.problem.sensing.distance()[units], kind="stable")]
        return np.array([random.choice(part) for part in np.array_split(by_distance, n)])

    def _completed(self, taken: IntArray, units: IntArray, n: int, random: np.random.Generator) -> IntArray:
        """int64[K]: ``taken`` and ``n`` readings of usual draws, none of them the candidates' if it may be."""
        counts, is_other = taken.copy(), np.ones(taken.size, dtype=bool)
        is_other[units] = False
        n += int(taken.sum())
        for _ in range(_DRAWS):
            drawn = self.counts_of(self.family.draw(self.family.usual.loosened(), random))
            more = np.repeat(np.arange(taken.size), np.maximum(drawn - counts, 0) * is_other)
            chosen = random.choice(more, min(n - int(counts.sum()), more.size), replace=False)
            counts += np.bincount(chosen, minlength=taken.size)
        others = self._to_choose_from(counts)
        others = others[is_other[others]] if is_other[others].any() else others
        rest = random.choice(others, n - int(counts.sum()), replace=self.family.repeats)
        return counts + np.bincount(rest, minlength=taken.size)
