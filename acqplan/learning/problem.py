"""A resolved recipe and what it stands for: the parts that training puts together."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from acqplan.core import registry
from acqplan.core.errors import RecipeError
from acqplan.core.seeding import stream_seed, torch_generator
from acqplan.designers.designer import Designer, DesignProblem
from acqplan.designers.orders import Order
from acqplan.images import TrainingImages
from acqplan.learning.base import start_from_base
from acqplan.plan.components import Component, build, option_names
from acqplan.plan.modality import Modality, modality_named
from acqplan.plan.recipe import Recipe, ResolvedRecipe
from acqplan.reconstructors.reconstructor import Reconstructor
from acqplan.sensing.model import SensingModel
from acqplan.sensing.noise import NoiseModel
from acqplan.sensing.pattern import Pattern


@dataclass(frozen=True, eq=False)
class Problem:
    """A resolved recipe and what it stands for."""

    recipe: ResolvedRecipe
    sensing: SensingModel
    noise: NoiseModel
    design: DesignProblem
    images: TrainingImages
    notes: tuple[str, ...] = ()
    """What was decided otherwise than the words of the recipe say, in sentences."""

    @property
    def modality(self) -> Modality:
        """The kind of instrument."""
        return modality_named(self.recipe.modality)


def build_designer(problem: Problem) -> Designer:
    """The recipe's designer, at its start."""
    return designer_of(problem.recipe, problem.design)


def build_reconstructor(problem: Problem) -> Reconstructor:
    """The recipe's reconstructor with its base's weights, or seeded ones; the global random state is left as it was."""
    network = network_of(problem.recipe, problem.sensing, problem.images)
    start_from_base(network, problem.recipe)
    return network


def designer_of(recipe: Recipe, design: DesignProblem) -> Designer:
    """As `build_designer`, of a recipe that isn't resolved yet."""
    component = recipe.designer
    assert component is not None
    designer: Designer = registry.find("designers", component.kind)(design, **component.options)
    return designer


def network_of(recipe: Recipe, sensing: SensingModel, images: TrainingImages) -> Reconstructor:
    """As `build_reconstructor`, of a recipe that isn't resolved yet."""
    component = recipe.reconstructor
    cls = registry.find("reconstructors", component.kind)
    given: dict[str, Any] = {}
    if cls.is_trained:
        options = option_names("reconstructors", component.kind)
        usual = modality_named(recipe.modality).network_arguments(images)
        given = {"is_complex": sensing.is_complex} | {name: usual[name] for name in options if name in usual}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(stream_seed(recipe.seed, "weights"))
        reconstructor: Reconstructor = build("reconstructors", component, **given)
    return reconstructor


def build_order(recipe: Recipe, component: Component) -> Order:
    """The order of acquisition; `RecipeError` if it isn't one for the recipe's sensing model."""
    cls = registry.find("orders", component.kind)
    modality = modality_named(recipe.modality)
    kinds = modality.sensing_kinds
    if cls.modalities is not None and not set(kinds) & set(cls.modalities):
        fitting = [
            kind
            for kind, each in registry.kinds("orders").items()
            if each.modalities is None or set(kinds) & set(each.modalities)
        ]
        raise RecipeError(
            f"The order {cls.kind} isn't one for {recipe.modality}.", f"Choose one of: {', '.join(fitting)}."
        )
    options = option_names("orders", cls.kind)
    for name in component.options:
        if name not in options:
            owners = [kind for kind in registry.kinds("orders") if name in option_names("orders", kind)]
            raise RecipeError(
                f"The pattern setting {name} is given, which the order {cls.kind} doesn't have.",
                f"Leave it out, or choose the order {' or '.join(owners)}."
                if owners
                else f"Known: {', '.join(options) or 'none'}.",
            )
    given = {name: value for name, value in modality.order_arguments(recipe).items() if name in options}
    order: Order = build("orders", component, **given)
    return order


def arranged(pattern: Pattern, problem: Problem) -> Pattern:
    """The pattern with its units in the recipe's order of acquisition."""
    design, order = problem.design, build_order(problem.recipe, problem.recipe.pattern.order)
    seed = stream_seed(problem.recipe.seed, "order")
    units = order.arrange(pattern.order, design.sensing, energy=design.energy, seed=seed)
    assert np.array_equal(np.sort(units), np.sort(pattern.order)), "an order changed the pattern"
    return Pattern(units, pattern.n_units, pattern.calibration)


def check_given_pattern(problem: Problem) -> None:
    """The pattern of another plan is taken as it is: `RecipeError` if it isn't what the recipe asks for."""
    recipe, design = problem.recipe, problem.design
    if recipe.designer.kind == "from-plan":
        pattern = build_designer(problem).freeze(torch_generator(0, "given"))
        fault = problem.modality.given_fault(recipe, pattern, design.fixed_readings, design.sensing)
        if fault is not None:
            raise RecipeError(fault, "Leave it out, or design another pattern.")
