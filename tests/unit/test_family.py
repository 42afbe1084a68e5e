"""The family of patterns: with repeats where they pay, and what a search on it never falls below."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pytest
import torch
from builders.designs import dim_problem

from acqplan.core import registry
from acqplan.core.seeding import numpy_generator
from acqplan.designers.any_pattern import AnyPattern
from acqplan.designers.density import DensitySearch
from acqplan.designers.designer import DesignProblem, FixedDesigner
from acqplan.designers.family import LOWEST, WATER_FILLING, Density, Family
from acqplan.designers.swaps import Swaps
from acqplan.designers.water_filling import WaterFilling
from acqplan.modalities.mri.sensing import CartesianMRI
from acqplan.report.facts import search_text
from acqplan.sensing.budget import Budget

DARK, BRIGHT = 1e-2, 1e-9
IntArray = npt.NDArray[np.int64]


def fixed(kind: str, problem: DesignProblem) -> IntArray:
    designer = registry.find("designers", kind)(problem)
    assert isinstance(designer, FixedDesigner)
    return designer.pattern.counts


def drawn(family: Family, density: Density, seed: int = 0, n: int | None = None) -> IntArray:
    units = family.draw(density, numpy_generator(seed, "draw"), n)
    return family.problem.fixed_counts + np.bincount(units, minlength=family.problem.sensing.n_units)


@pytest.mark.parametrize("scheme", ["pairs", "s-matrix"])
@pytest.mark.parametrize("noise", [DARK, BRIGHT])
def test_good_practice_is_in_the_family(noise: float, scheme: str) -> None:
    problem = dim_problem(100, noise, scheme)
    family = Family(problem)
    assert drawn(family, WATER_FILLING).tolist() == WaterFilling(problem).pattern.counts.tolist()
    for density, kind in zip(LOWEST, ("low-sequency", "zigzag", None), strict=True):
        counts = drawn(family, density)
        if kind is not None:
            assert counts.tolist() == fixed(kind, problem).tolist()
    radius = np.hypot(*problem.sensing.coordinates().T)
    free = problem.free_units
    disc = drawn(family, LOWEST[2])[free] > 0
    assert radius[free][disc].max() <= radius[free][~disc].min()


def test_patterns_repeat_where_light_is_scarce() -> None:
    dark, bright = (Family(dim_problem(64, noise)) for noise in (DARK, BRIGHT))
    random = numpy_generator(0, "densities")
    densities = [dark.any_density(random) for _ in range(60)]
    largest = np.array([drawn(dark, density, i).max() for i, density in enumerate(densities)])
    assert dark.repeats
    assert 0.2 < (largest == 1).mean() < 0.8
    assert largest.max() >= 8
    assert all(drawn(dark, density, i).sum() == 64 for i, density in enumerate(densities))
    assert not bright.repeats
    assert all(drawn(bright, bright.any_density(random), i).max() == 1 for i in range(60))


def test_each_of_a_few_units_is_measured_so_many_times() -> None:
    family = Family(dim_problem(64, DARK, width=0))
    counts = drawn(family, Density(1.0, core=1.0, norm=1, times=3))
    assert sorted(counts[counts > 0].tolist()) == [2, 2] + 20 * [3]
    likeliest = drawn(family, Density(1.0, core=1.0, norm=1), n=22)
    assert (counts > 0).tolist() == (likeliest > 0).tolist()
    assert drawn(family, Density(2.0), n=300).min() == 1  # more than the catalogue has


def test_a_problem_that_forbids_repeats_has_none() -> None:
    problem = dim_problem(64, DARK)
    problem = replace(problem, budget=replace(problem.budget, allows_repeats=False))
    assert not Family(problem).repeats
    assert WATER_FILLING not in Family(problem).musts
    sensing = CartesianMRI((64, 4), "lines")
    lines = DesignProblem(sensing, Budget(20, 64, 8), sensing.calibration_units(8), sensing.distance() + 0.1)
    assert Family(lines).musts == ()
    assert Family(lines).usual == Density(2.5)


def test_what_is_drawn_without_a_search_suits_the_light() -> None:
    assert Family(dim_problem(64, DARK)).usual == WATER_FILLING
    assert Family(dim_problem(64, BRIGHT)).usual == LOWEST[0]


class Likes:
    """A critic that wants a certain pattern, and on few images can't tell."""

    def __init__(self, counts: IntArray) -> None:
        self.counts = counts

    def quality(self, counts: IntArray, n_images: int | None = None) -> npt.NDArray[np.float64]:
        distance = np.abs(counts - self.counts).sum(1).astype(np.float64)
        return -distance if n_images is None else distance

    def guard(self, counts: IntArray) -> npt.NDArray[np.float64]:
        return self.quality(counts)

    def guard_measures(self, counts: IntArray) -> npt.NDArray[np.float64]:
        return np.repeat(self.guard(counts)[:, None], 2, axis=1)

    def worth(self, counts: IntArray) -> npt.NDArray[np.float64]:
        return np.asarray(self.counts - counts, dtype=np.float64)


