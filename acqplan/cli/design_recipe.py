"""From the flags of ``acqplan design`` to a recipe: a file's, a plan's or an empty one, with what the flags say."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from acqplan.cli.design_flags import SECTIONS, Given, flags_of
from acqplan.core.errors import RecipeError
from acqplan.plan.components import Component
from acqplan.plan.modality import Modality
from acqplan.plan.recipe import Recipe, TrainingSettings, reopened, with_preset
from acqplan.plan.recipe_text import from_toml


def recipe_from(modality: type[Modality], typed: dict[str, Any]) -> Recipe:
    """The recipe that the flags of a command say; ``typed`` holds their values by key, None says nothing.

    Raises
    ------
    RecipeError
        Flags that contradict each other, or a recipe or plan of another instrument.
    """
    recipe = _starting_recipe(modality.kind, typed["recipe"], typed["pattern_from"], typed["designer"])
    flags = {each.key: each for each in flags_of(modality)}
    given = {key: value for key, value in typed.items() if value is not None}
    if given.keys() & {"training.minutes", "training.steps"}:
        recipe = recipe.with_settings("training", minutes=None, steps=None, pace=None, stop_at=None)
    for section in SECTIONS:
        if section != "training":  # which a preset may change: flags come after it
            recipe = recipe.with_settings(section, **_settings(section, given))
    for part in ("designer", "reconstructor"):
        recipe = _with_kind(recipe, part, given.get(part))
    if "order" in given:
        recipe = recipe.with_settings("pattern", order=Component(given["order"]))
    recipe = recipe.with_settings("training", **_settings("training", given))
    for flag in modality.extra_flags:
        name = flag.name.removeprefix("--")
        if name in given:
            given = {**modality().read_flag(name, given[name], recipe), **given}
    for key, value in given.items():
        if key in flags and flags[key].option is not None:
            recipe = _with_option(recipe, flags[key], value)
    return replace(recipe, seed=given["seed"]) if "seed" in given else recipe


def _starting_recipe(modality: str, file: Path | None, plan: Path | None, designer: str | None) -> Recipe:
    """The recipe in ``file``, that of ``plan`` with its pattern given, or an empty one."""
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

    plan = Plan.load(path)
    resolved = plan.recipe
    if resolved.modality != modality:
        raise RecipeError(
            f"{path} is a plan for {resolved.modality}, the command designs for {modality}.",
            f"Use acqplan design {resolved.modality}.",
        )
    given = Component("from-plan", {"plan": str(path), "digest": plan.pattern.digest})
    return replace(reopened(resolved), designer=given, training=TrainingSettings()).with_settings("pattern", order=None)


def _settings(section: str, given: dict[str, Any]) -> dict[str, Any]:
    """What the flags say of a section, by name."""
    return {key.partition(".")[2]: value for key, value in given.items() if key.startswith(f"{section}.")}


def _with_kind(recipe: Recipe, part: str, text: str | None) -> Recipe:
    """The recipe with the component that ``KIND`` or ``KIND:PRESET`` names."""
    if text is None:
        return recipe
    kind, _, preset = text.partition(":")
    if getattr(recipe, part).kind != kind:
        chosen: dict[str, Any] = {part: Component(kind)}
        recipe = replace(recipe, **chosen)
    return with_preset(recipe, part, preset) if preset else recipe


def _with_option(recipe: Recipe, flag: Given, value: Any) -> Recipe:
    """The recipe with the option of a component that a flag stands for; others of the same kind stay."""
    option = flag.option
    assert option is not None
    present = recipe.pattern.order if option.part == "order" else getattr(recipe, option.part)
    kind = option.component or (present.kind if present is not None else "")
    kept = present.options if present is not None and present.kind == kind else {}
    component = Component(kind, {**kept, option.option: value})
    if option.part == "order":
        return recipe.with_settings("pattern", order=component)
    chosen: dict[str, Any] = {option.part: component}
    return replace(recipe, **chosen)
