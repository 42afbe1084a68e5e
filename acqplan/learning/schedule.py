"""How many steps each phase of training takes, and how the learning rate runs through them."""

from __future__ import annotations

import math
from dataclasses import dataclass

_WARM_UP_STEPS = 20
_LAST_RATE = 0.01  # of the full rate


@dataclass(frozen=True)
class Schedule:
    """Joint training of pattern and network for ``joint_steps``, then the network alone up to ``steps``.

    The learning rate warms up, stays while the pattern moves, and falls along a half cosine once the pattern is
    frozen. Each phase depends on its own number of steps only, so that the second can be lengthened or
    shortened to fit the time without changing what the first has done.
    """

    steps: int
    joint_steps: int

    @classmethod
    def of(cls, steps: int, joint_share: float) -> Schedule:
        """``steps`` in all, of which about ``joint_share`` (0 to 1) train pattern and network together."""
        return cls(steps, round(steps * joint_share))

    @property
    def fine_tuning_steps(self) -> int:
        """Steps of the network alone."""
        return self.steps - self.joint_steps

    def rate(self, step: int) -> float:
        """Learning rate of a step (from 0) over the full rate."""
        warm = min(1.0, (step + 1) / _WARM_UP_STEPS)
        if step < self.joint_steps:
            return warm
        done = (step - self.joint_steps) / max(1, self.fine_tuning_steps)
        return warm * (_LAST_RATE + (1 - _LAST_RATE) * 0.5 * (1 + math.cos(math.pi * done)))

    def progress(self, step: int) -> float:
        """How far joint training is, 0 to 1."""
        return min(1.0, step / max(1, self.joint_steps))
