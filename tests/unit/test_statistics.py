"""Intervals over subjects hold what they say, and a difference is claimed only where it was shown."""

from __future__ import annotations

import numpy as np
import pytest

from acqplan.core.statistics import (
    LEAST_SUBJECTS,
    bootstrap_interval,
    effect,
    least_subjects,
    lower_bound,
    of_subjects,
    subjects_needed,
)


@pytest.mark.parametrize("n_subjects", [7, 12, 40])
def test_an_interval_covers_the_true_mean_as_often_as_it_says(n_subjects: int) -> None:
    random = np.random.default_rng(0)
    hits = 0
    for _ in range(200):
        interval = bootstrap_interval(random.normal(1.0, 2.0, size=n_subjects), np.arange(n_subjects))
        assert interval is not None
        hits += interval[0] <= 1.0 <= interval[1]
    assert 0.91 <= hits / 200 <= 0.99


def test_subjects_are_resampled_and_not_their_slices() -> None:
    random = np.random.default_rng(1)
    subjects = np.repeat(np.arange(8), 30)
    values = random.normal(size=8)[subjects] + 0.1 * random.normal(size=240)
    narrow, wide = bootstrap_interval(values, np.arange(240)), bootstrap_interval(values, subjects)
    assert narrow is not None
    assert wide is not None
    assert wide[1] - wide[0] > 2 * (narrow[1] - narrow[0])
    twice = bootstrap_interval(np.tile(values, 2), np.tile(subjects, 2))
    assert twice == pytest.approx(wide)


def test_each_subject_counts_once() -> None:
    values, subjects = [1.0, 1, 1, 1, 7], ["a", "a", "a", "a", "b"]
    means, names = of_subjects(values, subjects)
    assert names.tolist() == ["a", "b"]
    assert means.tolist() == [[1, 7]]
    assert effect(values, np.zeros(5), subjects).mean == 4


def test_a_smaller_confidence_gives_a_narrower_interval() -> None:
    values = np.random.default_rng(2).normal(size=20)
    wide, narrow = (bootstrap_interval(values, np.arange(20), confidence=c) for c in (0.95, 0.5))
    assert wide is not None
    assert narrow is not None
    assert wide[0] < narrow[0] < narrow[1] < wide[1]


def test_too_few_subjects_give_no_interval() -> None:
    few = np.arange(LEAST_SUBJECTS - 1)
    assert bootstrap_interval(few, few) is None
    found = effect(few + 1.0, np.zeros(few.size), few)
    assert (found.interval, found.outcome, found.needed) == (None, "no difference shown", LEAST_SUBJECTS)
    assert effect([2.0], [1.0], ["a"]).needed is None


def test_better_worse_and_not_shown() -> None:
    random = np.random.default_rng(3)
    subjects = np.arange(10)
    second = random.normal(size=10)
    first = second + 1 + 0.1 * random.normal(size=10)
    assert effect(first, second, subjects).outcome == "better"
    assert effect(first, second, subjects, larger_is_better=False).outcome == "worse"
    assert effect(second, first, subjects).outcome == "worse"
    same = effect(second, second, subjects)
    assert (same.mean, same.interval, same.outcome, same.needed) == (0, (0, 0), "no difference shown", None)
    assert effect(np.full(10, np.inf), second, subjects).outcome == "no difference shown"


def test_repetitions_widen_the_interval() -> None:
    """Plans of other seeds differ: an interval of their mean has to say so."""
    random = np.random.default_rng(4)
    subjects = np.arange(30)
    first = 0.5 + random.normal(size=(3, 1)) + 0.01 * random.normal(size=(3, 30))
    one, several = effect(first[0], np.zeros(30), subjects), effect(first, np.zeros(30), subjects)
    assert one.interval is not None
    assert several.interval is not None
    assert several.interval[1] - several.interval[0] > 20 * (one.interval[1] - one.interval[0])
    assert several.mean == pytest.approx(first.mean())


def test_so_many_subjects_do_show_it() -> None:
    random = np.random.default_rng(5)
    tried = random.normal(0.5, 1, size=8)
    tried += 0.5 - tried.mean()
    needed = subjects_needed(tried / tried.std(ddof=1))
    assert needed is not None
    size = 0.5 / tried.std(ddof=1)
    shown = [
        effect(random.normal(size, 1, size=needed), np.zeros(needed), np.arange(needed)).outcome == "better"
        for _ in range(200)
    ]
    assert 0.7 <= np.mean(shown) <= 0.9
    assert subjects_needed(np.array([1e-6, 1, -1, 2, -2.0])) is None


@pytest.mark.parametrize(("confidence", "least"), [(0.5, 2), (0.75, 2), (0.8, 3), (0.9, 4), (0.95, 5), (0.99, 7)])
def test_a_bound_holds_as_often_as_it_says_from_the_fewest_subjects_on(confidence: float, least: int) -> None:
    assert least_subjects(confidence) == least
    assert lower_bound(np.arange(least - 1.0), np.arange(least - 1), confidence) is None
    random, hits = np.random.default_rng(0), 0
    for _ in range(300):
        bound = lower_bound(random.normal(1.0, 2.0, size=least), np.arange(least), confidence)
        assert bound is not None
        hits += bound <= 1.0
    assert hits / 300 == pytest.approx(confidence, abs=0.06)
