"""A pattern: an order, and what is derived from it."""

from __future__ import annotations

import hashlib
import struct

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from acqplan.sensing.pattern import Pattern, earlier_readings


def test_counts_and_mask_are_derived_from_the_order() -> None:
    pattern = Pattern(np.array([3, 1, 3, 0]), n_units=5, calibration=np.array([1]))
    assert pattern.n_readings == 4
    assert pattern.counts.tolist() == [1, 1, 0, 2, 0]
    assert pattern.counts.dtype == np.int32
    assert pattern.mask.tolist() == [True, True, False, True, False]
    assert pattern.order.tolist() == [3, 1, 3, 0]  # the order of acquisition is kept


@settings(deadline=None)  # a busy machine is no failure
@given(st.lists(st.integers(0, 5), min_size=1, max_size=40).filter(any))
def test_from_counts_inverts_counts(counts: list[int]) -> None:
    pattern = Pattern.from_counts(counts)
    assert pattern.counts.tolist() == counts
    assert pattern.n_readings == sum(counts)
    assert pattern.n_units == len(counts)
    assert (np.diff(pattern.order) >= 0).all()


def test_units_up_to_the_largest_int32_are_taken() -> None:
    last = np.iinfo(np.int32).max
    assert Pattern(np.array([last, 0]), last + 1).order.tolist() == [last, 0]
    with pytest.raises(ValueError, match="int32"):
        Pattern(np.array([last + 1, 0]), last + 2)


def test_arrays_are_copied_and_read_only() -> None:
    given_order = np.array([2, 0])
    pattern = Pattern(given_order, 3, np.array([0]))
    given_order[0] = 1
    assert pattern.order.tolist() == [2, 0]
    for array in (pattern.order, pattern.calibration):
        assert array.dtype == np.int32
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 1


def test_calibration_is_sorted_and_without_repeats() -> None:
    assert Pattern(np.array([4, 2, 2]), 5, np.array([4, 2, 4])).calibration.tolist() == [2, 4]


@pytest.mark.parametrize(
    ("order", "n_units", "calibration", "message"),
    [
        ([], 4, [], "at least one unit"),
        ([0, 4], 4, [], "unit 4 is outside a catalogue of 4"),
        ([-1, 0], 4, [], "non-negative int32"),
        ([2**31], 2**32, [], "non-negative int32"),
        ([0, 1], 4, [1, 2], "calibration region must be measured completely"),
    ],
)
def test_impossible_patterns_are_refused(order: list[int], n_units: int, calibration: list[int], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Pattern(np.array(order, dtype=np.int64), n_units, np.array(calibration, dtype=np.int64))


def test_digest_is_sha256_over_size_order_and_calibration() -> None:
    pattern = Pattern(np.array([3, 1, 3]), 5, np.array([1]))
    content = b"acqplan-pattern:5:3:" + struct.pack("<3i", 3, 1, 3) + struct.pack("<i", 1)
    assert pattern.digest == hashlib.sha256(content).hexdigest()


def test_digest_tells_every_difference() -> None:
    patterns = [
        Pattern(np.array([0, 1]), 4),
        Pattern(np.array([1, 0]), 4),
        Pattern(np.array([0, 1]), 5),
        Pattern(np.array([0, 1, 1]), 4),
        Pattern(np.array([0, 1]), 4, np.array([0])),
        Pattern(np.array([0, 1]), 4, np.array([1])),
        Pattern(np.array([0]), 4),
    ]
    assert len({pattern.digest for pattern in patterns}) == len(patterns)


def test_equality_is_that_of_the_content() -> None:
    one, same, other = Pattern(np.array([0, 2]), 4), Pattern(np.array([0, 2]), 4), Pattern(np.array([2, 0]), 4)
    assert one == same
    assert hash(one) == hash(same)
    assert one != other
    assert one != "pattern"


@pytest.mark.parametrize("lowest", [0, 1, 2])
@pytest.mark.parametrize("n", [0, 1, 2, 50])
def test_earlier_readings_of_a_unit_are_counted(n: int, lowest: int) -> None:
    units = lowest + np.random.default_rng(n).integers(0, 8, size=n)
    units[:1] = lowest
    earlier = earlier_readings(units)
    assert earlier.dtype == np.int32
    assert earlier.tolist() == [(units[:i] == unit).sum() for i, unit in enumerate(units)]
