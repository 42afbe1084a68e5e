"""From the flags of ``acqplan design`` to a recipe: a file's, a plan's or an empty one, with what the flags say."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from acqplan.cli.design_flags import SECTIONS, Given, flags_of
from acqplan.core.errors import RecipeError
from acqplan.plan.components import Component
from acqplan.plan.modality import Modality
from acqplan.plan.recipe import Recipe, with_preset
from acqplan.plan.recipe_text import from_toml

_OPEN = {
    *(
        "adapt_from",
        "seed",
        "images.paths",
        "images.fit",
        "images.slices",
        "images.binning",
        "images.held_out",
        "images.train_only",
    ),
    *("training.minutes", "training.steps", "training.threads", "training.device", "training.noise_range"),
}
"""What may be said of the adaptation of a plan, beside the noise that it is for."""


def recipe_from(modality: type[Modality], typed: dict[str, Any]) -> Recipe:
    """The recipe that the flags of a command say; ``typed`` holds their values by key, None says nothing.

    Raises
    ------
    RecipeError
        Flags that contradict each other, or a recipe or plan of another instrument.
    """
    flags = {each.key: each for each in flags_of(modality)}
    given = {key: value for key, value in typed.items() if value is not None}
    recipe = _starting_recipe(modality, given, flags)
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
    for key, value in given.items():
        if flags[key].option is not None:
            recipe = _with_option(recipe, flags[key], value)
    for flag in modality.extra_flags:  # what they stand for may depend on all the rest
        name = flag.name.removeprefix("--")
        stands_for = modality().read_flag(name, given[name], recipe) if name in given else {}
        if "adapt_from" in given:
            _check_adapting([(flag.name, key) for key in stands_for])
        for key, value in stands_for.items():
            if key in given:
                continue
            if key in flags and flags[key].option is not None:
                recipe = _with_option(recipe, flags[key], value)
            else:
                section, _, setting = key.partition(".")
                recipe = recipe.with_settings(section, **{setting: value})
    return replace(recipe, seed=given["seed"]) if "seed" in given else recipe


def _starting_recipe(modality: type[Modality], given: dict[str, Any], flags: dict[str, Given]) -> Recipe:
    """The recipe of a file, that of a plan with its pattern given, or an empty one."""
    if "adapt_from" in given:
        from acqplan.learning.on_pattern import adapting  # torch takes a second that a recipe's file doesn't need

        extra = {flag.name.removeprefix("--") for flag in modality.extra_flags}
        _check_adapting([(flags[key].flag.name, key) for key in given if key not in extra])
        if "images.paths" not in given:
            raise RecipeError("There are no images to adapt the plan to.", "Add --images with images of your own.")
        return adapting(given["adapt_from"], modality.kind)
    if "pattern_from" in given:
        if given.keys() & {"recipe", "designer"}:
            raise RecipeError(
                "--pattern-from is given together with --recipe or --designer.",
                'Give one of them; in a recipe, write the designer from-plan with plan = "…".',
            )
        from acqplan.learning.on_pattern import on_pattern_of

        return on_pattern_of(given["pattern_from"], modality.kind)
    file: Path | None = given.get("recipe")
    if file is None:
        return Recipe(modality.kind)
    try:
        text = file.read_text(encoding="utf-8")
    except OSError as error:
        raise RecipeError(f"The recipe {file} can't be read: {error.strerror}.", "Check the name.") from error
    except UnicodeDecodeError as error:
        raise RecipeError(f"The recipe {file} is no text.", "Pass a TOML file; --dry-run prints one.") from error
    recipe = from_toml(text, str(file))
    if recipe.modality != modality.kind:
        raise RecipeError(
            f"{file} is a recipe for {recipe.modality}, the command designs for {modality.kind}.",
            f"Use acqplan design {recipe.modality}.",
        )
    return recipe


def _check_adapting(asked: list[tuple[str, str]]) -> None:
    """Raise `RecipeError` for flags, each with what it stands for, that ask for another measurement or network."""
    decided = [flag for flag, key in asked if key not in _OPEN and not key.startswith("noise.")]
    if decided:
        raise RecipeError(
            f"--from is given together with {', '.join(dict.fromkeys(decided))}.",
            "Leave that out: pattern, budget and network are those of the plan. A new design takes --base or "
            "--pattern-from.",
        )


def _settings(section: str, given: dict[str, Any]) -> dict[str, Any]:
    """What the flags say of a section, by name."""
    return {key.partition(".")[2]: value for key, value in given.items() if key.startswith(f"{section}.")}


def _with_kind(recipe: Recipe, part: str, text: str | None) -> Recipe:
    """The recipe with the component that ``KIND`` or ``KIND:PRESET`` names."""
    if text is None:
        return recipe
    kind, _, preset = text.partition(":")
    present: Component | None = getattr(recipe, part)
    if present is None or present.kind != kind:
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
