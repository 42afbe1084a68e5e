"""The density that suits the network, and its best draw."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
import torch

from acqplan.core.registry import register
from acqplan.core.seeding import numpy_generator
from acqplan.designers.designer import DesignProblem
from acqplan.designers.family import Density, Family
from acqplan.designers.searching import Critic, IntArray, SearchingDesigner

_AT_ONCE = 8  # patterns of a round
_FEW_IMAGES = 4
_ALWAYS = (
    *(Density(power) for power in (1.0, 1.7, 2.5, 4.0, 6.0)),
    *(Density(exponent, by_energy=True) for exponent in (0.3, 0.45, 0.6, 0.8)),
)
_LADDER = ((32, True), (8, False), (16, False), (16, False))
"""Patterns of each stage, and whether few images judge them: densities, the better ones on all images, draws of the
best three, draws of the best one."""
_FINALISTS = 4


@register("designers", "density")
class DensitySearch(SearchingDesigner):
    """Fit a density to the network, then take the best of several draws.

    Successive halving: 32 densities (powers of the distance and of the images' energy, cores, stretches, blue and
    independent draws) on few images, the best 8 on all, 16 draws of the best three, 16 of the best one. Of the four
    best draws the one is taken that is best on the search's images and on a second set together.
    """

    summary = "the density that suits the network, and its best draw, by search"
    reference = "successive halving, Jamieson and Talwalkar, AISTATS 2016"
    scores: torch.Tensor
    place: torch.Tensor

    def __init__(self, problem: DesignProblem, rounds: int | None = None) -> None:
        super().__init__(problem, rounds)
        self.register_buffer("scores", torch.full((sum(n for n, _ in _LADDER),), -torch.inf, dtype=torch.float64))
        self.register_buffer("place", torch.full((), -1, dtype=torch.int64))  # of the ladder, that was best

    @property
    def n_rounds(self) -> int:
        return sum(-(-n // _AT_ONCE) for n, _ in _LADDER) + 1

    def take_round(self, critic: Critic, random: np.random.Generator) -> bool:
        start, done = 0, int(self.done)
        for stage, (n, is_quick) in enumerate(_LADDER):
            n_rounds = -(-n // _AT_ONCE)
            if done < n_rounds:
                first = start + done * _AT_ONCE
                places = range(first, min(first + _AT_ONCE, start + n))
                counts = np.stack([self._candidate(place) for place in places])
                found = critic.quality(counts, _FEW_IMAGES if is_quick else None)
                self.scores[places.start : places.stop] = torch.from_numpy(found)
                self.tries += len(places)
                is_first_on_all = stage == 1 and done == 0  # what few images told doesn't compare
                if is_first_on_all or float(found.max()) > float(self.best_db):
                    self._keep_place(places[int(found.argmax())])
                return True
            start, done = start + n, done - n_rounds
        self._choose(critic)
        return False

    def _choose(self, critic: Critic) -> None:
        """Of the finalists, the best on both sets of images."""
        first = _LADDER[0][0]
        ranked = first + np.argsort(-self.scores.numpy()[first:], kind="stable")[:_FINALISTS]
        counts = np.stack([self._candidate(int(place)) for place in ranked])
        both = (self.scores.numpy()[ranked] + critic.guard(counts)) / 2
        self._keep_place(int(ranked[int(both.argmax())]))

    def _keep_place(self, place: int) -> None:
        self.keep(self._candidate(place), float(self.scores[place]))
        self.place.fill_(place)

    def found(self) -> dict[str, Any]:
        place = int(self.place)
        return {**super().found(), **({} if place < 0 else {"density": asdict(self.density_at(place))})}

    def _candidate(self, place: int) -> IntArray:
        """int64[K]: the pattern that a place of the ladder stands for; draws follow from the seed and the place."""
        draw = numpy_generator(self.problem.seed, f"search draw {place}")
        return self.counts_of(self.family.draw(self.density_at(place), draw))

    def density_at(self, place: int) -> Density:
        """The density that a place of the ladder stands for, as far as the stages before it have come."""
        ends = np.cumsum([n for n, _ in _LADDER])
        if place < ends[0]:
            return _ALWAYS[place] if place < len(_ALWAYS) else _any(self.family, self.problem.seed, place)
        stage = int(np.searchsorted(ends, place, side="right"))
        if stage == 1:
            return self.density_at(self._ranked(0, int(ends[0]))[place - int(ends[0])])
        of_density = self._ranked(int(ends[0]), int(ends[1]))
        if stage == 2:
            return self.density_at(of_density[(place - int(ends[1])) % 3])
        return self.density_at(self._best_of_draws(of_density[:3], int(ends[1]), int(ends[2])))

    def _ranked(self, start: int, stop: int) -> list[int]:
        return [start + int(i) for i in np.argsort(-self.scores.numpy()[start:stop], kind="stable")]

    def _best_of_draws(self, places: Sequence[int], start: int, stop: int) -> int:
        """Of the densities at these places, which draws were taken of in turn, the one with the best mean."""
        means = [float(self.scores.numpy()[start + i : stop : len(places)].mean()) for i in range(len(places))]
        return places[int(np.argmax(means))]


def _any(family: Family, seed: int, place: int) -> Density:
    return family.any_density(numpy_generator(seed, f"search density {place}"))
