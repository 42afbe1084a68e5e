"""Random choice, denser in the centre."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from acqplan.core.registry import register
from acqplan.core.seeding import numpy_generator
from acqplan.designers.designer import DesignProblem
from acqplan.designers.family import closeness
from acqplan.designers.options import number_option
from acqplan.designers.probability import draw_exactly, inclusion_probabilities
from acqplan.designers.searching import Critic, SearchingDesigner
from acqplan.sensing.pattern import Pattern

USUAL_POWER = 2.5
"""Where no network can tell: among the best for points at 4x with a trained network."""
POWERS = (0.7, 1.0, 1.5, 2.0, 2.5, 3.5, 5.0, 7.0)
_DRAWS = 2  # of each power, that are judged
_POOL = 16  # draws that training sees, over all powers
_IMAGES = 6
FloatArray = npt.NDArray[np.float64]


class PowerDesigner(SearchingDesigner):
    """A random choice whose density falls with a power of the distance, which is tuned for the network.

    With a given power it is a fixed pattern, drawn from the problem's seed. Without, the network is trained on draws of
    many powers, two draws of each of `POWERS` are judged, and the pattern is the seed's draw with the best power, so
    that it stands for its kind; where no image can tell, with `USUAL_POWER`.

    Parameters
    ----------
    power
        0 is even; more is denser in the centre.
    """

    has_usual = True

    def __init__(self, problem: DesignProblem, power: float | None = None, rounds: int | None = None) -> None:
        super().__init__(problem, rounds)
        self.power = None if power is None else number_option(self.kind, "power", power)
        self._drawn: dict[tuple[float, int], npt.NDArray[np.int64]] = {}
        self.register_buffer("scores", torch.full((len(POWERS),), -torch.inf, dtype=torch.float64))

    @abstractmethod
    def choose(self, power: float, random: np.random.Generator) -> npt.NDArray[np.int64]:
        """``problem.n_free`` distinct ones of ``problem.free_units``."""

    @property
    def n_rounds(self) -> int:
        return 0 if self.power is not None else len(POWERS)

    @property
    def scores_db(self) -> FloatArray:
        """float64[powers]: quality of each of `POWERS`, mean over draws; −inf before its round."""
        scores: torch.Tensor = self.get_buffer("scores")
        return scores.numpy()

    @property
    def present_power(self) -> float:
        """The given one, the best one so far, or the usual one."""
        if self.power is not None:
            return self.power
        return POWERS[int(self.scores_db.argmax())] if np.isfinite(self.scores_db).any() else USUAL_POWER

    @property
    def pattern(self) -> Pattern:
        """With the present power, drawn from the problem's seed."""
        return self.pattern_of(self._draw(self.present_power, 0))

    def take_round(self, critic: Critic, random: np.random.Generator) -> bool:
        place = self.rounds_taken
        counts = np.stack([self.counts_of(self._draw(POWERS[place], draw)) for draw in range(_DRAWS)])
        self.scores_db[place] = quality = float(critic.quality(counts, _IMAGES).mean())
        self.tries += _DRAWS
        if place == int(self.scores_db.argmax()):
            self.keep(counts[0], quality)
        return True

    def relaxed(self, generator: torch.Generator) -> torch.Tensor:
        if self.power is not None:
            return torch.as_tensor(self.pattern.counts, dtype=torch.float32)
        return super().relaxed(generator)

    def drawn(self, random: np.random.Generator) -> npt.NDArray[np.int64]:
        each = int(random.integers(_POOL))
        return self.counts_of(self._draw(POWERS[each % len(POWERS)], each // len(POWERS)))

    def freeze(self, generator: torch.Generator) -> Pattern:
        return self.pattern

    def found(self) -> dict[str, Any]:
        return {**super().found(), "power": self.present_power}

    def _draw(self, power: float, draw: int) -> npt.NDArray[np.int64]:
        """Draw 0 is the pattern's own; all are kept."""
        if (power, draw) not in self._drawn:
            seed = self.problem.seed
            own = numpy_generator(seed, f"designer:{self.kind}")
            random = own if draw == 0 else numpy_generator(seed, f"designer:{self.kind} {draw}")
            self._drawn[power, draw] = self.choose(power, random)
        return self._drawn[power, draw]


@register("designers", "variable-density")
class VariableDensity(PowerDesigner):
    """Random without replacement, the probability of a unit falling from the centre as a polynomial.

    A unit is included with probability min(1, c·(1 − distance/end)^power), c such that they sum to the count.
    """

    summary = "random, with a density falling polynomially from the centre, tuned"
    reference = "Lustig, Donoho and Pauly, Magn. Reson. Med. 58:1182, 2007"

    def choose(self, power: float, random: np.random.Generator) -> npt.NDArray[np.int64]:
        free, n_free = self.problem.free_units, self.problem.n_free
        weights = closeness(self.problem)[free] ** power
        return free[draw_exactly(inclusion_probabilities(weights, n_free), n_free, random)]
