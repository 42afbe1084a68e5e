"""How long training takes: from minutes to steps, all the way through it, and the time that is left."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from acqplan.learning.schedule import PARTS, Schedule

TIMED_STEPS = 9  # of each phase, at most; the others than the first hold cheap and expensive ones of a designer
_TIMING_SHARE = 0.04  # of the time, for each phase
_MOST_FINISHING = 0.25  # of the time
_SEARCH_SHARE = 0.4  # of the time that is left for fine-tuning
_REMEMBERED = 16  # steps; validations and expensive steps of a designer are spread over as many


class Stopwatch:
    """Runs from when it is made."""

    def __init__(self) -> None:
        self._started = time.perf_counter()

    def seconds(self) -> float:
        """Until now."""
        return time.perf_counter() - self._started


@dataclass(frozen=True)
class Pace:
    """What the time allows, and what timing a few steps has told.

    Parameters
    ----------
    joint_s, fine_tuning_s
        Seconds that are left for each phase, less than none where it overdrew; None where steps were asked for,
        not minutes.
    seconds_per_step
        Of the present phase.
    fine_tuning_cost
        Seconds of a fine-tuning step over those of a joint step.
    """

    joint_s: float | None = None
    fine_tuning_s: float | None = None
    seconds_per_step: float = 1.0
    fine_tuning_cost: float = 1.0

    @property
    def search_s(self) -> float | None:
        """Seconds that a search may take at the freeze, of those that are left for fine-tuning."""
        if self.joint_s is None or self.fine_tuning_s is None:
            return None
        return _SEARCH_SHARE * max(0.0, self.joint_s + self.fine_tuning_s)

    def after(self, seconds: float, *, is_joint: bool) -> Pace:
        """The pace after so many seconds of a phase."""
        if self.joint_s is None or self.fine_tuning_s is None:
            return self
        if is_joint:
            return replace(self, joint_s=self.joint_s - seconds)
        return replace(self, fine_tuning_s=self.fine_tuning_s - seconds)

    def frozen(self) -> Pace:
        """The pace at the freeze: what joint training left or overdrew is fine-tuning's."""
        found = replace(self, seconds_per_step=self.seconds_per_step * self.fine_tuning_cost)
        if self.joint_s is None or self.fine_tuning_s is None:
            return found
        return replace(found, joint_s=0.0, fine_tuning_s=self.fine_tuning_s + self.joint_s)


class Clock:
    """Follows a training: fits the number of its steps to the time where minutes rule, and tells what is left.

    Parameters
    ----------
    pace
        At ``step``, from which the clock runs.
    joint_share
        Of the steps, 0 to 1; at 0 and 1 a phase has none.
    """

    def __init__(self, pace: Pace, step: int, joint_share: float) -> None:
        self._pace, self._joint_share = pace, joint_share
        self._start(step)

    def _start(self, step: int) -> None:
        self._started = time.perf_counter()
        self._marks = deque([(step, self._started)], _REMEMBERED + 1)
        self._now = 0.0

    def tick(self, step: int) -> None:
        """Look at the time, before ``step`` is taken."""
        now = time.perf_counter()
        self._now = now - self._started
        if step != self._marks[-1][0]:
            self._marks.append((step, now))
            (first, then), (last, latest) = self._marks[0], self._marks[-1]
            self._pace = replace(self._pace, seconds_per_step=max(1e-9, (latest - then) / (last - first)))

    def left(self, *, is_joint: bool) -> Pace:
        """The pace at the last tick."""
        return self._pace.after(self._now, is_joint=is_joint)

    def freeze(self, step: int) -> None:
        """Joint training is over, and the search after it: what that took is fine-tuning's."""
        self._now = time.perf_counter() - self._started
        self._pace = self.left(is_joint=True).frozen()
        self._start(step)

    def fitted(self, schedule: Schedule, step: int, *, is_joint: bool) -> Schedule:
        """The schedule before ``step`` is taken: where a part of it has ended, with the steps of the next one.

        How many these are follows from the time that is left to the phase, the parts that share it, and how fast the
        last steps were; a step that takes longer than a part stands for several. A phase has a step at least.
        """
        pace = self.left(is_joint=is_joint)
        if pace.joint_s is None or pace.fine_tuning_s is None:
            return schedule
        parts, end = list(schedule.pace), PARTS if is_joint else 2 * PARTS
        left = pace.joint_s if is_joint else pace.fine_tuning_s
        steps_left = left / pace.seconds_per_step
        while sum(parts) == step and len(parts) < end:
            n_parts = end - len(parts)
            is_wanted = sum(parts[end - PARTS :]) == 0 and self._joint_share != (0 if is_joint else 1)
            if steps_left < 0.5 or self._joint_share == (0 if is_joint else 1):
                parts += [int(is_wanted), *[0] * (n_parts - 1)]
            elif steps_left >= n_parts:
                parts.append(round(steps_left / n_parts))
            else:
                parts += [1, *[0] * (min(n_parts, round(n_parts / steps_left)) - 1)]
        known = sum(parts)
        estimate = known if len(parts) == end else max(known, step + round(steps_left))
        if not is_joint:
            return Schedule(estimate, schedule.joint_steps, tuple(parts))
        tuning = pace.fine_tuning_s / (pace.seconds_per_step * pace.fine_tuning_cost)
        return Schedule(estimate + max(int(self._joint_share < 1), round(tuning)), estimate, tuple(parts))

    def remaining_s(self, schedule: Schedule, step: int, *, is_joint: bool) -> float:
        """Seconds until the end, before ``step`` is taken."""
        steps = float(schedule.steps - step)
        if is_joint:
            steps += (self._pace.fine_tuning_cost - 1) * schedule.fine_tuning_steps
        return self._pace.seconds_per_step * steps


def timed(
    seconds: float,
    joint_share: float,
    take_step: Callable[[], object],
    freeze: Callable[[], object],
    finish: Callable[[], float],
) -> Pace:
    """What ``seconds`` allow, from a few timed steps; they count, and so does what comes after training.

    Parameters
    ----------
    seconds
        That are left for all that is to come; where that is nothing, the phases are given a step each.
    joint_share
        Of the steps, 0 to 1.
    take_step
        Takes a joint step, after ``freeze`` a fine-tuning step; on a state that is thrown away.
    freeze
        Freezes that state's pattern.
    finish
        Tries what comes after training; how many times longer all of it will take.
    """
    watch, most = Stopwatch(), _TIMING_SHARE * seconds
    joint_step_s = _seconds_per_step(take_step, most)
    freeze()
    cost = _seconds_per_step(take_step, most) / joint_step_s
    before = watch.seconds()
    times = finish()
    finishing_s = min(_MOST_FINISHING * seconds, times * (watch.seconds() - before))
    left = max(0.0, seconds - watch.seconds() - max(0.0, finishing_s))
    of_joint = joint_share / (joint_share + (1 - joint_share) * cost)
    return Pace(of_joint * left, (1 - of_joint) * left, joint_step_s, cost)


def _seconds_per_step(take_step: Callable[[], object], most_s: float) -> float:
    """Mean of a few steps but the first, or of the first alone where it took half of ``most_s``."""
    durations: list[float] = []
    while len(durations) < TIMED_STEPS and (not durations or sum(durations) + durations[-1] < most_s):
        watch = Stopwatch()
        take_step()
        durations.append(watch.seconds())
    return max(1e-9, float(np.mean(durations[1:] or durations)))
