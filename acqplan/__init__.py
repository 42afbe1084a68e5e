"""acqplan: plan image acquisition under an exact measurement budget.

    plan = acqplan.design(recipe)
    plan.save("brain-4x.acqplan")
    acqplan.export(plan, "bart", "brain-bart")
    image = acqplan.reconstruct(plan, "acquired.h5").images[0]

Each command of the command line is one of these functions, with the same checks and errors (docs/python.md). The
public names below are imported on first use, so that ``import acqplan`` is quick.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

_HOMES = {
    "Acquisition": "sensing.acquisition",
    "AcqplanError": "core.errors",
    "AcquisitionError": "core.errors",
    "Budget": "sensing.budget",
    "BudgetError": "core.errors",
    "BudgetSettings": "plan.recipe",
    "Comparison": "workflow.compare",
    "Component": "plan.components",
    "Curve": "workflow.curve",
    "Exploration": "workflow.explore",
    "ErrorCalibration": "workflow.error_calibration",
    "Export": "workflow.export",
    "Finding": "plan.verification",
    "ImageError": "core.errors",
    "ImageSettings": "plan.recipe",
    "InstrumentError": "core.errors",
    "Measured": "workflow.evaluate",
    "OutputError": "core.errors",
    "Pattern": "sensing.pattern",
    "PatternMismatch": "core.errors",
    "PatternSettings": "plan.recipe",
    "Plan": "plan.plan",
    "PlanFileError": "core.errors",
    "Proof": "workflow.prove",
    "Recipe": "plan.recipe",
    "RecipeError": "core.errors",
    "Reconstruction": "workflow.reconstruct",
    "Scan": "sensing.acquisition",
    "Simulation": "workflow.simulate",
    "SmallestBudget": "workflow.target",
    "Stressed": "workflow.stress",
    "TrainingSettings": "plan.recipe",
    "calibrate": "workflow.calibrate",
    "compare": "workflow.compare",
    "curve": "workflow.curve",
    "design": "learning.training",
    "error_map": "workflow.error_map",
    "evaluate": "workflow.evaluate",
    "explore": "workflow.explore",
    "export": "workflow.export",
    "parse_budget": "sensing.budget",
    "prove": "workflow.prove",
    "reconstruct": "workflow.reconstruct",
    "simulate": "workflow.simulate",
    "smallest_budget": "workflow.target",
    "stress": "workflow.stress",
    "verify": "workflow.verify",
}
__all__ = [
    "AcqplanError",
    "Acquisition",
    "AcquisitionError",
    "Budget",
    "BudgetError",
    "BudgetSettings",
    "Comparison",
    "Component",
    "Curve",
    "ErrorCalibration",
    "Exploration",
    "Export",
    "Finding",
    "ImageError",
    "ImageSettings",
    "InstrumentError",
    "Measured",
    "OutputError",
    "Pattern",
    "PatternMismatch",
    "PatternSettings",
    "Plan",
    "PlanFileError",
    "Proof",
    "Recipe",
    "RecipeError",
    "Reconstruction",
    "Scan",
    "Simulation",
    "SmallestBudget",
    "Stressed",
    "TrainingSettings",
    "calibrate",
    "compare",
    "curve",
    "design",
    "error_map",
    "evaluate",
    "explore",
    "export",
    "parse_budget",
    "prove",
    "reconstruct",
    "simulate",
    "smallest_budget",
    "stress",
    "verify",
]

if TYPE_CHECKING:
    from acqplan.core.errors import (
        AcqplanError,
        AcquisitionError,
        BudgetError,
        ImageError,
        InstrumentError,
        OutputError,
        PatternMismatch,
        PlanFileError,
        RecipeError,
    )
    from acqplan.learning.training import design
    from acqplan.plan.components import Component
    from acqplan.plan.plan import Plan
    from acqplan.plan.recipe import BudgetSettings, ImageSettings, PatternSettings, Recipe, TrainingSettings
    from acqplan.plan.verification import Finding
    from acqplan.sensing.acquisition import Acquisition, Scan
    from acqplan.sensing.budget import Budget, parse_budget
    from acqplan.sensing.pattern import Pattern
    from acqplan.workflow.calibrate import calibrate
    from acqplan.workflow.compare import Comparison, compare
    from acqplan.workflow.curve import Curve, curve
    from acqplan.workflow.error_calibration import ErrorCalibration
    from acqplan.workflow.error_map import error_map
    from acqplan.workflow.evaluate import Measured, evaluate
    from acqplan.workflow.explore import Exploration, explore
    from acqplan.workflow.export import Export, export
    from acqplan.workflow.prove import Proof, prove
    from acqplan.workflow.reconstruct import Reconstruction, reconstruct
    from acqplan.workflow.simulate import Simulation, simulate
    from acqplan.workflow.stress import Stressed, stress
    from acqplan.workflow.target import SmallestBudget, smallest_budget
    from acqplan.workflow.verify import verify


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'acqplan' has no attribute {name!r}")
    return getattr(importlib.import_module(f"acqplan.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
