"""The pattern of another plan, unit by unit: for another network on it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import numpy.typing as npt

from acqplan.core.errors import RecipeError
from acqplan.core.registry import register
from acqplan.designers.designer import DesignProblem, FixedDesigner
from acqplan.plan import file as plan_file
from acqplan.sensing.pattern import Pattern


@register("designers", "from-plan")
class FromPlan(FixedDesigner):
    """The pattern of a plan file as it is: same units, same order, same repeats, same calibration.

    Parameters
    ----------
    problem
        Has to be that plan's: sensing model and exact count.
    plan
        Path of the plan file.
    digest
        SHA-256 that its pattern must have; None accepts any, and a resolved recipe spells it out.
    """

    summary = "the pattern of another plan, bit for bit, for a new network"
    reference = "none needed"
    repeats = True

    def __init__(self, problem: DesignProblem, plan: str = "", digest: str | None = None) -> None:
        super().__init__(problem)
        if not plan:
            raise RecipeError("The designer from-plan isn't told which plan.", "Pass --pattern-from PLAN.")
        content = plan_file.read(Path(plan))
        wanted = {"kind": problem.sensing.kind, "arguments": json.loads(json.dumps(problem.sensing.spec()))}
        if json.loads(content.texts["sensing"]) != wanted:
            raise RecipeError(
                f"{plan} is for {content.texts['sensing']}, asked for was {json.dumps(wanted)}.",
                "Leave out the size and what else differs.",
            )
        pattern = Pattern(content.order, problem.sensing.n_units, content.calibration)
        if digest is not None and pattern.digest != digest:
            raise RecipeError(
                f"{plan} has the pattern {pattern.digest[:12]}…, the recipe asks for {digest[:12]}….",
                "Pass the plan that the recipe was made with.",
            )
        budget = problem.budget
        is_calibrated_alike = np.array_equal(np.unique(problem.calibration), pattern.calibration)
        if pattern.n_readings != budget.n_readings or not is_calibrated_alike:
            raise RecipeError(
                f"{plan} measures {pattern.n_readings} times, with {pattern.calibration.size} units for calibration; "
                f"asked for were {budget.n_readings} and {np.unique(problem.calibration).size}.",
                "Leave out --budget and --calibration.",
            )
        outside = np.setdiff1d(pattern.order, problem.measurable_units)
        lacking = np.setdiff1d(problem.required, pattern.order)
        if outside.size or lacking.size:
            raise RecipeError(
                f"{plan} measures {outside.size} units that the recipe doesn't allow, and lacks {lacking.size} that it "
                "requires.",
                "Leave out the constraints of the pattern, or design another pattern.",
            )
        self.plan, self.digest = plan, pattern.digest
        self._pattern = pattern

    def choose(self, random: np.random.Generator) -> npt.NDArray[np.int64]:
        return np.setdiff1d(self.pattern.order, self.problem.fixed_readings)
