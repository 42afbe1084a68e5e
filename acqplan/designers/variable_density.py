"""Random choice, denser in the centre."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from acqplan.core.registry import register
from acqplan.designers.designer import DesignProblem
from acqplan.designers.family import closeness
from acqplan.designers.options import number_option
from acqplan.designers.probability import draw_exactly, inclusion_probabilities
from acqplan.designers.tuned import TunedDesigner

POWERS = (0.7, 1.0, 1.5, 2.0, 2.5, 3.5, 5.0, 7.0)
USUAL_POWER = 2.5
"""Where no network can tell: among the best for points at 4x with a trained network."""


class PowerDesigner(TunedDesigner):
    """A random choice whose density falls with a power of the distance.

    Parameters
    ----------
    power
        0 is even; more is denser in the centre. None: tuned for the network.
    """

    parameter = "power"
    values = POWERS
    usual = USUAL_POWER

    def __init__(self, problem: DesignProblem, power: float | None = None, rounds: int | None = None) -> None:
        super().__init__(problem, rounds)
        self.power = None if power is None else number_option(self.kind, "power", power)


@register("designers", "variable-density")
class VariableDensity(PowerDesigner):
    """Random without replacement, the probability of a unit falling from the centre as a polynomial.

    A unit is included with probability min(1, c·(1 − distance/end)^power), c such that they sum to the count.
    """

    summary = "random, with a density falling polynomially from the centre, tuned"
    reference = "Lustig, Donoho and Pauly, Magn. Reson. Med. 58:1182, 2007"

    def choose(self, value: float, random: np.random.Generator) -> npt.NDArray[np.int64]:
        free, n_free = self.problem.free_units, self.problem.n_free
        weights = closeness(self.problem)[free] ** value
        return free[draw_exactly(inclusion_probabilities(weights, n_free), n_free, random)]
