"""Fixed patterns with one free parameter, which is tuned for the network."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
import torch

from acqplan.core.seeding import numpy_generator
from acqplan.designers.designer import DesignProblem
from acqplan.designers.searching import Critic, FloatArray, IntArray, SearchingDesigner
from acqplan.sensing.pattern import Pattern

_POOL = 16  # draws that training sees, over all values
_IMAGES = 6
Value = float | str


class TunedDesigner(SearchingDesigner):
    """A pattern that follows from one parameter and, where it is drawn, from the problem's seed.

    With a given value it is a fixed pattern. Without, the network is trained on patterns of many values, a few draws of
    each are judged, and the pattern is the seed's own draw with the best value, so that it stands for its kind; where
    no image can tell, with the usual one.

    A subclass keeps what is given, or None, under the parameter's own name.
    """

    has_usual = True
    parameter: ClassVar[str]
    """The option's name."""
    draws: ClassVar[int] = 2
    """Of each value, that are judged; 1 where nothing is drawn."""

    def __init__(self, problem: DesignProblem, rounds: int | None = None) -> None:
        super().__init__(problem, rounds)
        self._drawn: dict[tuple[Value, int], IntArray] = {}
        self.register_buffer("scores", torch.full((len(self.values),), -torch.inf, dtype=torch.float64))

    @property
    @abstractmethod
    def values(self) -> tuple[Value, ...]:
        """Those that are tried; of a single one nothing is."""

    @property
    @abstractmethod
    def usual(self) -> Value:
        """Where no network can tell."""

    @abstractmethod
    def choose(self, value: Any, random: np.random.Generator) -> npt.NDArray[np.int64]:
        """``problem.n_free`` units beside the fixed readings, as often as they are measured."""

    @property
    def given(self) -> Value | None:
        """What the recipe says."""
        value: Value | None = getattr(self, self.parameter)
        return value

    @property
    def n_rounds(self) -> int:
        return 0 if self.given is not None or len(self.values) == 1 else len(self.values)

    @property
    def scores_db(self) -> FloatArray:
        """float64[values]: quality of each of `values`, mean over draws; −inf before its round."""
        scores: torch.Tensor = self.get_buffer("scores")
        return scores.numpy()

    @property
    def present(self) -> Value:
        """The given value, the best one so far, or the usual one."""
        if self.given is not None:
            return self.given
        return self.values[int(self.scores_db.argmax())] if np.isfinite(self.scores_db).any() else self.usual

    @property
    def pattern(self) -> Pattern:
        """With the present value, drawn from the problem's seed."""
        return self.pattern_of(self._draw(self.present, 0))

    def take_round(self, critic: Critic, random: np.random.Generator) -> bool:
        place = self.rounds_taken
        counts = np.stack([self.counts_of(self._draw(self.values[place], draw)) for draw in range(self.draws)])
        self.scores_db[place] = quality = float(critic.quality(counts, _IMAGES).mean())
        self.tries += self.draws
        if place == int(self.scores_db.argmax()):
            self.keep(counts[0], quality)
        return True

    def relaxed(self, generator: torch.Generator) -> torch.Tensor:
        if self.n_rounds == 0:
            return torch.as_tensor(self.pattern.counts, dtype=torch.float32)
        return super().relaxed(generator)

    def drawn(self, random: np.random.Generator) -> npt.NDArray[np.int64]:
        each, values = int(random.integers(_POOL)), self.values
        return self.counts_of(self._draw(values[each % len(values)], each // len(values)))

    def freeze(self, generator: torch.Generator) -> Pattern:
        return self.pattern

    def found(self) -> dict[str, Any]:
        return {**super().found(), self.parameter: self.present}

    def _draw(self, value: Value, draw: int) -> npt.NDArray[np.int64]:
        """Draw 0 is the pattern's own; all are kept."""
        draw = min(draw, self.draws - 1) if self.draws == 1 else draw
        if (value, draw) not in self._drawn:
            seed = self.problem.seed
            own = numpy_generator(seed, f"designer:{self.kind}")
            random = own if draw == 0 else numpy_generator(seed, f"designer:{self.kind} {draw}")
            self._drawn[value, draw] = self.choose(value, random)
        return self._drawn[value, draw]