@pytest.mark.parametrize("kind", ["water-filling", "low-sequency", "zigzag"])
def test_a_search_is_never_below_good_practice(kind: str) -> None:
    problem = dim_problem(64, DARK)
    search, wanted = DensitySearch(problem), fixed(kind, problem)
    critic = Likes(wanted)
    while search.search_round(critic):
        pass
    assert search.best.tolist() == wanted.tolist()
    assert search.found()["usual_db"] == search.quality_db == 0
    assert "; +0.00 dB to the best usual pattern on its own images: which one hardly matters; " in (
        search_text(search.found())
    )


@pytest.mark.parametrize(("gain_db", "is_kept"), [(0.15, False), (1.0, True)])
def test_what_hardly_gains_gives_way_to_good_practice(gain_db: float, is_kept: bool) -> None:
    problem = dim_problem(40, DARK)
    search, own = Swaps(problem), problem.fixed_counts
    own[problem.free_units[: problem.n_free]] += 1
    critic = Likes(fixed("zigzag", problem))
    while search.search_round(critic):
        pass
    search.keep(own, float(search.found()["usual_db"]) + 5)
    critic.guard = lambda counts: np.where((counts == own).all(1), gain_db, 0.0)  # type: ignore[method-assign]
    search.settle(critic)
    assert (search.best.tolist() == own.tolist()) == is_kept
    if not is_kept:
        assert search.best.tolist() == fixed("zigzag", problem).tolist()


def test_exchanges_find_repeats() -> None:
    """From the best draw towards a pattern that nothing in the family is like, reading by reading."""
    problem = dim_problem(40, DARK)
    wanted = problem.fixed_counts
    wanted[problem.free_units[::41]] += 6  # 7 units, 36 free readings to give them
    search = Swaps(problem)
    critic = Likes(wanted)
    first = None
    while search.search_round(critic):
        if search.rounds_taken == DensitySearch(problem).n_rounds:
            first = float(critic.quality(search.best.numpy()[None])[0])
    assert first is not None
    assert int(search.best.sum()) == 40
    assert float(search.best_db) > first + 10
    assert int(search.best.max()) > 2
    assert "hardly" not in search_text(search.found())


@pytest.mark.parametrize("measure", [0, 1])
def test_exchanges_never_end_below_the_draw_in_either_measure(measure: int) -> None:
    """What is gained in one isn't paid for with the other: here each reading that is moved costs."""
    problem = dim_problem(40, DARK)
    wanted = problem.fixed_counts
    wanted[problem.free_units[::41]] += 6
    search, critic = Swaps(problem), Likes(wanted)
    draw: list[IntArray] = []

    def measures(counts: IntArray) -> npt.NDArray[np.float64]:
        found = np.zeros((len(counts), 2))
        found[:, measure] = -0.015 * np.abs(counts - draw[0]).sum(1) if draw else 0.0
        return found

    critic.guard_measures = measures  # type: ignore[method-assign]
    while search.search_round(critic):
        if search.rounds_taken == DensitySearch(problem).n_rounds:
            draw.append(search.best.numpy().copy())
    assert search.best.tolist() == draw[0].tolist()


def test_a_base_for_scarce_light_sees_repeats() -> None:
    designer = AnyPattern(dim_problem(64, DARK))
    largest = [float(designer.relaxed(torch.Generator().manual_seed(seed)).max()) for seed in range(40)]
    assert min(largest) == 1
    assert max(largest) > 4
