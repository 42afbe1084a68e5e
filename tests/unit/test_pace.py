"""From minutes to steps, and the time that is left: exact values on a clock that only steps move."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from acqplan.learning import pace
from acqplan.learning.pace import TIMED_STEPS, Clock, Pace, timed
from acqplan.learning.schedule import PARTS, Schedule


class Time:
    """Stands for the module `time`."""

    def __init__(self) -> None:
        self.seconds = 100.0

    def perf_counter(self) -> float:
        return self.seconds


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Time:
    made = Time()
    monkeypatch.setattr(pace, "time", made)
    return made


class Training:
    """Joint steps of two seconds, fine-tuning steps of half a second; the first of each takes longer."""

    def __init__(self, clock: Time) -> None:
        self.clock, self.taken, self.frozen_at = clock, 0, -1

    def step(self) -> None:
        is_first = self.taken in (0, self.frozen_at)
        self.clock.seconds += (2.0 if self.frozen_at < 0 else 0.5) + 7.0 * is_first
        self.taken += 1

    def freeze(self) -> None:
        self.frozen_at = self.taken

    def finish(self) -> float:
        self.clock.seconds += 3.0
        return 4.0


def test_minutes_become_the_time_of_each_phase(clock: Time) -> None:
    training = Training(clock)
    found = timed(1000.0, 0.6, training.step, training.freeze, training.finish)
    assert training.frozen_at == TIMED_STEPS
    assert training.taken == 2 * TIMED_STEPS
    assert found.fine_tuning_cost == 0.25
    assert found.seconds_per_step == 2.0
    # 0.6 of the steps take 2 s, 0.4 of them 0.5 s; 3 s and four times as much go to what isn't training.
    left = 1000 - TIMED_STEPS * 2.5 - 2 * 7 - 3 - 12
    assert found.joint_s == pytest.approx(left * 1.2 / 1.4)
    assert found.fine_tuning_s == pytest.approx(left * 0.2 / 1.4)


def test_timing_takes_a_small_part_of_the_time(clock: Time) -> None:
    training = Training(clock)
    timed(150.0, 0.6, training.step, training.freeze, training.finish)
    assert training.taken == 2  # the first of each took longer than a twentieth


def run(
    clock: Time, start: Pace, seconds_of: Callable[[int, bool], float], joint_share: float = 0.5
) -> tuple[Schedule, float]:
    """The schedule that a training comes to, and the seconds that it took."""
    began, schedule, step, is_joint = clock.seconds, Schedule(0, 0), 0, True
    running = Clock(start, 0, joint_share)
    while True:
        schedule = running.fitted(schedule, step, is_joint=is_joint)
        if is_joint and step == schedule.joint_steps:
            is_joint = False
            running.freeze(step)
            schedule = running.fitted(schedule, step, is_joint=False)
        if step == schedule.steps:
            return schedule, clock.seconds - began
        clock.seconds += seconds_of(step, is_joint)
        step += 1
        running.tick(step)


@pytest.mark.parametrize(
    "seconds_of",
    [
        lambda step, is_joint: 0.1,
        lambda step, is_joint: 0.1 if step < 300 else 0.4,  # slower within the first phase
        lambda step, is_joint: 0.1 if is_joint else 0.5,  # slower in the second
        lambda step, is_joint: 0.1 if step < 900 else 0.7,  # slower near the end
        lambda step, is_joint: 0.3 if step < 50 else 0.05,  # quicker
        lambda step, is_joint: 0.1 * (1 + step % 4),  # cheap and expensive ones
        lambda step, is_joint: 1.7,
        lambda step, is_joint: 9.0,  # a step longer than many parts
    ],
)
def test_the_length_follows_the_clock_in_both_phases(clock: Time, seconds_of: Callable[[int, bool], float]) -> None:
    schedule, took_s = run(clock, Pace(60.0, 40.0, seconds_of(0, True)), seconds_of)
    assert took_s == pytest.approx(100, rel=0.06 if took_s / schedule.steps < 1 else 0.15)
    assert len(schedule.pace) == 2 * PARTS
    assert Schedule.of(schedule.steps, schedule.joint_steps / schedule.steps, schedule.pace) == schedule
    done = [schedule.progress(step) for step in range(schedule.joint_steps)]
    rates = [schedule.rate(step) for step in range(schedule.joint_steps + 20, schedule.steps)]
    assert done == sorted(done)
    assert rates == sorted(rates, reverse=True)
    if schedule.steps > 100:
        assert done[-1] > 0.95  # both phases end where they should
        assert rates[-1] < 0.15


@pytest.mark.parametrize(("joint_share", "steps"), [(0.0, (0, 1)), (0.5, (1, 2)), (1.0, (1, 1))])
def test_however_short_the_time_each_phase_has_a_step(clock: Time, joint_share: float, steps: tuple[int, int]) -> None:
    schedule, _ = run(clock, Pace(0.0, 0.0), lambda step, is_joint: 5.0, joint_share)
    assert (schedule.joint_steps, schedule.steps) == steps


def test_steps_that_were_asked_for_stay(clock: Time) -> None:
    running = Clock(Pace(), 0, 0.5)
    clock.seconds += 1000
    assert running.fitted(Schedule(100, 60), 0, is_joint=True) == Schedule(100, 60)


def test_the_remaining_time_counts_each_phase_at_its_own_pace(clock: Time) -> None:
    running = Clock(Pace(None, None, 1.0, 0.25), 10, 0.6)
    clock.seconds += 20
    running.tick(20)
    assert running.remaining_s(Schedule(100, 60), 20, is_joint=True) == 2.0 * (40 + 0.25 * 40)
    running.freeze(60)
    assert running.remaining_s(Schedule(100, 60), 60, is_joint=False) == 2.0 * 0.25 * 40
    clock.seconds += 5
    running.tick(70)
    assert running.remaining_s(Schedule(100, 60), 70, is_joint=False) == 0.5 * 30
    assert running.remaining_s(Schedule(100, 60), 100, is_joint=False) == 0


def test_what_joint_training_leaves_or_overdraws_is_fine_tunings(clock: Time) -> None:
    for seconds in (50.0, 70.0):
        running = Clock(Pace(60.0, 40.0, 1.0, 0.5), 0, 0.5)
        clock.seconds += seconds
        running.tick(10)
        assert running.left(is_joint=True).joint_s == 60 - seconds
        running.freeze(10)
        assert running.left(is_joint=False) == Pace(0.0, 100 - seconds, seconds / 20, 0.5)


def test_a_search_at_the_freeze_takes_its_time_from_fine_tuning(clock: Time) -> None:
    running = Clock(Pace(60.0, 40.0, 1.0, 1.0), 0, 0.6)
    clock.seconds += 60.0
    running.tick(60)
    clock.seconds += 15.0  # of a search, in which nothing ticks
    running.freeze(60)
    assert running.left(is_joint=False).fine_tuning_s == 25.0
