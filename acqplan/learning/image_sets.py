"""The images that a recipe names, split and prepared."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from acqplan.core.errors import RecipeError
from acqplan.core.following import Follower, unfollowed
from acqplan.core.seeding import stream_seed
from acqplan.images import ImageStack, TrainingImages, load_stacks, prepare, split
from acqplan.images.preparation import Preparation
from acqplan.images.samples import is_sample
from acqplan.images.split import Split
from acqplan.plan.modality import modality_named
from acqplan.plan.recipe import Recipe, ResolvedImages, ResolvedRecipe


def read_images(recipe: Recipe, preparing: Follower = unfollowed) -> list[ImageStack]:
    """The stacks that a recipe names, those that are only trained on as well."""
    chosen = recipe.images.slices
    if chosen is not None and len(chosen) != 2:
        raise RecipeError(f"slices is {chosen}, expected the first and the last slice.", "Give two numbers.")
    slices = None if chosen is None else (chosen[0], chosen[1] + 1)
    takes_intensities = modality_named(recipe.modality).takes_intensities
    return load_stacks(
        recipe.images.all_paths, slices=slices, require_non_negative=takes_intensities, progress=preparing
    )


def with_shares_of(recipe: Recipe, stacks: list[ImageStack], least_subjects: int) -> Recipe:
    """The recipe with shares that hold out, and validate by, so many subjects at least; as it is without enough."""
    own, _ = _told_apart(stacks, recipe)
    n_subjects, settings = len({stack.subject for stack in own}), recipe.images
    if least_subjects == 1 or n_subjects < 2 * least_subjects + 1:
        return recipe
    least = least_subjects / n_subjects
    held_out, validation = max(settings.held_out, least), max(settings.validation, least)
    return recipe.with_settings(
        "images", held_out=min(held_out, 1 - validation - 1 / n_subjects), validation=validation
    )


def training_images(
    recipe: Recipe, settings: ResolvedImages, stacks: list[ImageStack], preparing: Follower = unfollowed
) -> TrainingImages:
    """Split and prepare the stacks as the recipe says, with its image settings decided."""
    own, others = _told_apart(stacks, recipe)
    parts = split(
        own,
        settings.held_out,
        settings.validation,
        stream_seed(recipe.seed, "split"),
        tile_size=(settings.size[0], settings.size[1]) if settings.fit == "crop" else None,
        binning=settings.binning,
    )
    parts = replace(parts, train=(*parts.train, *others))
    return _prepared(recipe, settings, parts, modality_named(recipe.modality).preparation(recipe), progress=preparing)


def _told_apart(stacks: list[ImageStack], recipe: Recipe) -> tuple[list[ImageStack], list[ImageStack]]:
    """The stacks that are split by subject, and those of other subjects, which are only trained on.

    Copies of one image are of one subject by now (`load_stacks`): none gets into training beside a held-out one.
    """
    if not recipe.images.train_only:
        return stacks, []
    named = [
        path if is_sample(path) else Path(path).absolute() for path in recipe.images.paths
    ]  # links aren't followed

    def is_named(stack: ImageStack) -> bool:
        source = stack.source if is_sample(stack.source) else Path(stack.source).absolute()
        return any(source == path or (isinstance(source, Path) and path in source.parents) for path in named)

    subjects = {stack.subject for stack in stacks if is_named(stack)}
    own = [stack for stack in stacks if stack.subject in subjects]
    return own, [stack for stack in stacks if stack.subject not in subjects]


def evaluation_images(
    recipe: ResolvedRecipe,
    stacks: list[ImageStack],
    *,
    keep_empty: bool = False,
    one_receiver: bool = False,
    binning: int | None = None,
) -> TrainingImages:
    """Prepare all of the stacks as test images of a plan, with ``keep_empty`` empty ones too.

    ``one_receiver``: without maps of several receivers for every image. ``binning``: N x N pixels averaged into one;
    None: the images' own (`with_own_binning`).
    """
    settings = replace(recipe.images, binning=binning)
    stacks = [with_own_binning(stack, recipe) for stack in stacks]
    how = modality_named(recipe.modality).preparation(recipe, one_receiver=one_receiver)
    return _prepared(recipe, settings, Split((), (), tuple(stacks)), how, keep_empty)


def with_own_binning(stack: ImageStack, recipe: ResolvedRecipe) -> ImageStack:
    """The stack recommending the binning that a plan's images need to be seen as the plan sees them.

    It belongs to the images: that of a sample is the sample's own, and is no reason to bin a person's. Files are taken
    to be like those that the plan was made from.
    """
    trained_on = recipe.images.paths
    if stack.source not in trained_on:
        if stack.recommended_binning is not None:
            return stack
        if trained_on and all(is_sample(path) for path in trained_on):
            return replace(stack, recommended_binning=1)
    return replace(stack, recommended_binning=recipe.images.binning)


def _prepared(
    recipe: Recipe,
    settings: ResolvedImages,
    parts: Split,
    preparation: Preparation,
    keep_empty: bool = False,
    progress: Follower = unfollowed,
) -> TrainingImages:
    return prepare(
        parts,
        (settings.size[0], settings.size[1]),
        how=settings.fit,
        preparation=preparation,
        binning=settings.binning,
        seed=stream_seed(recipe.seed, "images"),
        keep_empty=keep_empty,
        progress=progress,
    )
