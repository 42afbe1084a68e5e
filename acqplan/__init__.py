"""acqplan: plan image acquisition under an exact measurement budget.

    plan = acqplan.design(recipe)
    plan.save("brain-4x.acqplan")
    image = acqplan.Plan.load("brain-4x.acqplan").reconstruct(acquisition)

The public names below are imported on first use, so that ``import acqplan`` is quick.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

_HOMES = {
    "Acquisition": "acquisition",
    "AcqplanError": "errors",
    "Budget": "budget",
    "Pattern": "pattern",
    "Plan": "plan",
    "Recipe": "recipe",
    "design": "training",
    "evaluate": "evaluation",
    "parse_budget": "budget",
}
__all__ = ["AcqplanError", "Acquisition", "Budget", "Pattern", "Plan", "Recipe", "design", "evaluate", "parse_budget"]

if TYPE_CHECKING:
    from acqplan.acquisition import Acquisition
    from acqplan.budget import Budget, parse_budget
    from acqplan.errors import AcqplanError
    from acqplan.evaluation import evaluate
    from acqplan.pattern import Pattern
    from acqplan.plan import Plan
    from acqplan.recipe import Recipe
    from acqplan.training import design


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'acqplan' has no attribute {name!r}")
    return getattr(importlib.import_module(f"acqplan.{_HOMES[name]}"), name)
