"""Typed settings: one declaration gives a setting its recipe key, type, range, flag and help.

A section of a recipe is a frozen dataclass whose fields are annotated with their range (`msgspec.Meta`) and, where the
command line offers them, with a `Flag`:

    steps: Annotated[Annotated[int, Meta(ge=1)] | None, Flag("--steps", "Training", "How many steps.")] = None
"""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, fields
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

import msgspec

from acqplan.core.errors import RecipeError

GOAL, PATTERN, IMAGES, TRAINING, RUN = "What to plan", "Pattern", "Images", "Training", "This run"
"""Panels of ``acqplan design --help``."""

_WORDS: dict[Any, str] = {
    str: "a text",
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    list: "a list",
    dict: "a table",
}
_PLURALS = {str: "texts", int: "whole numbers", float: "numbers"}


@dataclass(frozen=True)
class Flag:
    """How a setting is given on the command line.

    Parameters
    ----------
    name
        ``--steps``; of a switch ``--on/--off``.
    panel
        Where its help stands: `GOAL`, `PATTERN`, `IMAGES`, `TRAINING`, `RUN`.
    help
        One sentence.
    metavar
        What the help shows for its value, or None for the type's name.
    reads
        From what a person types, and the flag's name, to the value; None where the value is typed as it is.
    """

    name: str
    panel: str
    help: str
    metavar: str | None = None
    reads: Callable[[Any, str], Any] | None = None


@dataclass(frozen=True)
class In:
    """Names the section of the recipe that a setting of one instrument is written in.

    ``last``: after the settings that every instrument has, not before them.
    """

    section: str
    last: bool = False


@dataclass(frozen=True)
class Setting:
    """What a field declares of itself.

    ``hint`` is its type without None; ``place`` where it is written, of an instrument's own settings only.
    """

    name: str
    hint: Any
    flag: Flag | None
    place: In | None = None

    @property
    def section(self) -> str | None:
        """The section that an instrument's own setting is written in."""
        return None if self.place is None else self.place.section

    @property
    def plain_type(self) -> Any:
        """The type without its range."""
        return _plain(self.hint)


_known: dict[type[Any], dict[str, Setting]] = {}


def settings_of(section: type[Any]) -> dict[str, Setting]:
    """The settings of a section, by name, in the order of its fields."""
    if section not in _known:
        _known[section] = _settings_of(section)
    return _known[section]


def _settings_of(section: type[Any]) -> dict[str, Setting]:
    hints = get_type_hints(section, include_extras=True)
    return {each.name: _setting(each.name, hints[each.name]) for each in fields(section)}


def _setting(name: str, hint: Any) -> Setting:
    flag, place = None, None
    if get_origin(hint) is Annotated:
        for extra in hint.__metadata__:
            flag = extra if isinstance(extra, Flag) else flag
            place = extra if isinstance(extra, In) else place
        kept = tuple(extra for extra in hint.__metadata__ if not isinstance(extra, Flag | In))
        hint = Annotated[(hint.__origin__, *kept)] if kept else hint.__origin__
    if get_origin(hint) in (Union, UnionType):
        (hint,) = (part for part in get_args(hint) if part is not NoneType)
    return Setting(name, hint, flag, place)


S = TypeVar("S")


def converted(value: Any, setting: Setting, where: str) -> Any:
    """``value`` as the setting's type (an int fits a float); `RecipeError` where it has another type or range."""
    if value is None:
        return None
    try:
        _refuse_infinite(value)
        return msgspec.convert(value, setting.hint, strict=True)
    except (msgspec.ValidationError, ValueError) as error:
        at, found, hint = _place(str(error), value, setting.hint)
        raise RecipeError(f"{where}{at} is {found!r}, expected {_expected(hint)}.", "Correct it.") from error


def check_section(section: Any, where: str) -> None:
    """Raise `RecipeError` unless each setting of a section has its type and lies in its range."""
    for name, setting in settings_of(type(section)).items():
        converted(getattr(section, name), setting, f"{where} {name}")


def from_table(section: type[S], table: Mapping[str, Any], where: str) -> S:
    """A section from a table, as TOML gives it.

    Raises
    ------
    RecipeError
        An unknown key, naming the nearest, or a value of another type or beyond its range.
    """
    known = settings_of(section)
    refuse_unknown(table, known, where)
    return section(**{key: converted(value, known[key], f"{where} {key}") for key, value in table.items()})


def refuse_unknown(given: Iterable[str], known: Iterable[str], where: str) -> None:
    """Raise `RecipeError` for the first name that isn't known, naming the nearest that is."""
    names = list(known)
    for key in given:
        if key not in names:
            near = difflib.get_close_matches(key, names, n=1, cutoff=0.4)
            hint = f"Did you mean {near[0]!r}? " if near else ""
            raise RecipeError(f"{where} has an unknown key {key!r}.", f"{hint}Known: {', '.join(names) or 'none'}.")


def _plain(hint: Any) -> Any:
    return _plain(hint.__origin__) if get_origin(hint) is Annotated else hint


def _refuse_infinite(value: Any) -> None:
    entries = value.values() if isinstance(value, Mapping) else value if isinstance(value, list | tuple) else [value]
    if any(isinstance(entry, float) and not math.isfinite(entry) for entry in entries):
        raise ValueError("not finite")


def _place(message: str, value: Any, hint: Any) -> tuple[str, Any, Any]:
    """(key within the value, what is there, its type) of the fault that msgspec names by a path such as ``$[1]``."""
    path = re.search(r"`\$([^`]*)`$", message)
    at = ""
    for index in re.findall(r"\[(\d+|\.\.\.)\]", path[1] if path else ""):
        inner = get_args(_plain(hint))[-1]
        if index == "...":  # somewhere in a table
            wrong = next((key for key, entry in value.items() if not _fits(entry, inner)), None)
            at, value, hint = f".{wrong}", value.get(wrong), inner
        else:
            value, hint = value[int(index)], inner
    return at, value, hint


def _fits(value: Any, hint: Any) -> bool:
    try:
        msgspec.convert(value, hint, strict=True)
    except msgspec.ValidationError:
        return False
    return True


def _expected(hint: Any) -> str:
    """``a whole number of at least 1``."""
    plain, limits = _plain(hint), hint.__metadata__ if get_origin(hint) is Annotated else ()
    if get_origin(plain) is Literal:
        return " or ".join(map(str, get_args(plain)))
    if get_origin(plain) is not None:
        inner = _PLURALS[_plain(get_args(plain)[-1])]
        words = f"{_WORDS[get_origin(plain)]} of {inner}"
    else:
        words = _WORDS[plain]
    for limit in limits:
        bounds = [
            f"{said} {getattr(limit, name):g}"
            for name, said in (("gt", "above"), ("ge", "of at least"), ("lt", "below"), ("le", "of at most"))
            if getattr(limit, name, None) is not None
        ]
        words += f" {' and '.join(bounds)}" if bounds else ""
        if getattr(limit, "min_length", None) is not None:
            words += f", {limit.min_length} of them"
    return words
