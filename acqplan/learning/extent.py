"""How much is measured, and where it may be: from the words of a budget to the exact count."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from acqplan.core import registry
from acqplan.core.seeding import stream_seed
from acqplan.designers.designer import Designer, DesignProblem
from acqplan.plan.modality import modality_named
from acqplan.plan.recipe import Recipe
from acqplan.sensing.budget import Budget, Light, parse_budget
from acqplan.sensing.constraints import Constraints, constraints_of
from acqplan.sensing.model import SensingModel


@dataclass(frozen=True, eq=False)
class Extent:
    """The recipe with its calibration decided, and what follows: the exact count, and what may be measured."""

    recipe: Recipe
    budget: Budget
    calibration: npt.NDArray[np.int32]
    constraints: Constraints
    notes: tuple[str, ...] = ()

    def problem(
        self, sensing: SensingModel, energy: npt.NDArray[np.float64], variance: npt.NDArray[np.float64] | None = None
    ) -> DesignProblem:
        """The design problem; `BudgetError` if more has to be measured than the budget has."""
        seed = stream_seed(self.recipe.seed, "design")
        allowed, required = self.constraints.allowed, self.constraints.required
        return DesignProblem(sensing, self.budget, self.calibration, energy, seed, variance, allowed, required)


def extent_of(recipe: Recipe, sensing: SensingModel, electrons: float | None) -> Extent:
    """The calibration, the exact count and the constraints, of a recipe whose designer is decided.

    ``electrons``: of a typical image during one frame, None where the images aren't known yet.
    """
    modality, settings = modality_named(recipe.modality), recipe.budget
    pattern, designer = recipe.pattern, recipe.designer
    assert designer is not None
    chooser: type[Designer] = registry.find("designers", designer.kind)
    constraints = constraints_of(pattern.forbidden, pattern.required, modality.left_out(recipe, sensing), sensing)
    per_shot = modality.readings_per_shot(recipe)

    def parse(n_calibration: int, n_reference: int, readings_per_shot: int = per_shot) -> Budget:
        lit = sensing.light_frames
        return parse_budget(
            settings.amount,
            n_units=sensing.n_units,
            n_calibration=n_calibration,
            unit_name=sensing.unit_name,
            frames_per_unit=sensing.frames_per_unit,
            frame_time_s=None
            if settings.frame_time_s is None
            else settings.frame_time_s * readings_per_shot / per_shot,
            allows_repeats=n_reference > 1 or bool(chooser.may_repeat(sensing)),
            light=None if lit is None else Light(lit, n_reference, electrons, modality.power_w(recipe)),
            readings_per_shot=readings_per_shot,
            time_remedy=f"Give it: {modality.frame_time.name} {modality.frame_time.metavar}.",
            n_allowed=int(constraints.allowed.sum()) + per_shot - readings_per_shot,
        )

    at_first = parse(0, 0).n_readings
    width = settings.calibration
    if width is None:
        width = _usual_width(*modality.calibration_widths(recipe, sensing), sensing, at_first, constraints)
    recipe, repeats = modality.decide_reference(recipe, sensing, at_first)
    calibration = sensing.calibration_units(width)
    if repeats is not None:
        reference = np.full(repeats, sensing.reference_unit)
        calibration = np.sort(np.concatenate([np.setdiff1d(calibration, reference), reference])).astype(np.int32)
    constraints.check(calibration, f"The calibration region of width {width}", "Give a smaller --calibration.")
    if designer.kind != "from-plan":
        seed = stream_seed(recipe.seed, "design")
        constraints = modality.narrowed(constraints, recipe, calibration, sensing, seed)
    budget = parse(calibration.size, repeats or 0)
    notes = []
    if per_shot > 1 and (asked := parse(calibration.size, repeats or 0, 1).n_readings) != budget.n_readings:
        notes.append(
            f"The budget {settings.amount} is {asked} {sensing.unit_name}s, rounded down to {budget.n_readings}: "
            f"{budget.n_shots} whole trains of {per_shot} echoes."
        )
    recipe = replace(recipe, budget=replace(settings, calibration=width))
    extent = Extent(recipe, budget, calibration, constraints, tuple(notes))
    extent.problem(sensing, np.zeros(sensing.n_units))
    return extent


def _usual_width(widest: int, needed: int, sensing: SensingModel, n_readings: int, constraints: Constraints) -> int:
    """The widest even region up to ``widest`` that may be measured and takes a third at most.

    One of the width ``needed`` may take half.
    """
    for width in range(widest - widest % 2, 0, -2):
        units = sensing.calibration_units(width)
        is_affordable = 3 * units.size <= n_readings or (width == needed and 2 * units.size <= n_readings)
        if is_affordable and constraints.allowed[units].all():
            return width
    return 0
