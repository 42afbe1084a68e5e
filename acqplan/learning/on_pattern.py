"""Recipes on the pattern of another plan: for another network, or for its own network on other images."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from acqplan.core.errors import RecipeError
from acqplan.images.samples import is_sample
from acqplan.plan.components import Component
from acqplan.plan.plan import Plan
from acqplan.plan.recipe import ImageSettings, Recipe, TrainingSettings, reopened
from acqplan.sensing.budget import needs_images

ADAPTING_MINUTES = 3.0
ADAPTING_RATE = 3e-4
"""Of the learning rate: the network is trained already, and few images teach it by heart soon."""


def on_pattern_of(path: Path, modality: str) -> Recipe:
    """The recipe of a plan, with its pattern instead of a designer and with the training left open.

    Raises
    ------
    RecipeError
        A plan of another instrument.
    """
    return _given(_loaded(path, modality), path)


def adapting(path: Path, modality: str) -> Recipe:
    """The recipe that trains a plan's own network on, on its pattern; the images are left open.

    All that was decided of the measurement is the plan's. The training is short, with a low rate, and keeps the state
    that is best on validation images, which may be the plan's own.

    Raises
    ------
    RecipeError
        A plan of another instrument, or one without a network to train.
    """
    plan = _loaded(path, modality)
    if not plan.reconstructor.n_parameters:
        raise RecipeError(
            f"{path} reconstructs by {plan.reconstructor.kind}, which has nothing to train.",
            "Take a plan with a network, or train one on its pattern: --pattern-from.",
        )
    recipe, seen, trained = _given(plan, path), plan.recipe.images, plan.recipe.training
    if needs_images(recipe.budget.amount):
        recipe = recipe.with_settings("budget", amount=str(plan.budget.n_readings))
    own_binning = None if all(is_sample(each) for each in seen.paths) else seen.binning
    training = TrainingSettings(
        minutes=ADAPTING_MINUTES,
        base=str(path),
        keep_best=True,
        compact=trained.compact,
        learning_rate=ADAPTING_RATE,
        loss=trained.loss,
        hold_back=trained.hold_back,
        noise_range=trained.noise_range,
        batch_size=trained.batch_size,
    )
    return replace(recipe, images=ImageSettings([], list(seen.size), seen.fit, own_binning), training=training)


def _loaded(path: Path, modality: str) -> Plan:
    plan = Plan.load(path)
    if plan.recipe.modality != modality:
        raise RecipeError(
            f"{path} is a plan for {plan.recipe.modality}, the command designs for {modality}.",
            f"Use acqplan design {plan.recipe.modality}.",
        )
    return plan


def _given(plan: Plan, path: Path) -> Recipe:
    given = Component("from-plan", {"plan": str(path), "digest": plan.pattern.digest})
    recipe = replace(reopened(plan.recipe), designer=given, training=TrainingSettings())
    return recipe.with_settings("pattern", order=None)
