"""Repeats: water-filling against exhaustive search, and what learned repeats learn."""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from builders.designs import dim_problem

from acqplan.core import registry
from acqplan.core.errors import RecipeError
from acqplan.designers.learned_repeats import LearnedRepeats
from acqplan.designers.repeats import allot
from acqplan.designers.water_filling import UniformRepeats, WaterFilling

FloatArray = npt.NDArray[np.float64]


def error_left(counts: npt.NDArray[Any], prior: FloatArray, variance: FloatArray) -> float:
    return float((prior * variance / (counts * prior + variance)).sum())


@pytest.mark.parametrize("seed", range(12))
def test_no_other_allotment_leaves_less(seed: int) -> None:
    random = np.random.default_rng(seed)
    prior, variance = random.random(4) ** 4, 0.05 + random.random(4)
    least = random.integers(0, 2, 4)
    n = int(random.integers(0, 8))
    chosen = allot(prior, variance, least, np.ones(4, dtype=bool), n)
    assert chosen.sum() == least.sum() + n
    assert (chosen >= least).all()
    every = [least + extra for extra in product(range(n + 1), repeat=4) if sum(extra) == n]
    best = min(error_left(counts, prior, variance) for counts in every)
    assert error_left(chosen, prior, variance) == pytest.approx(best, rel=1e-12)


@pytest.mark.parametrize("noise", [1e-6, 1e-3, 1.0, 1e3])
def test_greedy_one_by_one_comes_to_the_same(noise: float) -> None:
    random = np.random.default_rng(3)
    prior, variance = 10.0 ** random.uniform(-9, 0, 64), noise * (1 + random.random(64))
    counts = np.zeros(64, dtype=np.int64)
    for _ in range(200):
        gain = prior * variance / (counts * prior + variance) - prior * variance / ((counts + 1) * prior + variance)
        counts[np.argmax(gain)] += 1
    chosen = allot(prior, variance, np.zeros(64, dtype=np.int64), np.ones(64, dtype=bool), 200)
    assert error_left(chosen, prior, variance) == pytest.approx(error_left(counts, prior, variance), rel=1e-9)


def test_equal_gains_go_to_the_lower_unit() -> None:
    given = np.ones(6), np.ones(6), np.zeros(6, dtype=np.int64), np.ones(6, dtype=bool)
    assert allot(*given, 8).tolist() == [2, 2, 1, 1, 1, 1]
    nothing = np.zeros(6)
    assert allot(nothing, *given[1:], 8).tolist() == [2, 2, 1, 1, 1, 1]


def test_only_candidates_get_more() -> None:
    least = np.array([3, 0, 0, 1])
    counts = allot(np.ones(4), np.ones(4), least, np.array([False, True, False, True]), 5)
    assert counts.tolist() == [3, 3, 0, 3]


def test_noise_asks_for_repeats_and_light_for_coefficients() -> None:
    bright = WaterFilling(dim_problem(64, 1e-9)).pattern.counts
    assert bright.max() == 1
    dark = WaterFilling(dim_problem(64, 1.0)).pattern.counts
    assert dark.max() >= 3
    assert (dark > 0).sum() < 64
    assert dark.sum() == bright.sum() == 64


def test_the_reference_keeps_its_repeats() -> None:
    for cls in (WaterFilling, UniformRepeats, LearnedRepeats):
        counts = cls(dim_problem(64, 1.0, "dc")).freeze(torch.Generator()).counts
        assert counts[0] == 4
        assert counts.sum() == 64


def test_uniform_repeats_are_uniform() -> None:
    counts = UniformRepeats(dim_problem(65, 0.1), times=3).pattern.counts
    assert sorted(np.unique(counts[counts > 0]).tolist()) == [2, 3]
    assert (counts == 3).sum() == 21
    strongest = np.argsort(-dim_problem(65, 0.1).energy, kind="stable")[:22]
    assert set(np.flatnonzero(counts)) == set(strongest.tolist())
    everything = UniformRepeats(dim_problem(600, 0.1)).pattern.counts
    assert set(everything.tolist()) == {2, 3}


def test_learned_repeats_start_at_water_filling() -> None:
    for noise in (1e-6, 1e-2, 1.0):
        problem = dim_problem(80, noise)
        assert LearnedRepeats(problem).freeze(torch.Generator()) == WaterFilling(problem).pattern


def test_what_the_network_predicts_is_measured_less() -> None:
    """A world in which patterns with more changes along rows than along columns are told by the others."""
    problem = dim_problem(80, 1e-3)
    designer = LearnedRepeats(problem)
    u, v = np.divmod(np.arange(256), 16)
    told = v > u + 1
    energy = torch.from_numpy(problem.energy).float()
    for step in range(60):
        designer.set_progress(step / 100)
        counts = designer.relaxed(torch.Generator().manual_seed(step))
        if designer.wants_errors():
            designer.learn(counts, torch.from_numpy(np.where(told, 0.02, 1.0)).float() * energy)
    before, after = WaterFilling(problem).pattern.counts, designer.freeze(torch.Generator()).counts
    assert abs(before[told].sum() - before[u > v + 1].sum()) <= 6  # nearly symmetric
    assert after[told].sum() < 0.7 * before[told].sum()
    factor = designer.unpredictable().reshape(16, 16)
    assert factor[10:, :6].mean() > 0.9
    assert factor[:6, 10:].mean() < 0.2


def test_nothing_is_hidden_at_the_end() -> None:
    designer = LearnedRepeats(dim_problem(80, 1e-2))
    designer.set_progress(0.9)
    counts = designer.relaxed(torch.Generator().manual_seed(0))
    assert not designer.wants_errors()
    assert counts.tolist() == designer.freeze(torch.Generator()).counts.tolist()


def test_options_that_make_no_sense_are_refused() -> None:
    for kind, options in (("learned-repeats", {"hide": 0.7}), ("uniform-repeats", {"times": 0})):
        with pytest.raises(RecipeError, match=kind):
            registry.find("designers", kind)(dim_problem(64, 1.0), **options)
