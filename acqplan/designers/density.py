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
_DENSITIES, _BETTER, _DRAWS = 32, 8, 16
_WORTH_DB = 0.2  # on a usual pattern
_FINALISTS = 4


@register("designers", "density")
class DensitySearch(SearchingDesigner):
    """Fit a density to the network, then take the best of several draws.

    Successive halving: 32 densities (powers of the distance and of the images' energy, cores, stretches, blue and
    independent draws) on few images, the best 8 on all, 16 draws of the best three, 16 of the best one. Of the four
    best draws the one is taken that is best on the search's images and on a second set together.

    Where a catalogue starts in a corner, the lowest units of three shapes are looked at on all images whatever few of
    them tell, and where repeats pay, water-filling is: the search is never below them on its own images.
    """

    summary = "the density that suits the network, and its best draw, by search"
    reference = "successive halving, Jamieson and Talwalkar, AISTATS 2016"
    repeats_by_instrument = True
    scores: torch.Tensor
    place: torch.Tensor

    def __init__(self, problem: DesignProblem, rounds: int | None = None) -> None:
        super().__init__(problem, rounds)
        self._always = (*self.family.musts, *_ALWAYS)
        sizes = (_DENSITIES, _BETTER + len(self.family.musts), _DRAWS, _DRAWS)
        self._ends = [int(end) for end in np.cumsum(sizes)]
        """Places of the ladder at which each stage ends: densities that few images judge, the better ones on all, draws
        of the best three, draws of the best one."""
        self.register_buffer("scores", torch.full((self._ends[-1],), -torch.inf, dtype=torch.float64))
        self.register_buffer("place", torch.full((), -1, dtype=torch.int64))  # of the ladder, that was best

    @property
    def n_rounds(self) -> int:
        return sum(len(each) for each in self._rounds()) + 1

    def _rounds(self) -> list[list[range]]:
        """The places of each round, of each stage."""
        stages = zip([0, *self._ends[:-1]], self._ends, strict=True)
        return [[range(i, min(i + _AT_ONCE, stop)) for i in range(start, stop, _AT_ONCE)] for start, stop in stages]

    def take_round(self, critic: Critic, random: np.random.Generator) -> bool:
        rounds = [places for stage in self._rounds() for places in stage]
        if int(self.done) >= len(rounds):
            self._choose(critic)
            return False
        places = rounds[int(self.done)]
        counts = np.stack([self._candidate(place) for place in places])
        found = critic.quality(counts, _FEW_IMAGES if places.start < self._ends[0] else None)
        self.scores[places.start : places.stop] = torch.from_numpy(found)
        self.tries += len(places)
        is_first_on_all = places.start == self._ends[0]  # what few images told doesn't compare
        if is_first_on_all or float(found.max()) > float(self.best_db):
            self._keep_place(places[int(found.argmax())])
        return True

    def _choose(self, critic: Critic) -> None:
        """Of the finalists, the best on both sets of images."""
        first, n_musts = self._ends[0], len(self.family.musts)
        others = first + n_musts + np.argsort(-self.scores.numpy()[first + n_musts :], kind="stable")[:_FINALISTS]
        ranked = np.concatenate([others, first + np.arange(n_musts)])
        counts = np.stack([self._candidate(int(place)) for place in ranked])
        both = (self.scores.numpy()[ranked] + critic.guard(counts)) / 2
        self._keep_place(int(ranked[int(both.argmax())]))

    def settle(self, critic: Critic) -> None:
        """Back to the best of the orders measured once and water-filling, unless both sets of images gained 0.2 dB.

        What a search gains by less on some samples, others lose.
        """
        first, n_musts = self._ends[0], len(self.family.musts)
        of_musts = self.scores.numpy()[first : first + n_musts]
        if not n_musts or not np.isfinite(of_musts).all():
            return
        usual = first + int(of_musts.argmax())
        on_guards = critic.guard(np.stack([self.best.numpy(), self._candidate(usual)]))
        if min(float(self.best_db) - float(of_musts.max()), float(on_guards[0] - on_guards[1])) < _WORTH_DB:
            self._keep_place(usual)

    def _keep_place(self, place: int) -> None:
        self.keep(self._candidate(place), float(self.scores[place]))
        self.place.fill_(place)

    def found(self) -> dict[str, Any]:
        found, place = super().found(), int(self.place)
        of_musts = self.scores.numpy()[self._ends[0] :][: len(self.family.musts)]
        if of_musts.size and np.isfinite(of_musts).all():
            found["usual_db"] = float(of_musts.max())
        return {**found, **({} if place < 0 else {"density": asdict(self.density_at(place))})}

    def _candidate(self, place: int) -> IntArray:
        """int64[K]: the pattern that a place of the ladder stands for; draws follow from the seed and the place."""
        draw = numpy_generator(self.problem.seed, f"search draw {place}")
        return self.counts_of(self.family.draw(self.density_at(place), draw))

    def density_at(self, place: int) -> Density:
        """The density that a place of the ladder stands for, as far as the stages before it have come."""
        ends, n_musts = self._ends, len(self.family.musts)
        if place < ends[0]:
            always = self._always
            return always[place] if place < len(always) else _any(self.family, self.problem.seed, place)
        stage = int(np.searchsorted(ends, place, side="right"))
        if stage == 1:
            chosen = [*range(n_musts), *(i for i in self._ranked(0, ends[0]) if i >= n_musts)]
            return self.density_at(chosen[place - ends[0]])
        of_density = self._ranked(ends[0], ends[1])
        if stage == 2:
            return self.density_at(of_density[(place - ends[1]) % 3]).loosened()
        return self.density_at(self._best_of_draws(of_density[:3], ends[1], ends[2])).loosened()

    def _ranked(self, start: int, stop: int) -> list[int]:
        return [start + int(i) for i in np.argsort(-self.scores.numpy()[start:stop], kind="stable")]

    def _best_of_draws(self, places: Sequence[int], start: int, stop: int) -> int:
        """Of the densities at these places, which draws were taken of in turn, the one with the best mean."""
        means = [float(self.scores.numpy()[start + i : stop : len(places)].mean()) for i in range(len(places))]
        return places[int(np.argmax(means))]


def _any(family: Family, seed: int, place: int) -> Density:
    return family.any_density(numpy_generator(seed, f"search density {place}"))
