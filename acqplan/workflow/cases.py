"""A plan's best, median and worst image of those that it was measured on, beside a classical solver's."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from acqplan.images import ImageRecord
from acqplan.learning.evaluation import evaluate
from acqplan.learning.stresses import scene_of
from acqplan.learning.tuned_solver import classical, tuned_solver
from acqplan.plan.components import Component
from acqplan.reconstructors.supplied import Shares
from acqplan.workflow.evaluate import Measured, evenly

SHOWN = ("zero_filled", "solver", "plan")
_SOLVER = Component("tv")
_TUNED_ON = 4


@dataclass(frozen=True, eq=False)
class Case:
    """One image.

    Parameters
    ----------
    name
        ``best``, ``median`` or ``worst``, by PSNR of the plan.
    record
        The truth.
    images, measures
        Reconstructions [H, W] in the truth's units and what they are worth, by the names in `SHOWN`.
    supplied, shares
        Magnitude [H, W] of what isn't in what was measured of the plan's image, and how much that is
        (`acqplan.reconstructors.supplied`).
    """

    name: str
    record: ImageRecord
    images: dict[str, npt.NDArray[Any]]
    measures: dict[str, dict[str, float]]
    supplied: npt.NDArray[Any]
    shares: Shares


@dataclass(frozen=True, eq=False)
class Cases:
    """Three cases at most, the best one first; ``solver``: the classical one in words."""

    cases: list[Case]
    solver: str
    n_images: int


def cases_of(measured: Measured) -> Cases:
    """Chosen by the evaluation, and reconstructed again, all from the same readings.

    The solver is total variation; its weight is tuned on up to four of the images.
    """
    rows, records = measured.evaluation.rows, measured.records
    ranking = np.argsort([-row["plan"]["psnr_db"] for row in rows], kind="stable")
    places = dict(zip(("best", "median", "worst"), ranking[[0, len(ranking) // 2, -1]], strict=True))
    chosen = {int(place): name for name, place in reversed(places.items())}  # of one or two images: once each
    shown = [(name, records[place]) for place, name in reversed(chosen.items())]
    scene = scene_of(measured.plan)
    solver = classical(tuned_solver(_SOLVER, scene, evenly(records, _TUNED_ON)))
    judged = {"plan": measured.plan.reconstructor, "solver": solver}
    found = evaluate(scene, judged, [record for _, record in shown], seed=measured.seed, with_supplied=True)
    cases = [
        Case(
            name,
            record,
            {who: found.images[who][i] for who in SHOWN},
            {who: found.rows[i][who] for who in SHOWN},
            found.images["supplied"][i],
            found.supplied[i],
        )
        for i, (name, record) in enumerate(shown)
    ]
    return Cases(cases, f"{solver.kind} (weight {solver.spec()['weight']:.3g})", len(records))
