"""The recipe of a base: one network for many patterns and budgets (`acqplan base`)."""

from __future__ import annotations

from dataclasses import replace

from acqplan.plan.components import Component
from acqplan.plan.recipe import Recipe, with_preset

DESIGNER = "any-pattern"
BUDGET = "6x"
"""Of the example pattern, between the ends of the range; its calibration region is every pattern's."""
NETWORK, PRESET = "unrolled", "medium"
NOISE_RANGE = 0.3, 4.0
"""Of the plan's noise, over a decade."""


def base_recipe(recipe: Recipe) -> Recipe:
    """The recipe of a base for the images, instrument and noise of another recipe, and for its network.

    Its pattern, budget and what else it leaves open are a base's usual ones.
    """
    if recipe.reconstructor == Component(NETWORK):
        recipe = with_preset(recipe, "reconstructor", PRESET)
    training = recipe.training
    recipe = recipe.with_settings("training", noise_range=training.noise_range or list(NOISE_RANGE))
    recipe = recipe.with_settings("budget", amount=recipe.budget.amount or BUDGET)
    return replace(recipe, designer=Component(DESIGNER))
