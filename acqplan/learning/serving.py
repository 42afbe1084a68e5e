"""The network that serves many budgets, and the images that they are planned for: both are read, or made, once."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from acqplan.core import registry
from acqplan.core.errors import RecipeError
from acqplan.core.following import Follower
from acqplan.learning.base import base_of
from acqplan.learning.pace import Stopwatch
from acqplan.learning.progress import Listener, Progress
from acqplan.learning.resolve import Grounds, grounds_of
from acqplan.learning.training import trained
from acqplan.plan.base_recipe import base_recipe
from acqplan.plan.plan import Plan
from acqplan.plan.recipe import Recipe


def served(
    recipe: Recipe, where: Path, base_minutes: float, watch: Stopwatch, preparing: Follower, *, least_subjects: int = 1
) -> tuple[Grounds, Plan]:
    """The images of a recipe and its base; without one, one that is trained on them for so many minutes first.

    Parameters
    ----------
    recipe
        With a budget and a designer to begin with; its minutes are those of what follows.
    where
        The file of a base that is trained.
    watch
        Has run since the minutes began.
    least_subjects
        So many are held out, and as many validated by, where there are enough.

    Raises
    ------
    RecipeError
        The base doesn't serve several budgets, and as of `acqplan.learning.resolve.resolve`.
    """
    if recipe.training.base is not None:
        base = _serving_base(recipe)
        return grounds_of(recipe, preparing, least_subjects), base
    to_train = recipe.with_settings("training", minutes=base_minutes, steps=None).with_settings("budget", amount="")
    grounds = grounds_of(base_recipe(to_train), preparing, least_subjects)
    base = trained(grounds.problem(), watch, progress=told("training a base", preparing), preparing=preparing)
    base.save(where)
    settings: dict[str, Any] = {"base": str(where), "base_id": base.plan_id, "noise_range": recipe.training.noise_range}
    asked = {"minutes": recipe.training.minutes, "steps": recipe.training.steps}
    known = grounds.recipe.with_settings("training", **settings, **asked)
    known = known.with_settings("budget", amount=recipe.budget.amount)
    return replace(grounds, recipe=replace(known, designer=recipe.designer)), base


def told(what: str, preparing: Follower) -> Listener:
    """Tells of a training in per cent: the number of its steps changes with its clock."""

    def tell(progress: Progress) -> None:
        preparing(what, round(100 * progress.step / max(1, progress.n_steps)), 100)

    return tell


def _serving_base(recipe: Recipe) -> Plan:
    base = base_of(recipe)
    assert base is not None
    if not registry.find("designers", base.recipe.designer.kind).keeps_drawing:
        raise RecipeError(
            f"{recipe.training.base} was trained for one pattern of {base.budget.n_readings} of "
            f"{base.budget.n_units} {base.sensing.unit_name}s: its network tells nothing of other budgets.",
            "Train a base with acqplan base, and pass that.",
        )
    return base
