"""What people type after a command: several values after one flag, sizes, times, ranges, options."""

from __future__ import annotations

import json
import re
from typing import Annotated, Any

import typer
from typer.core import TyperCommand

from acqplan.core.errors import RecipeError

ReadOptions = Annotated[
    list[str] | None,
    typer.Option(
        "--option",
        metavar="NAME=VALUE",
        help="How to read ACQUIRED, like sample_rate_hz=1e6; may be repeated. See docs/detector.md.",
    ),
]


class SeveralValues(TyperCommand):
    """A command whose flags of images take all the words up to the next flag: ``--images a b c``."""

    def parse_args(self, ctx: typer.Context, args: list[str]) -> list[str]:  # type: ignore[override, unused-ignore]
        for flag in ("--images", "--test-images", "--train-only"):
            args = repeat_flag(args, flag)
        return super().parse_args(ctx, args)


def repeat_flag(words: list[str], flag: str) -> list[str]:
    """``--images a b`` as ``--images a --images b``."""
    repeated: list[str] = []
    taking = 0
    for word in words:
        if word.startswith("-") and word != "-":
            taking = 1 if word == flag else 0
        elif taking:
            if taking > 1:
                repeated.append(flag)
            taking += 1
        repeated.append(word)
    return repeated


def examples(*calls: str) -> str:
    """An epilog of worked examples, one to a line."""
    return "\n\n".join(("Examples:", *(f"$ {call}" for call in calls)))


def micrometres(text: str | None) -> float | None:
    """``0.5um``, ``500nm``, ``0.001mm``, or a bare number of micrometres."""
    if text is None:
        return None
    match = re.fullmatch(r"\s*(\d+(?:\.\d*)?|\.\d+)\s*(nm|um|µm|mm|)\s*", text.lower().replace("μ", "µ"))
    if match is None or float(match[1]) == 0:
        raise RecipeError(f"The pixel size is {text!r}, expected a length.", "Write it like 0.5um.")
    return float(match[1]) * {"nm": 1e-3, "mm": 1e3}.get(match[2], 1.0)


def tile(text: str | None) -> tuple[int, int] | None:
    """``2,3`` -> (2, 3), row and column of a tile."""
    if text is None:
        return None
    match = re.fullmatch(r"\s*(\d+)\s*,\s*(\d+)\s*", text)
    if match is None:
        raise RecipeError(f"The tile is {text!r}, expected row,column.", "Write it like 0,2, counted from 0.")
    return int(match[1]), int(match[2])


def positions(text: str | None) -> list[float] | None:
    """``0.3`` or ``0.3,0.8`` -> [0.3, 0.8]."""
    if text is None:
        return None
    try:
        return [float(part) for part in text.split(",")]
    except ValueError as error:
        raise RecipeError(
            f"The knob is at {text!r}, expected numbers.", "Write it like --knob 0.3, or 0.3,0.8 for two."
        ) from error


def listed(text: str | None) -> list[str]:
    """``2x,4x,8x`` -> ["2x", "4x", "8x"]; nothing is an empty list."""
    return [word.strip() for word in (text or "").split(",") if word.strip()]


def options(texts: list[str] | None) -> dict[str, Any]:
    """``["scale=4", "device=1024x768"]`` -> {"scale": 4, "device": "1024x768"}; JSON values, else text."""
    table: dict[str, Any] = {}
    for text in texts or []:
        name, separator, value = text.partition("=")
        if not separator or not name.strip():
            raise RecipeError(f"The option {text!r} isn't written as name=value.", "Write it like scale=4.")
        try:
            table[name.strip().replace("-", "_")] = json.loads(value)
        except json.JSONDecodeError:
            table[name.strip().replace("-", "_")] = value
    return table
