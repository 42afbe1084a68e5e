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
    "Acquisition": "sensing.acquisition",
    "AcqplanError": "core.errors",
    "Budget": "sensing.budget",
    "Pattern": "sensing.pattern",
    "Plan": "plan.plan",
    "Recipe": "plan.recipe",
    "design": "learning.training",
    "evaluate": "learning.evaluation",
    "parse_budget": "sensing.budget",
}
__all__ = ["AcqplanError", "Acquisition", "Budget", "Pattern", "Plan", "Recipe", "design", "evaluate", "parse_budget"]

if TYPE_CHECKING:
    from acqplan.core.errors import AcqplanError
    from acqplan.learning.evaluation import evaluate
    from acqplan.learning.training import design
    from acqplan.plan.plan import Plan
    from acqplan.plan.recipe import Recipe
    from acqplan.sensing.acquisition import Acquisition
    from acqplan.sensing.budget import Budget, parse_budget
    from acqplan.sensing.pattern import Pattern


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'acqplan' has no attribute {name!r}")
    return getattr(importlib.import_module(f"acqplan.{_HOMES[name]}"), name)
