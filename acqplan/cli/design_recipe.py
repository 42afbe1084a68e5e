"""From the flags of ``acqplan design`` to a recipe: a file's, a plan's or an empty one, with what the flags say."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from acqplan.core.errors import RecipeError

if TYPE_CHECKING:
    from acqplan.plan.recipe import Recipe


def starting_recipe(modality: str, file: Path | None, plan: Path | None, designer: str | None) -> Recipe:
    """The recipe in ``file``, that of ``plan`` with its pattern given, or an empty one."""
    from acqplan.plan.recipe import Recipe, from_toml

    if plan is not None:
        if file is not None or designer is not None:
            raise RecipeError(
                "--pattern-from is given together with --recipe or --designer.",
                'Give one of them; in a recipe, write the designer from-plan with plan = "…".',
            )
        return _recipe_of(plan, modality)
    if file is None:
        return Recipe(modality)
    try:
        text = file.read_text(encoding="utf-8")
    except OSError as error:
        raise RecipeError(f"The recipe {file} can't be read: {error.strerror}.", "Check the name.") from error
    except UnicodeDecodeError as error:
        raise RecipeError(f"The recipe {file} is no text.", "Pass a TOML file; --dry-run prints one.") from error
    recipe = from_toml(text, str(file))
    if recipe.modality != modality:
        raise RecipeError(
            f"{file} is a recipe for {recipe.modality}, the command designs for {modality}.",
            f"Use acqplan design {recipe.modality}.",
        )
    return recipe


def _recipe_of(path: Path, modality: str) -> Recipe:
    """The recipe of a plan, with its pattern instead of a designer and with the training left open."""
    from acqplan.plan.plan import Plan
    from acqplan.plan.recipe import Component, TrainingSettings

    plan = Plan.load(path)
    recipe = plan.recipe
    if recipe.modality != modality:
        raise RecipeError(
            f"{path} is a plan for {recipe.modality}, the command designs for {modality}.",
            f"Use acqplan design {recipe.modality}.",
        )
    given = Component("from-plan", {"plan": str(path), "digest": plan.pattern.digest})
    recipe = recipe.with_settings("pattern", order=None, effective_echo=None, interleaves=None)
    return replace(recipe, designer=given, training=TrainingSettings())


def _given(settings: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in settings.items() if value is not None}


def with_flags(
    recipe: Recipe,
    *,
    images: dict[str, Any],
    budget: dict[str, Any],
    pattern: dict[str, Any],
    length: tuple[float | None, int | None],
    training: dict[str, Any],
    components: dict[str, str | None],
    seed: int | None,
) -> Recipe:
    """The recipe with what the flags say; None says nothing."""
    from acqplan.plan.recipe import Component, with_preset

    recipe = recipe.with_settings("images", **_given(images))
    recipe = recipe.with_settings("budget", **_given(budget))
    recipe = recipe.with_settings("pattern", **_given(pattern))
    if length != (None, None):
        recipe = recipe.with_settings("training", minutes=length[0], steps=length[1])
    for name, text in _given(components).items():
        kind, _, preset = text.partition(":")
        if getattr(recipe, name).kind != kind:
            chosen: dict[str, Any] = {name: Component(kind)}
            recipe = replace(recipe, **chosen)
        if preset:
            recipe = with_preset(recipe, name, preset)
    recipe = recipe.with_settings("training", **_given(training))
    return recipe if seed is None else replace(recipe, seed=seed)


def with_component(recipe: Recipe, name: str, kind: str, **options: Any) -> Recipe:
    """The recipe with some options of a component that flags stand for; others of the same kind stay."""
    from acqplan.plan.recipe import Component

    given = _given(options)
    if not given:
        return recipe
    present = getattr(recipe, name)
    kept = present.options if present is not None and present.kind == kind else {}
    chosen: dict[str, Any] = {name: Component(kind, {**kept, **given})}
    return replace(recipe, **chosen)
