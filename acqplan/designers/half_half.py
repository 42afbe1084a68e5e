"""Half of the budget lowest, half random."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from acqplan.core.registry import register
from acqplan.designers.base import FixedDesigner
from acqplan.designers.low_pass import lowest_first


@register("designers", "half-half")
class HalfHalf(FixedDesigner):
    """Half of the budget on the units nearest the centre (or DC), the other half uniform among the rest.

    The calibration region and required units count towards the first half, which is rounded up; where
    they alone are more than half, all the rest is random.
    """

    summary = "half of the budget lowest, the other half uniform random"
    reference = "half-half baseline of Wang et al., MICCAI 2021, arXiv 2105.07961"

    def choose(self, random: np.random.Generator) -> npt.NDArray[np.int64]:
        budget = self.problem.budget
        n_low = max(0, (budget.n_readings + 1) // 2 - int(self.problem.fixed_counts.sum()))
        ordered = lowest_first(self.problem)
        rest = random.choice(ordered[n_low:], self.problem.n_free - n_low, replace=False)
        return np.concatenate([ordered[:n_low], rest])
