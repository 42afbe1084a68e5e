"""How many steps each phase of training takes, and how the learning rate runs through them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate

from acqplan.core.errors import RecipeError

PARTS = 20  # of each phase: a clock that rules the length looks at the time after each of them
_WARM_UP_STEPS = 20
_LAST_RATE = 0.01  # of the full rate


@dataclass(frozen=True)
class Schedule:
    """Joint training of pattern and network for ``joint_steps``, then the network alone up to ``steps``.

    The learning rate warms up, stays while the pattern moves, and falls along a half cosine once the pattern is
    frozen. Each phase depends on its own number of steps only.

    ``pace``: steps in each twentieth of joint training, then of fine-tuning, as a clock told them; both phases advance
    by a twentieth in so many steps, so that they end where they should however the speed changed. Empty where
    every step advances its phase alike. While the clock still rules, it holds the twentieths that have begun, and
    ``steps`` and ``joint_steps`` are estimates.
    """

    steps: int
    joint_steps: int
    pace: tuple[int, ...] = ()

    @classmethod
    def of(cls, steps: int, joint_share: float, pace: Sequence[int] | None = None) -> Schedule:
        """``steps`` in all, of which about ``joint_share`` (0 to 1) train pattern and network together.

        Raises
        ------
        RecipeError
            The pace isn't one of so many steps.
        """
        made = cls(steps, round(steps * joint_share), tuple(pace or ()))
        if pace is not None and (
            len(made.pace) != 2 * PARTS or (sum(made.pace[:PARTS]), sum(made.pace)) != (made.joint_steps, steps)
        ):
            raise RecipeError(
                f"The training setting pace is of {sum(made.pace)} steps in {len(made.pace)} parts, the recipe of "
                f"{steps} in {2 * PARTS}.",
                "Leave pace out, or take steps, joint_share and pace from one plan.",
            )
        return made

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
        if self.pace:
            done = _advance(step - self.joint_steps, self.pace[PARTS:])
        return warm * (_LAST_RATE + (1 - _LAST_RATE) * 0.5 * (1 + math.cos(math.pi * done)))

    def ends_part(self, step: int) -> bool:
        """Whether a twentieth of fine-tuning ends before this step, or its first one begins."""
        tuning = self.fine_tuning_steps
        ends = accumulate(self.pace[PARTS:]) if self.pace else (round(i * tuning / PARTS) for i in range(1, PARTS + 1))
        return step - self.joint_steps in {0, *ends}

    def progress(self, step: int) -> float:
        """How far joint training is, 0 to 1."""
        if self.pace:
            return _advance(step, self.pace[:PARTS])
        return min(1.0, step / max(1, self.joint_steps))


def _advance(step: int, parts: Sequence[int]) -> float:
    """How far a phase is before its ``step``, 0 to 1, where its parts take so many steps."""
    for part, n_steps in enumerate(parts):
        if step < n_steps:
            return (part + step / n_steps) / PARTS
        step -= n_steps
    return len(parts) / PARTS
