"""Design problems of small catalogues."""

from __future__ import annotations

import numpy as np

from acqplan.designers.designer import DesignProblem
from acqplan.modalities.dmd.sensing import HadamardDMD
from acqplan.sensing.budget import Budget


def dim_problem(n_readings: int, noise: float, scheme: str = "pairs", width: int = 2) -> DesignProblem:
    """Of a 16 × 16 Hadamard catalogue whose energy falls with the sequency, and noise the same in each coefficient."""
    sensing = HadamardDMD((16, 16), scheme)
    energy = 1 / (1 + sensing.distance() * 16) ** 3
    calibration = sensing.calibration_units(width)
    if sensing.reference_unit is not None:
        calibration = np.sort(np.append(calibration, [0, 0, 0])).astype(np.int32)
    budget = Budget(n_readings, 256, calibration.size, allows_repeats=True)
    return DesignProblem(sensing, budget, calibration, energy, variance=np.full(256, noise))
