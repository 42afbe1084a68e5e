"""What a person types for a setting: sizes, times, powers, shares, ranges, weighted lists.

Each function takes the text and the flag that it was given with; a text that can't be read is a `RecipeError`.
"""

from __future__ import annotations

import re

from acqplan.core.errors import RecipeError

_SECONDS = {"us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "min": 60.0}


def size(text: str, flag: str) -> list[int]:
    """``128x96`` -> [128, 96], rows and columns."""
    match = re.fullmatch(r"\s*(\d+)\s*[x×*,]\s*(\d+)\s*", text.lower())
    if match is None or not (int(match[1]) and int(match[2])):
        raise RecipeError(f"The size is {text!r}, expected rows x columns.", "Write it like 128x128.")
    return [int(match[1]), int(match[2])]


def seconds(text: str, flag: str) -> float:
    """``5ms``, ``20us``, ``0.5 s``, or a bare number of milliseconds, in seconds."""
    match = re.fullmatch(r"\s*(\d+(?:\.\d*)?|\.\d+)\s*([a-zµ]*)\s*", text.lower().replace("μ", "µ"))
    unit = (match[2] or "ms") if match else ""
    if match is None or unit not in _SECONDS or float(match[1]) == 0:
        raise RecipeError(f"{flag} is {text!r}, expected a time.", f"Write it like {flag} 5ms or {flag} 20us.")
    return float(match[1]) * _SECONDS[unit]


def watts(text: str, flag: str) -> float:
    """``2mW``, ``150uW``, ``0.1 W`` in watts."""
    match = re.fullmatch(r"\s*(\d+(?:\.\d*)?|\.\d+)\s*([munµ]?)w\s*", text.lower().replace("μ", "µ"))
    if match is None or float(match[1]) == 0:
        raise RecipeError(f"{flag} is {text!r}, expected a power.", f"Write it like {flag} 2mW or {flag} 150uW.")
    return float(match[1]) * {"": 1.0, "m": 1e-3, "u": 1e-6, "µ": 1e-6, "n": 1e-9}[match[2]]


def share(text: str, flag: str) -> float:
    """``6/8``, ``0.75`` or ``75%`` -> 0.75."""
    match = re.fullmatch(r"\s*(\d+(?:\.\d*)?|\.\d+)\s*(?:(%)|/\s*(\d+))?\s*", text)
    divisor = 1 if match is None else 100 if match[2] else int(match[3] or 1)
    if match is None or divisor == 0:
        raise RecipeError(f"{flag} is {text!r}, expected a share.", f"Write it like {flag} 6/8 or {flag} 0.75.")
    return float(match[1]) / divisor


def slices(text: str, flag: str) -> list[int]:
    """``40-120`` (or ``40:120``) -> [40, 120], first and last, both included."""
    match = re.fullmatch(r"\s*(\d+)\s*[-:]\s*(\d+)\s*", text)
    if match is None or int(match[1]) > int(match[2]):
        raise RecipeError(
            f"The slices are {text!r}, expected the first and the last.", "Write them like 40-120, counted from 0."
        )
    return [int(match[1]), int(match[2])]


def whole_span(text: str, flag: str) -> list[int]:
    """``8`` -> [8, 8]; ``1-16`` (or ``1:16``) -> [1, 16], the least and the most."""
    match = re.fullmatch(r"\s*(\d+)\s*(?:[-:]\s*(\d+)\s*)?", text)
    least, most = (int(match[1]), int(match[2] or match[1])) if match else (1, 0)
    if least > most:
        raise RecipeError(
            f"{flag} is {text!r}, expected a whole number, or two, ascending.",
            f"Write it like {flag} 8 or {flag} 1-16.",
        )
    return [least, most]


def span(text: str, flag: str) -> list[float]:
    """``0.25-4`` (or ``0.25:4``) -> [0.25, 4.0], the least and the most."""
    match = re.fullmatch(r"\s*(\d+(?:\.\d*)?|\.\d+)\s*[-:]\s*(\d+(?:\.\d*)?|\.\d+)\s*", text)
    if match is None or not 0 < float(match[1]) <= float(match[2]):
        raise RecipeError(
            f"{flag} is {text!r}, expected two positive numbers, ascending.", f"Write it like {flag} 0.25-4."
        )
    return [float(match[1]), float(match[2])]


def weights(texts: list[str], flag: str) -> dict[str, float]:
    """``["mse", "tv=0.005"]`` -> {"mse": 1.0, "tv": 0.005}."""
    table: dict[str, float] = {}
    for text in texts:
        kind, separator, value = text.partition("=")
        try:
            weight = float(value) if separator else 1.0
        except ValueError:
            weight = -1.0
        if not (0 <= weight < float("inf")):
            raise RecipeError(f"The loss {text!r} has no weight of at least 0.", "Write it like mse or tv=0.005.")
        if kind in table:
            raise RecipeError(f"The loss {kind!r} is given twice.", "Give each once.")
        table[kind] = weight
    return table
