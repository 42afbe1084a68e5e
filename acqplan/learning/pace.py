"""How long training takes: from minutes to steps before it, to the time that is left during it."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from acqplan.learning.schedule import Schedule

TIMED_STEPS = 9  # of each phase; the first isn't counted, the others hold cheap and expensive ones of a designer


@dataclass(frozen=True)
class Elapsed:
    """Time that some steps took."""

    seconds: float
    steps: int

    @property
    def seconds_per_step(self) -> float:
        return self.seconds / self.steps


class PhaseClock:
    """Runs from the first step of a phase."""

    def __init__(self, first_step: int) -> None:
        self._first_step, self._started = first_step, time.perf_counter()

    def elapsed(self, step: int) -> Elapsed:
        """Until now, before ``step`` is taken."""
        return Elapsed(time.perf_counter() - self._started, step - self._first_step)


@dataclass(frozen=True)
class Pace:
    """What timing a few steps has told.

    Parameters
    ----------
    seconds_left
        For both phases, at the start of training; None where steps were asked for, not minutes.
    fine_tuning_cost
        Seconds of a fine-tuning step over those of a joint step.
    """

    seconds_left: float | None = None
    fine_tuning_cost: float = 1.0

    def refitted(self, schedule: Schedule, joint: Elapsed) -> Schedule:
        """The schedule at the freeze: where minutes were asked for, fine-tuning fits the time that joint training left.

        ``joint``: what joint training took, as far as it was timed; after a resumption that is none of it, or a part.
        """
        if self.seconds_left is None or joint.steps == 0:
            return schedule
        affordable = int((self.seconds_left - joint.seconds) / (self.fine_tuning_cost * joint.seconds_per_step))
        # A network that isn't fine-tuned is worth little: a busy machine may take longer than asked for.
        fine_tuning_steps = max(schedule.fine_tuning_steps // 2, affordable, 1)
        return Schedule(schedule.joint_steps + fine_tuning_steps, schedule.joint_steps)

    def remaining_s(self, schedule: Schedule, step: int, seconds_per_step: float, *, is_joint: bool) -> float:
        """Seconds until the end, before ``step`` is taken; ``seconds_per_step`` is of the present phase."""
        steps = float(schedule.steps - step)
        if is_joint:
            steps += (self.fine_tuning_cost - 1) * schedule.fine_tuning_steps
        return seconds_per_step * steps


def timed(
    minutes: float, joint_share: float, take_step: Callable[[], object], freeze: Callable[[], object]
) -> tuple[Schedule, Pace]:
    """As many steps as ``minutes`` allow, from a few timed ones.

    Parameters
    ----------
    joint_share
        Of the steps, 0 to 1.
    take_step
        Takes a joint step, after ``freeze`` a fine-tuning step; on a state that is thrown away.
    freeze
        Freezes that state's pattern.
    """
    started = time.perf_counter()
    joint_s = _seconds_per_step(take_step)
    freeze()
    pace = Pace(fine_tuning_cost=_seconds_per_step(take_step) / joint_s)
    seconds_left = minutes * 60 - (time.perf_counter() - started)
    mean_s = joint_s * (joint_share + (1 - joint_share) * pace.fine_tuning_cost)
    schedule = Schedule.of(max(2, int(seconds_left / mean_s)), joint_share)
    return schedule, Pace(seconds_left, pace.fine_tuning_cost)


def _seconds_per_step(take_step: Callable[[], object]) -> float:
    durations = []
    for _ in range(TIMED_STEPS):
        before = time.perf_counter()
        take_step()
        durations.append(time.perf_counter() - before)
    return float(np.mean(durations[1:]))
