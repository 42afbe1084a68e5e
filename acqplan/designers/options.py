"""Checks of the options that a recipe hands to a designer."""

from __future__ import annotations

import math

from acqplan.core.errors import RecipeError


def number_option(kind: str, name: str, value: object, *, least: float = 0.0, above: bool = False) -> float:
    """``value`` as a float: a finite number of at least ``least``, or greater than it if ``above``.

    Raises
    ------
    RecipeError
        It is no number, not finite or too small.
    """
    number = float(value) if isinstance(value, int | float) and not isinstance(value, bool) else math.nan
    if math.isfinite(number) and (number > least or (number == least and not above)):
        return number
    bound = f"greater than {least:g}" if above else f"of at least {least:g}"
    raise RecipeError(f"The {kind} option {name} is {value!r}.", f"Give a number {bound}.")


def count_option(kind: str, name: str, value: object, *, least: int = 1) -> int:
    """``value`` as a whole number of at least ``least``; anything else raises `RecipeError`."""
    if not isinstance(value, bool) and isinstance(value, int) and value >= least:
        return value
    raise RecipeError(f"The {kind} option {name} is {value!r}.", f"Give a whole number of at least {least}.")
