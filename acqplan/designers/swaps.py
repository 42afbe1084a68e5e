"""Exchanges of single units on top of the best draw of the best density."""

from __future__ import annotations

import math

import numpy as np
import torch

from acqplan.core.registry import register
from acqplan.core.seeding import numpy_generator
from acqplan.designers.density import DensitySearch
from acqplan.designers.designer import DesignProblem
from acqplan.designers.options import count_option
from acqplan.designers.searching import Critic, FloatArray, IntArray

_PROPOSALS = 8  # of a round
_FEW_UNITS = 512  # catalogues up to this are exchanged one by one
_GROUP = 1 / 16  # of the free readings, exchanged at once at first
_PATIENCE = 8  # rounds without a gain until fewer are exchanged at once
_LEAST_GAIN_DB = 1e-3
_GUARD_DB = 0.01  # the second set of images may fall so much in one exchange
_LOSABLE_DB = 0.02  # and in PSNR and in SSIM, each, in all of them together


@register("designers", "swaps")
class Swaps(DensitySearch):
    """Exchange measured units for others wherever the network's images get better.

    Starts from `density`. In each round measured units are taken out and eight proposals tried to put in others: near
    ones, random ones, and those of largest worth by the gradient of the error in the counts. The best is kept if
    the quality rises on the search's images and doesn't fall on a second set, where neither PSNR nor SSIM may end below
    that of the draw. Few units are exchanged one
    by one, all of them in turn; of many, groups are, which get smaller where nothing is gained. Where repeats
    pay, single readings are exchanged, and some proposals are steps towards another pattern of the family.

    Parameters
    ----------
    sweeps
        How often each measured unit is tried at most, where they are exchanged one by one.
    """

    summary = "the best draw of the best density, improved by exchanges of units"
    reference = "coordinate descent as in SUNO (arXiv 2405.14472); exchange algorithms, Fedorov 1972"
    group: torch.Tensor
    fails: torch.Tensor
    floor: torch.Tensor

    def __init__(self, problem: DesignProblem, sweeps: int = 2, rounds: int | None = None) -> None:
        super().__init__(problem, rounds)
        self.sweeps = count_option(self.kind, "sweeps", sweeps)
        self.register_buffer("group", torch.full((), self._first_group, dtype=torch.int64))
        self.register_buffer("fails", torch.zeros((), dtype=torch.int64))
        self.register_buffer("floor", torch.full((2,), torch.nan, dtype=torch.float64))

    @property
    def _one_by_one(self) -> bool:
        return self.problem.sensing.n_units <= _FEW_UNITS

    @property
    def _first_group(self) -> int:
        return 1 if self._one_by_one else max(1, int(_GROUP * self.problem.n_free))

    @property
    def n_rounds(self) -> int:
        n_free = self.problem.n_free
        if self._one_by_one:
            return super().n_rounds + self.sweeps * n_free
        return super().n_rounds + 4 * _PATIENCE * max(1, math.ceil(math.log2(self._first_group + 1)))

    def take_round(self, critic: Critic, random: np.random.Generator) -> bool:
        drawing = super().n_rounds
        if int(self.done) < drawing:
            super().take_round(critic, random)
            return self._can_exchange
        if self._one_by_one:
            return self._exchange_one(critic, random, int(self.done) - drawing)
        return self._exchange_some(critic, random)

    @property
    def _can_exchange(self) -> bool:
        n_free, n_units = self.problem.n_free, self.family.candidates.sum()
        return bool(n_free > 0 and (n_units > 1 if self.family.repeats else n_free < self.problem.free_units.size))

    def _exchange_one(self, critic: Critic, random: np.random.Generator, turn: int) -> bool:
        measured, others = self._sides()
        sweep, place = divmod(turn, measured.size)
        sequence = numpy_generator(self.problem.seed, f"search sweep {sweep}").permutation(measured.size)
        out = measured[sequence[place]]
        others = others[others != out]
        coordinates = self.problem.sensing.coordinates()
        distance = ((coordinates[others] - coordinates[out]) ** 2).sum(-1)
        near = others[np.argsort(distance, kind="stable")[: _PROPOSALS // 2]]
        rest = np.setdiff1d(others, near)
        far = random.choice(rest, min(_PROPOSALS // 2, rest.size), replace=False)
        proposals = []
        for unit in (*near, *far):
            proposals.append(self._exchanged(np.array([out]), np.array([unit])))
        self._count_fails(self._take_best(critic, proposals))
        return int(self.fails) < measured.size  # a whole sweep without a gain

    def _exchange_some(self, critic: Critic, random: np.random.Generator) -> bool:
        measured, others = self._sides()
        n = min(int(self.group), measured.size, others.size)
        worth = np.maximum(critic.worth(self.best.numpy())[others], 0)
        worth = worth / worth.sum() if worth.sum() > 0 else np.full(others.size, 1 / others.size)
        proposals = []
        for i in range(_PROPOSALS):
            if self.family.repeats and i % 4 >= 2:
                proposals.append(self._step_to_another(n, random))
                continue
            out = random.choice(measured, n, replace=False)
            into = self._near(out, others, random) if i % 2 else _weighted(others, worth, n, random)
            proposals.append(self._exchanged(out[: into.size], into))
        self._count_fails(self._take_best(critic, proposals))
        if int(self.fails) < _PATIENCE:
            return True
        self.fails.zero_()
        self.group.copy_(self.group // 2)
        return int(self.group) > 0

    def _count_fails(self, has_gained: bool) -> None:
        self.fails.fill_(0 if has_gained else int(self.fails) + 1)

    def _take_best(self, critic: Critic, proposals: list[IntArray]) -> bool:
        """Keep the best of the proposals if it gains on the search's images without losing on the others."""
        counts = np.stack(proposals)
        found = critic.quality(counts)
        self.tries += len(proposals)
        i = int(found.argmax())
        if found[i] <= float(self.best_db) + _LEAST_GAIN_DB:
            return False
        candidates = np.stack([self.best.numpy(), counts[i]])
        before, after = critic.guard(candidates)
        if after <= before - _GUARD_DB:
            return False
        if bool(self.floor.isnan().any()):  # of the draw that exchanges start from
            self.floor.copy_(torch.from_numpy(critic.guard_measures(candidates[:1])[0]))
        if (critic.guard_measures(candidates[1:])[0] < self.floor.numpy() - _LOSABLE_DB).any():
            return False
        self.keep(counts[i], float(found[i]))
        return True

    def _sides(self) -> tuple[IntArray, IntArray]:
        """The readings that may be given up, by unit, and the units that they may be given to."""
        free, counts = self.problem.free_units, self.best.numpy()
        if self.family.repeats:
            spare = np.repeat(np.arange(counts.size), counts - self.problem.fixed_counts)
            return spare, np.flatnonzero(self.family.candidates)
        return free[counts[free] > 0], free[counts[free] == 0]

    def _exchanged(self, out: IntArray, into: IntArray) -> IntArray:
        """int64[K]: the best pattern with some readings, by unit, given to others."""
        n_units = self.best.numel()
        return self.best.numpy() + np.bincount(into, minlength=n_units) - np.bincount(out, minlength=n_units)

    def _step_to_another(self, n: int, random: np.random.Generator) -> IntArray:
        """Up to ``n`` readings exchanged as another pattern of the family has them."""
        other = self.counts_of(self.family.draw(self.family.any_density(random), random))
        more = other - self.best.numpy()
        out, into = (np.repeat(np.arange(more.size), np.maximum(sign * more, 0)) for sign in (-1, 1))
        n = min(n, out.size)
        return self._exchanged(random.choice(out, n, replace=False), random.choice(into, n, replace=False))

    def _near(self, out: IntArray, others: IntArray, random: np.random.Generator) -> IntArray:
        """For each unit another one within two steps along each axis, where there is one that isn't measured."""
        shape = self.problem.sensing.grid_shape
        places = np.stack(np.unravel_index(out, shape))
        moved = places + random.integers(-2, 3, places.shape)
        moved = np.clip(moved, 0, np.array(shape)[:, None] - 1)
        return np.intersect1d(np.ravel_multi_index(tuple(moved), shape), others)


def _weighted(units: IntArray, probability: FloatArray, n: int, random: np.random.Generator) -> IntArray:
    n = min(n, int((probability > 0).sum()))
    return np.asarray(random.choice(units, n, replace=False, p=probability))
