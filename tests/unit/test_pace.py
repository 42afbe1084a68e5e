"""From minutes to steps, and the time that is left: exact values on a clock that only steps move."""

from __future__ import annotations

import pytest

from acqplan.learning import pace
from acqplan.learning.pace import TIMED_STEPS, Elapsed, Pace, PhaseClock, timed
from acqplan.learning.schedule import Schedule


class Clock:
    """Stands for the module `time`."""

    def __init__(self) -> None:
        self.seconds = 100.0

    def perf_counter(self) -> float:
        return self.seconds


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(pace, "time", made)
    return made


class Training:
    """Joint steps of two seconds, fine-tuning steps of half a second; the first of each takes longer."""

    def __init__(self, clock: Clock) -> None:
        self.clock, self.taken, self.frozen_at = clock, 0, -1

    def step(self) -> None:
        is_first = self.taken in (0, self.frozen_at)
        self.clock.seconds += (2.0 if self.frozen_at < 0 else 0.5) + 7.0 * is_first
        self.taken += 1

    def freeze(self) -> None:
        self.frozen_at = self.taken


def test_minutes_become_steps(clock: Clock) -> None:
    training = Training(clock)
    schedule, found = timed(10.0, 0.6, training.step, training.freeze)
    assert training.frozen_at == TIMED_STEPS
    assert training.taken == 2 * TIMED_STEPS
    assert found.fine_tuning_cost == 0.25
    assert found.seconds_left == 600 - TIMED_STEPS * 2.5 - 2 * 7
    # 0.6 of the steps take 2 s, 0.4 of them 0.5 s: 1.4 s each.
    assert schedule == Schedule.of(int(found.seconds_left / 1.4), 0.6)
    assert schedule.joint_steps == round(0.6 * schedule.steps)


def test_however_short_the_time_there_are_two_steps(clock: Clock) -> None:
    training = Training(clock)
    assert timed(0.01, 0.5, training.step, training.freeze)[0] == Schedule(2, 1)


def test_a_phase_is_timed_from_its_first_step(clock: Clock) -> None:
    running = PhaseClock(40)
    clock.seconds += 30
    assert running.elapsed(45) == Elapsed(30.0, 5)
    assert running.elapsed(45).seconds_per_step == 6.0


@pytest.mark.parametrize(
    ("seconds_left", "joint", "fine_tuning_steps"),
    [
        (300.0, Elapsed(100.0, 50), 400),  # as planned: 200 s are left, a step takes 2 s × 0.25
        (300.0, Elapsed(50.0, 50), 1000),  # quicker than planned: more steps in the 250 s that are left
        (300.0, Elapsed(200.0, 50), 200),  # slower: 100 s would do for 100 steps, but half of the plan is kept
        (300.0, Elapsed(900.0, 50), 200),  # no time left at all
        (300.0, Elapsed(0.5, 0), 400),  # resumed at the freeze: nothing was timed
        (None, Elapsed(900.0, 50), 400),  # steps were asked for
    ],
)
def test_fine_tuning_fits_the_time_that_is_left(
    seconds_left: float | None, joint: Elapsed, fine_tuning_steps: int
) -> None:
    planned = Schedule(450, 50)
    assert Pace(seconds_left, 0.25).refitted(planned, joint) == Schedule(50 + fine_tuning_steps, 50)


def test_the_remaining_time_counts_each_phase_at_its_own_pace() -> None:
    schedule, found = Schedule(100, 60), Pace(None, 0.25)
    assert found.remaining_s(schedule, 20, 2.0, is_joint=True) == 2.0 * (40 + 0.25 * 40)
    assert found.remaining_s(schedule, 60, 2.0, is_joint=True) == 2.0 * 0.25 * 40
    assert found.remaining_s(schedule, 70, 0.5, is_joint=False) == 0.5 * 30
    assert found.remaining_s(schedule, 100, 0.5, is_joint=False) == 0
