"""Starting from a network that is trained already: a base, or another plan's."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from acqplan.core import registry
from acqplan.core.errors import RecipeError
from acqplan.plan.components import Component
from acqplan.plan.plan import Plan
from acqplan.plan.recipe import Recipe
from acqplan.reconstructors.reconstructor import Reconstructor


def with_base(recipe: Recipe) -> Recipe:
    """The recipe with what its base decides: the network, and the noise unless it is named.

    Raises
    ------
    RecipeError
        The base is for another instrument, another kind of measurement or network, or not the one that the recipe was
        resolved with.
    """
    settings = recipe.training
    plan = base_of(recipe)
    if plan is None:
        return recipe
    given, own = recipe.reconstructor, Component(plan.reconstructor.kind, plan.reconstructor.spec())
    own.options.pop("is_complex", None)
    if given.kind != own.kind:
        raise RecipeError(
            f"The network of {settings.base} is {own.kind}, the recipe's {given.kind}.",
            f"Pass --reconstructor {own.kind}, or another base.",
        )
    for name, value in given.options.items():
        if own.options.get(name, value) != value:
            raise RecipeError(
                f"The network of {settings.base} has {name} = {own.options[name]!r}, the recipe's {value!r}.",
                f"Leave out {name}, or take another base.",
            )
    recipe = recipe.with_settings("training", base_id=plan.plan_id)
    noise = recipe.noise or plan.recipe.noise
    return replace(recipe, reconstructor=own, noise=noise, sensing=recipe.sensing or _kind_of(plan))


def start_from_base(network: Reconstructor, recipe: Recipe) -> None:
    """Give a network of the recipe's kind the weights of its base, where there is one."""
    base = base_of(recipe)
    if base is not None:
        network.load_state_dict(base.reconstructor.state_dict())


def base_of(recipe: Recipe) -> Plan | None:
    """The plan or base that a recipe starts from, if it does.

    Raises
    ------
    PlanFileError, RecipeError
        It can't be read; it is for something else, or not the one that the recipe was resolved with.
    """
    settings = recipe.training
    if settings.base is None:
        return None
    plan = Plan.load(Path(settings.base))
    if plan.recipe.modality != recipe.modality:
        raise RecipeError(
            f"{settings.base} is for {plan.recipe.modality}, the recipe for {recipe.modality}.", "Take another base."
        )
    if settings.base_id not in (None, plan.plan_id):
        raise RecipeError(
            f"{settings.base} is {plan.plan_id[:12]}…, the recipe was made with {str(settings.base_id)[:12]}….",
            "Pass the base that it was made with.",
        )
    asked, has = recipe.sensing, _kind_of(plan)
    serves_many = recipe.designer is not None and registry.find("designers", recipe.designer.kind).keeps_drawing
    if asked is not None and not serves_many:
        differing = [name for name, value in asked.options.items() if has.options.get(name, value) != value]
        if asked.kind != has.kind or differing:
            wanted = ", ".join(f"{name} = {asked.options[name]}" for name in differing) or asked.kind
            raise RecipeError(  # a base may start from another, and learns its own kind of patterns
                f"{settings.base} measures otherwise ({_words(has)}) than the recipe asks ({wanted}).",
                "Take a base that was trained for it.",
            )
    return plan


def _kind_of(plan: Plan) -> Component:
    """The plan's sensing model with its options, of any size."""
    assert plan.recipe.sensing is not None
    return plan.recipe.sensing


def _words(component: Component) -> str:
    return ", ".join([component.kind, *(f"{name} = {value}" for name, value in component.options.items())])
