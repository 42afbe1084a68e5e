"""From a recipe to its parts: every open setting decided."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from acqplan.core import registry
from acqplan.core.errors import RecipeError
from acqplan.core.following import Follower, unfollowed
from acqplan.core.seeding import stream_seed
from acqplan.images import ImageStack, TrainingImages
from acqplan.learning.base import with_base
from acqplan.learning.energy import mean_energy, typical_electrons
from acqplan.learning.extent import extent_of
from acqplan.learning.image_sets import read_images, training_images, with_shares_of
from acqplan.learning.problem import (
    Problem,
    build_order,
    check_given_pattern,
    designer_of,
    network_of,
)
from acqplan.plan.components import Component, build, check_options, option_names, with_options
from acqplan.plan.modality import Modality, modality_named
from acqplan.plan.recipe import Recipe, ResolvedImages, as_resolved
from acqplan.sensing.budget import needs_images
from acqplan.sensing.model import SensingModel
from acqplan.sensing.noise import NoiseModel
from acqplan.sensing.unit_list import parse_units, units_text

DEFAULT_MINUTES = 10.0


@dataclass(frozen=True, eq=False)
class Grounds:
    """The images of a recipe, and all of it decided but how much is measured and who chooses it.

    Parameters
    ----------
    recipe
        Open are the exact count, the calibration region, and the options of the designer.
    energy, variance
        Of each unit (`acqplan.learning.energy.mean_energy`).
    notes
        Sentences on what the images don't suit.
    """

    recipe: Recipe
    sensing: SensingModel
    noise: NoiseModel
    images: TrainingImages
    energy: npt.NDArray[np.float64]
    variance: npt.NDArray[np.float64]
    notes: tuple[str, ...] = ()

    def problem(self, amount: str | None = None, designer: Component | None = None) -> Problem:
        """The problem of the recipe's budget and designer, or of another one: the images are not read again.

        Raises
        ------
        AcqplanError
            Such a budget, or such a designer, isn't possible.
        """
        recipe = self.recipe
        if amount is not None:
            recipe = recipe.with_settings("budget", amount=amount)
        if designer is not None:
            check_options("designers", designer)
            recipe = _with_designer(replace(recipe, designer=designer))
        extent = extent_of(recipe, self.sensing, typical_electrons(self.images, self.noise))
        design = extent.problem(self.sensing, self.energy, self.variance)
        recipe = _spelled_out(extent.recipe, self.sensing, self.noise, design, self.images)
        notes = (*self.notes, *extent.notes)
        problem = Problem(as_resolved(recipe), self.sensing, self.noise, design, self.images, notes)
        check_given_pattern(problem)
        return problem


def resolve(asked: Recipe, preparing: Follower = unfollowed) -> Problem:
    """Read the images and decide every open setting; `AcqplanError` if anything can't be.

    Cheap mistakes (unknown kinds and options, an impossible budget) are found before the images are read
    wherever they can be. ``preparing`` is told what is done.
    """
    return grounds_of(asked, preparing).problem()


def grounds_of(asked: Recipe, preparing: Follower = unfollowed, least_subjects: int = 1) -> Grounds:
    """Read the images and decide what doesn't depend on the budget; errors as of `resolve`.

    ``least_subjects``: the shares of subjects held out and validated by are raised to so many each, where there are
    enough to train on some as well.
    """
    asked.check()
    modality = modality_named(asked.modality)
    recipe = _with_defaults(with_base(asked), modality)
    sensing_part, noise_part = recipe.sensing or modality.sensing, recipe.noise or modality.noise
    assert recipe.designer is not None
    check_options("designers", recipe.designer)
    check_options("reconstructors", recipe.reconstructor)
    check_options("sensing", sensing_part)
    check_options("noise", noise_part)
    noise: NoiseModel = build("noise", noise_part)

    def sensing_of(size: list[int]) -> SensingModel:
        made: SensingModel = build("sensing", sensing_part, image_shape=tuple(size))
        return made

    if recipe.images.size is not None:
        early = sensing_of(recipe.images.size)
        if not needs_images(recipe.budget.amount):
            extent_of(recipe, early, None)
    stacks = read_images(recipe, preparing)
    recipe, notes = modality.decide_by_images(recipe, stacks, asked)
    recipe = with_shares_of(recipe, stacks, least_subjects)
    settings = _image_settings(recipe, modality, stacks)
    sensing = sensing_of(settings.size)
    images = training_images(recipe, settings, stacks, preparing)
    if recipe.images.size is None and settings.fit != "crop":
        images = replace(images, warnings=(*images.warnings, *_mixed_sizes(stacks, settings)))
    extent_of(recipe, sensing, typical_electrons(images, noise))  # before the energies: they take a while
    if modality.takes_intensities and settings.binning is None:
        settings = replace(settings, binning=stacks[0].recommended_binning or 1)
    energy, variance = mean_energy(sensing, noise, images, stream_seed(recipe.seed, "design"), preparing)
    return Grounds(replace(recipe, images=settings), sensing, noise, images, energy, variance, notes)


def _with_defaults(recipe: Recipe, modality: Modality) -> Recipe:
    """The recipe with everything decided that needs no images."""
    images, training = recipe.images, recipe.training
    recipe = replace(
        recipe,
        sensing=recipe.sensing or modality.sensing,
        noise=recipe.noise or modality.noise,
        images=replace(images, fit=images.fit or modality.fit),
    )
    if training.minutes is not None and training.steps is not None:
        raise RecipeError("Both minutes and steps are given.", "Give one of them.")
    minutes = DEFAULT_MINUTES if training.minutes is None and training.steps is None else training.minutes
    batch_size = training.batch_size or modality.batch_size
    recipe = recipe.with_settings("training", minutes=minutes, batch_size=batch_size)
    recipe = _with_precision(recipe)
    recipe = _with_order(_with_designer(modality.decide(_with_loss(recipe))), modality)
    if not recipe.budget.amount:
        raise RecipeError("No budget is given.", f"Pass --budget: {modality.budget_words()}.")
    return recipe


def _with_precision(recipe: Recipe) -> Recipe:
    """In which the network convolves while it is trained: float32 unless the recipe asks for less."""
    precision = recipe.training.precision or "float32"
    if precision != "float32" and not registry.find("reconstructors", recipe.reconstructor.kind).trains_in_less:
        raise RecipeError(
            f"The {recipe.reconstructor.kind} isn't trained in {precision}.", "Leave out --precision, or give float32."
        )
    return recipe.with_settings("training", precision=precision)


def _with_loss(recipe: Recipe) -> Recipe:
    """The loss decided and checked."""
    component = recipe.reconstructor
    weights = recipe.training.loss
    if weights is None:
        weights = registry.find("reconstructors", component.kind).loss_for(component.options)
    recipe = recipe.with_settings("training", loss=weights)
    if "losses" in option_names("reconstructors", component.kind):
        component = Component(component.kind, {"losses": list(weights), **component.options})
        recipe = replace(recipe, reconstructor=component)
        if component.options["losses"] != list(weights):
            raise RecipeError(
                f"The {component.kind} trades {component.options['losses']}, the recipe's losses are {list(weights)}.",
                "Name the same losses in both, in the same order.",
            )
    for kind in weights:
        registry.find("losses", kind)
    if not any(weights.values()):
        raise RecipeError("No loss has a weight above 0.", "Name one, for example --loss mse.")
    return recipe


def designer_for(recipe: Recipe) -> Component:
    """The recipe's designer; the instrument's usual one where none is named.

    Without a network that learns from fully sampled images there is none whose judgement a search could use.
    """
    if recipe.designer is not None:
        return recipe.designer
    modality = modality_named(recipe.modality)
    is_judged = _is_trained(recipe) and _sees_truth(recipe)
    return Component(modality.usual_designer(recipe) if is_judged else modality.unjudged_designer)


def _is_trained(recipe: Recipe) -> bool:
    return bool(registry.find("reconstructors", recipe.reconstructor.kind).is_trained)


def _sees_truth(recipe: Recipe) -> bool:
    component, weights = recipe.reconstructor, recipe.training.loss
    if weights is None:
        weights = registry.find("reconstructors", component.kind).loss_for(component.options)
    return any(registry.find("losses", kind).needs_truth for kind, weight in weights.items() if weight)


def _with_designer(recipe: Recipe) -> Recipe:
    """The designer decided, and whether the loss allows it; from a base on only a learned one has joint training."""
    component = designer_for(recipe)
    designer = registry.find("designers", component.kind)
    if not _sees_truth(recipe) and (designer.is_learned or (designer.searches and not designer.has_usual)):
        raise RecipeError(
            f"The designer {component.kind} learns from fully sampled images, the losses "
            f"({', '.join(recipe.training.loss or {})}) don't see them.",
            "Choose a fixed designer such as variable-density, or --pattern-from with a plan.",
        )
    if recipe.training.base is not None and not designer.is_learned:
        recipe = recipe.with_settings("training", joint_share=0.0)
    return replace(recipe, designer=component)


def _with_order(recipe: Recipe, modality: Modality) -> Recipe:
    """The order of acquisition decided, with its options."""
    is_given = recipe.designer is not None and recipe.designer.kind == "from-plan"
    asked = recipe.pattern.order or Component("")
    kind = asked.kind or ("given" if is_given else modality.usual_order(recipe))
    if is_given and kind != "given":
        raise RecipeError(
            f"The order is {kind}, the designer from-plan keeps the other plan's, bit for bit.",
            "Leave out the order, or choose another designer.",
        )
    component = Component(kind, asked.options)
    order = build_order(recipe, component)
    own = {name: vars(order)[name] for name in option_names("orders", kind) if vars(order)[name] is not None}
    elsewhere = modality.order_arguments(recipe)
    decided = Component(kind, {name: value for name, value in own.items() if name not in elsewhere})
    return recipe.with_settings("pattern", order=decided)


def _image_settings(recipe: Recipe, modality: Modality, stacks: list[ImageStack]) -> ResolvedImages:
    """The image settings with the size decided."""
    settings = recipe.images
    values: dict[str, Any] = {each.name: getattr(settings, each.name) for each in fields(settings)}
    if settings.size is None:
        values["size"] = list(modality.usual_size([stack.image_shape for stack in stacks]))
    return ResolvedImages(**values)


def _mixed_sizes(stacks: list[ImageStack], settings: ResolvedImages) -> list[str]:
    """A sentence where images of different sizes were brought to a size that nobody named."""
    sizes: dict[tuple[int, int], str] = {stack.image_shape: stack.source for stack in reversed(stacks)}
    if len(sizes) == 1:
        return []
    some = ", ".join(f"{rows} × {columns} ({sizes[rows, columns]})" for rows, columns in sorted(sizes)[:3])
    more = f" and {len(sizes) - 3} more" if len(sizes) > 3 else ""
    rows, columns = settings.size
    return [
        f"The images have {len(sizes)} sizes: {some}{more}; all were brought to the smallest sides, {rows} × "
        f"{columns}, and the larger lost detail. Name the scan's matrix with --size, or leave the small ones out."
    ]


def _spelled_out(recipe: Recipe, sensing: SensingModel, noise: NoiseModel, design: Any, images: Any) -> Recipe:
    """The recipe with every option of its components as they have decided it, and lists of units as units."""
    pattern = recipe.pattern
    network, designer = network_of(recipe, sensing, images), designer_of(recipe, design)
    return replace(
        recipe,
        sensing=with_options("sensing", recipe.sensing or Component(""), {**vars(sensing), **sensing.spec()}),
        noise=with_options("noise", recipe.noise or Component(""), noise.spec()),
        designer=with_options("designers", recipe.designer or Component(""), vars(designer)),
        reconstructor=with_options("reconstructors", recipe.reconstructor, network.spec()),
        pattern=replace(
            pattern,
            forbidden=units_text(parse_units(pattern.forbidden or "", sensing, "forbidden")),
            required=units_text(parse_units(pattern.required or "", sensing, "required")),
        ),
    )
