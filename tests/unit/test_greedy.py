"""The pattern that grows: what it tries, and that it finds what a critic wants."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
import torch
from builders.designs import dim_problem

from acqplan.core import registry
from acqplan.core.errors import RecipeError
from acqplan.designers.designer import DesignProblem
from acqplan.designers.greedy import Greedy
from acqplan.modalities.mri.sensing import CartesianMRI
from acqplan.sensing.budget import Budget

IntArray = npt.NDArray[np.int64]


class Wants:
    """A critic that counts wanted readings, and keeps what it was asked; the guard wants others, if any are given."""

    def __init__(self, wanted: IntArray, guarded: IntArray | None = None) -> None:
        self.wanted, self.guarded = wanted, wanted if guarded is None else guarded
        self.asked: list[IntArray] = []

    def quality(self, counts: IntArray, n_images: int | None = None) -> npt.NDArray[np.float64]:
        self.asked.append(counts)
        return np.minimum(counts, self.wanted).sum(1).astype(np.float64)

    def guard(self, counts: IntArray) -> npt.NDArray[np.float64]:
        return 10.0 * np.minimum(counts, self.guarded).sum(1)

    def guard_measures(self, counts: IntArray) -> npt.NDArray[np.float64]:
        return np.repeat(self.guard(counts)[:, None], 2, axis=1)

    def worth(self, counts: IntArray) -> npt.NDArray[np.float64]:
        raise AssertionError("not asked for")


def lines(n: int = 24, n_units: int = 96) -> DesignProblem:
    sensing = CartesianMRI((n_units, 4), "lines")
    calibration = sensing.calibration_units(6)
    return DesignProblem(sensing, Budget(n, n_units, 6), calibration, sensing.distance() + 0.1)


def grown(problem: DesignProblem, critic: Wants, **options: int) -> Greedy:
    designer = Greedy(problem, **options)
    while designer.search_round(critic):
        pass
    return designer


def test_it_finds_what_is_wanted_among_whole_patterns() -> None:
    problem = lines()
    wanted = problem.fixed_counts
    wanted[problem.free_units[::5]] = 1  # 18 of 90, spread as no density is
    critic = Wants(wanted)
    designer = grown(problem, critic, candidates=90)
    assert all((counts.sum(1) == 24).all() and counts.max() == 1 for counts in critic.asked)
    assert np.minimum(designer.best.numpy(), wanted).sum() >= 22
    assert designer.n_tries == sum(len(counts) for counts in critic.asked) - 1  # the best one twice
    usual = Greedy(problem).freeze(torch.Generator()).counts
    assert np.minimum(usual, wanted).sum() < 18


def test_candidates_are_spread_over_all_distances() -> None:
    problem = lines()
    critic = Wants(problem.fixed_counts)
    Greedy(problem, candidates=8).search_round(critic)
    (counts,) = critic.asked
    assert counts.shape == (8, 96)
    units = np.flatnonzero(counts.sum(0) == 1)  # each is in one of the patterns
    free = problem.free_units
    stretches = np.array_split(free[np.argsort(problem.sensing.distance()[free], kind="stable")], 8)
    assert [np.isin(stretch, units).sum() for stretch in stretches] == [1] * 8


@pytest.mark.parametrize(("n", "n_units"), [(24, 96), (200, 512), (90, 96)])
def test_the_tries_are_bounded(n: int, n_units: int) -> None:
    problem = lines(n, n_units)
    designer = grown(problem, Wants(problem.fixed_counts))
    assert designer.n_tries <= 1300
    assert int(designer.best.sum()) == n
    assert int(designer.taken.sum()) == n


def test_the_second_set_of_images_decides_in_the_end() -> None:
    problem = lines()
    usual = Greedy(problem).freeze(torch.Generator()).counts.astype(np.int64)
    wanted = problem.fixed_counts
    wanted[problem.free_units[::5]] = 1
    assert grown(problem, Wants(wanted, guarded=usual)).best.tolist() == usual.tolist()


def test_it_repeats_where_light_is_scarce() -> None:
    problem = dim_problem(40, 1e-2)
    wanted = problem.fixed_counts
    wanted[problem.free_units[::41]] += 6
    designer = grown(problem, Wants(wanted), candidates=256)
    assert int(designer.best.sum()) == 40
    assert np.minimum(designer.best.numpy(), wanted).sum() >= 36


def test_many_units_are_refused() -> None:
    sensing = CartesianMRI((32, 32), "points")
    problem = DesignProblem(sensing, Budget(64, 1024, 0), sensing.calibration_units(0), sensing.distance() + 0.1)
    with pytest.raises(RecipeError, match="greedy is for at most 512 units, and there are 1024") as caught:
        registry.find("designers", "greedy")(problem)
    assert "swaps" in caught.value.remedy
