"""Conformal risk control over subjects holds on average what it states, whatever the errors are like."""

from __future__ import annotations

import numpy as np
import pytest

from acqplan.core.errors import RecipeError
from acqplan.core.risk_control import check_subjects, controlled_factor, coverage, held_out_coverage, least_subjects


def drawn(random: np.random.Generator, n: int) -> list[np.ndarray]:
    """Ratios of n exchangeable subjects: of very different size and number, heavy tails, pixels that hang together."""
    found = []
    for _ in range(n):
        scale = np.exp(random.normal(0, 1))
        found.append(scale * np.abs(random.standard_t(3, random.integers(20, 80))) + 0.1 * scale)
    return found


@pytest.mark.parametrize(("n", "level"), [(9, 0.9), (20, 0.9), (12, 0.75)])
def test_one_more_subject_is_covered_as_stated_on_average(n: int, level: float) -> None:
    random = np.random.default_rng(n)
    found = []
    for _ in range(600):
        *own, another = drawn(random, n + 1)
        found.append(coverage(another, controlled_factor(own, level)))
    mean, error = np.mean(found), np.std(found) / np.sqrt(len(found))
    assert mean > level - 3 * error
    assert mean < level + 2 / (n + 1) + 3 * error  # no wider than it has to be: the bound of the paper


def test_it_is_the_smallest_factor_that_keeps_the_rule() -> None:
    ratios, level = drawn(np.random.default_rng(0), 15), 0.85
    factor = controlled_factor(ratios, level)

    def bound(q: float) -> float:
        risk = np.mean([1 - coverage(each, q) for each in ratios])
        return float(15 / 16 * risk + 1 / 16)

    assert bound(factor) <= 0.15 + 1e-9
    assert factor in np.concatenate(ratios)
    assert bound(factor * (1 - 1e-9)) > 0.15


def test_with_just_enough_subjects_it_is_the_largest_ratio() -> None:
    ratios = drawn(np.random.default_rng(1), 9)
    assert controlled_factor(ratios, 0.9) == max(each.max() for each in ratios)
    assert held_out_coverage(ratios, 0.9) is None  # eight others are too few


def test_more_is_asked_for_with_a_higher_level_and_scaled_with_the_errors() -> None:
    ratios = drawn(np.random.default_rng(2), 30)
    factors = [controlled_factor(ratios, level) for level in (0.5, 0.7, 0.8, 0.9, 0.95)]
    assert factors == sorted(factors)
    assert factors[0] < factors[-1]
    assert controlled_factor([3 * each for each in ratios], 0.8) == pytest.approx(3 * factors[2])


def test_a_subject_counts_once_however_many_pixels_it_has() -> None:
    ratios = drawn(np.random.default_rng(3), 12)
    assert controlled_factor([np.repeat(ratios[0], 50), *ratios[1:]], 0.8) == controlled_factor(ratios, 0.8)


def test_what_is_held_out_is_judged_by_the_others() -> None:
    ratios = drawn(np.random.default_rng(4), 12)
    found = held_out_coverage(ratios, 0.8)
    assert found is not None
    for i in (0, 7):
        others = ratios[:i] + ratios[i + 1 :]
        assert found[i] == coverage(ratios[i], controlled_factor(others, 0.8))


@pytest.mark.parametrize(("level", "least"), [(0.5, 1), (0.8, 4), (0.9, 9), (0.95, 19), (0.99, 99), (0.1, 1)])
def test_too_few_subjects_are_refused_with_how_many_it_takes(level: float, least: int) -> None:
    assert least_subjects(level) == least
    check_subjects(least, level)
    with pytest.raises(RecipeError, match=rf"at least {least} subject.*there (is|are) {'none' if least == 1 else ''}"):
        check_subjects(least - 1, level)


def test_the_level_that_is_named_instead_can_be_had() -> None:
    with pytest.raises(RecipeError, match=r"a level of 85\.7 % or lower"):
        check_subjects(6, 0.9)
    check_subjects(6, 0.857)


@pytest.mark.parametrize("level", [0.0, 1.0, 90.0, -0.5, float("nan")])
def test_a_level_is_a_share(level: float) -> None:
    with pytest.raises(RecipeError, match="between 0 and 1"):
        controlled_factor(drawn(np.random.default_rng(0), 3), level)
