"""Limits that a plan has to keep under stress: ``acqplan stress PLAN --require stress.toml``.

[none]
min_psnr_db = 30          # as planned
[noise-2x]
max_loss_db = 3
max_loss_ssim = 0.05
[lesions]
min_kept = 0.5
max_false_per_100 = 1
"""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import msgspec

from acqplan.core.errors import RecipeError
from acqplan.workflow.stress import Stressed

LESIONS = "lesions"
_MOST_BYTES = 1 << 20


class RowLimits(msgspec.Struct, forbid_unknown_fields=True):
    """Of one stress; what is None isn't asked for. Losses are against the plan without stress."""

    min_psnr_db: float | None = None
    min_ssim: float | None = None
    max_loss_db: float | None = None
    max_loss_ssim: float | None = None


class LesionLimits(msgspec.Struct, forbid_unknown_fields=True):
    """Least mean contrast that is kept, and the most images of a hundred that may show a lesion that isn't there."""

    min_kept: float | None = None
    max_false_per_100: float | None = None


Limits = dict[str, RowLimits | LesionLimits]


def read_limits(path: str | Path) -> Limits:
    """The limits of a TOML file.

    Raises
    ------
    RecipeError
        A file that can't be read or holds no limits, a limit that there isn't, or a value that isn't a number.
    """
    try:
        with Path(path).open("rb") as stream:
            text = stream.read(_MOST_BYTES + 1)
        table = tomllib.loads(text.decode("utf-8"))
    except OSError as error:
        raise RecipeError(f"{path} can't be read: {error.strerror}.", "Name a TOML file of limits.") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise RecipeError(f"{path} is no TOML: {error}.", "Correct it; docs/stress.md has an example.") from error
    if len(text) > _MOST_BYTES or not table:
        raise RecipeError(f"{path} holds no limits, or more than a megabyte.", "See docs/stress.md for an example.")
    return {name: _limits(name, values, path) for name, values in table.items()}


def _limits(name: str, values: Any, path: str | Path) -> RowLimits | LesionLimits:
    kind: type[RowLimits] | type[LesionLimits] = LesionLimits if name == LESIONS else RowLimits
    try:
        return msgspec.convert(values, kind, strict=True)
    except msgspec.ValidationError as error:
        known = ", ".join(kind.__struct_fields__)
        raise RecipeError(f"[{name}] in {path}: {error}.", f"The limits there are {known}.") from error


def violations(stressed: Stressed, limits: Limits) -> list[str]:
    """A sentence for each limit that isn't kept.

    Raises
    ------
    RecipeError
        A limit of a stress that wasn't measured: of another instrument, or of images that weren't given.
    """
    rows = {row.name: row for row in stressed.rows}
    unknown = sorted(set(limits) - set(rows) - {LESIONS})
    if unknown:
        raise RecipeError(
            f"There are limits for {', '.join(unknown)}, which this plan wasn't put under.",
            f"Its stresses are {', '.join([*rows, LESIONS])}.",
        )
    found: list[str] = []
    for name, limit in limits.items():
        values = vars(stressed.lesions) if name == LESIONS else vars(rows[name])
        for key in limit.__struct_fields__:
            wanted = getattr(limit, key)
            if wanted is None:
                continue
            bound, quantity = key.split("_", 1)
            value = values[quantity]
            if value is None:
                found.append(
                    f"{name}: {quantity} is unknown, since no image has an even place; {wanted:g} is asked for."
                )
            elif (value < wanted) if bound == "min" else (value > wanted):
                word = "at least" if bound == "min" else "at most"
                found.append(f"{name}: {quantity} is {value:.4g}, {word} {wanted:g} is asked for.")
    return found
