"""Learning rate and phases of a training."""

from __future__ import annotations

import pytest

from acqplan.learning.schedule import Schedule


def test_the_rate_warms_up_stays_and_falls() -> None:
    schedule = Schedule(steps=200, joint_steps=100)
    rates = [schedule.rate(step) for step in range(200)]
    assert rates[:4] == pytest.approx([0.05, 0.1, 0.15, 0.2])
    assert rates[19:101] == pytest.approx([1.0] * 82)
    assert rates[100:] == sorted(set(rates[100:]), reverse=True)
    assert rates[150] == pytest.approx((1 + 0.01) / 2)
    assert rates[-1] == pytest.approx(0.01, abs=1e-3)


def test_the_second_phase_does_not_change_the_first() -> None:
    short, long = Schedule(120, 100), Schedule(500, 100)
    for step in range(100):
        assert short.rate(step) == long.rate(step)
        assert short.progress(step) == long.progress(step)


def test_progress_is_that_of_joint_training() -> None:
    schedule = Schedule(30, 20)
    assert [schedule.progress(step) for step in (0, 5, 20, 29)] == [0.0, 0.25, 1.0, 1.0]


@pytest.mark.parametrize(
    "schedule", [Schedule(10, 0), Schedule(10, 10), Schedule(1, 0), Schedule(1, 1), Schedule(0, 0)]
)
def test_phases_may_be_empty(schedule: Schedule) -> None:
    for step in range(schedule.steps + 1):
        assert 0 < schedule.rate(step) <= 1
        assert 0 <= schedule.progress(step) <= 1
