"""Recipes as TOML, and back."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import fields, replace
from typing import Any

import tomli_w

from acqplan.core import registry
from acqplan.core.errors import RecipeError
from acqplan.plan.components import Component
from acqplan.plan.recipe import InstrumentSettings, PatternSettings, Recipe, order_options, refuse_foreign
from acqplan.plan.settings import converted, from_table, refuse_unknown, settings_of

_COMPONENTS = ("sensing", "noise", "designer", "reconstructor")
_ORDER = "order"  # a component that is written within the section [pattern]


def to_toml(recipe: Recipe) -> str:
    """TOML text; settings that are None are left out."""
    table: dict[str, Any] = {}
    for each in fields(Recipe):
        value = getattr(recipe, each.name)
        if isinstance(value, Component):
            table[each.name] = {"kind": value.kind, **value.options}
        elif each.name in Recipe.sections:
            written = _written(value, recipe.instrument, each.name)
            table[each.name] = {key: entry for key, entry in written.items() if entry is not None}
        elif value is not None and not isinstance(value, InstrumentSettings):
            table[each.name] = value
    return tomli_w.dumps(table)


def _written(section: Any, instrument: InstrumentSettings, name: str) -> dict[str, Any]:
    """A section's settings and the instrument's own that are written there, in the order in which they are."""
    shared = {key: getattr(section, key) for key in settings_of(type(section))}
    own = {key: each.place for key, each in settings_of(type(instrument)).items() if each.section == name}
    first: dict[str, Any] = {}
    if _ORDER in shared:
        order: Component | None = shared.pop(_ORDER)
        first = {} if order is None else {_ORDER: order.kind or None, **order.options}
    early = {key: getattr(instrument, key) for key, place in own.items() if place is not None and not place.last}
    late = {key: getattr(instrument, key) for key, place in own.items() if place is not None and place.last}
    return {**first, **early, **shared, **late}


def from_toml(text: str, source: str = "recipe") -> Recipe:
    """The recipe in TOML text; an unknown key raises `RecipeError` naming the nearest one."""
    try:
        table = tomllib.loads(text)
    except (ValueError, RecursionError) as error:  # also a number of thousands of digits, and tables without end
        raise RecipeError(f"{source} is no valid TOML: {error}.", "Mend the line it names.") from error
    for number in _whole_numbers(table):
        if not -(1 << 63) <= number < 1 << 63:
            raise RecipeError(
                f"{source} is no valid TOML: its whole numbers have 64 bits, and {number} doesn't fit.",
                "Write the number that is meant, or a decimal point into it.",
            )
    return from_dict(table, source)


def _whole_numbers(value: Any) -> Iterator[int]:
    """Those in a table, at any depth."""
    if isinstance(value, Mapping | list):
        for each in value.values() if isinstance(value, Mapping) else value:
            yield from _whole_numbers(each)
    elif isinstance(value, int):
        yield value


def from_dict(table: Mapping[str, Any], source: str = "recipe") -> Recipe:
    """The recipe in nested tables, as TOML gives them."""
    modalities = registry.kinds("modalities")
    if "modality" not in table:
        listed = " or ".join(f'"{kind}"' for kind in modalities)
        raise RecipeError(f"{source} doesn't say which modality.", f"Add modality = {listed}.")
    known = [each.name for each in fields(Recipe) if each.name != "instrument"]
    refuse_unknown(table, known, source)
    scalars = settings_of(Recipe)
    given = [name for name in ("modality", "seed") if name in table]
    values: dict[str, Any] = {name: converted(table[name], scalars[name], f"{source} {name}") for name in given}
    empty = Recipe(values["modality"])
    own: dict[str, Any] = {}
    for name in known:
        if name not in table or name in values:
            continue
        where = f"{source} [{name}]"
        if not isinstance(table[name], Mapping):
            raise RecipeError(f"{where} is {table[name]!r}, expected a table.", f"Write it as [{name}].")
        if name in _COMPONENTS:
            values[name] = _component(table[name], where)
        else:
            values[name] = _section(name, table[name], where, empty, own)
    return replace(empty, **values, instrument=replace(empty.instrument, **own))


def _component(table: Mapping[str, Any], where: str) -> Component:
    if not isinstance(table.get("kind"), str):
        raise RecipeError(f"{where} has no kind.", 'Add kind = "…".')
    return Component(table["kind"], {key: value for key, value in table.items() if key != "kind"})


def _section(name: str, table: Mapping[str, Any], where: str, empty: Recipe, own: dict[str, Any]) -> Any:
    """The shared settings of a section; those of the instrument are put into ``own``."""
    section = type(getattr(empty, name))
    settings = settings_of(section)
    instrument = {key: each for key, each in settings_of(type(empty.instrument)).items() if each.section == name}
    options = order_options() if section is PatternSettings else set()
    given: dict[str, Any] = {}
    for key, value in table.items():
        if key in instrument:
            own[key] = converted(value, instrument[key], f"{where} {key}")
            continue
        if key not in settings:
            refuse_foreign(key, name, empty.modality)
            refuse_unknown([key], [*settings, *instrument, *sorted(options - instrument.keys())], where)
        given[key] = value
    if section is PatternSettings:
        order = {key: given.pop(key) for key in list(given) if key in options or key == _ORDER}
        kind = order.pop(_ORDER, "")
        if not isinstance(kind, str):
            raise RecipeError(f"{where} {_ORDER} is {kind!r}, expected a text.", "Correct it.")
        pattern = from_table(section, given, where)
        return replace(pattern, order=Component(kind, order)) if kind or order else pattern
    return from_table(section, given, where)
