"""Options of the DMD's formats as a user gives them, checked."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from acqplan.core.errors import InstrumentError
from acqplan.core.files import readable
from acqplan.modalities.dmd.formats.dmd_frames import Mirrors

_MOST = (1 << 31) - 1
_LARGEST = 1e300  # whole numbers beyond what a float holds are no numbers here


def number(name: str, value: Any) -> float:
    """A finite number; `InstrumentError` if it is none."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) <= _LARGEST:
        raise InstrumentError(f"The DMD setting {name} is {value!r}.", "Give a number.")
    return value


def positive(name: str, value: Any) -> float:
    """A number above 0; `InstrumentError` if it is none."""
    if number(name, value) <= 0:
        raise InstrumentError(f"The DMD setting {name} is {value!r}.", "Give a number above 0.")
    return float(value)


def whole(name: str, value: Any, least: int | None = None) -> int:
    """A whole number; `InstrumentError` if it is none, less than ``least``, or beyond what 32 bits hold."""
    if (
        isinstance(value, bool)
        or not isinstance(value, int)
        or not (-_MOST if least is None else least) <= value <= _MOST
    ):
        raise InstrumentError(
            f"The DMD setting {name} is {value!r}.",
            "Give a whole number." if least is None else f"Give a whole number from {least}.",
        )
    return value


def switch(name: str, value: Any) -> bool:
    """on or off, true or false; `InstrumentError` if it is none of them."""
    if isinstance(value, bool):
        return value
    if value not in ("on", "off"):
        raise InstrumentError(f"The DMD setting {name} is {value!r}.", "Give on or off.")
    return bool(value == "on")


def mirrors(given: Any) -> Mirrors:
    """(column, row) of each, ascending; from a list, or a text file with one ``column,row`` a line."""
    how = "Give [column, row] of each, counted from 0 at the top left, or a text file with one column,row a line."
    if isinstance(given, str):
        path = Path(given)
        with readable(path, InstrumentError, how):
            lines = [line.split("#")[0].strip() for line in path.read_text(encoding="utf-8-sig").splitlines()]
            given = [[int(part) for part in line.split(",")] for line in lines if line]
    try:
        pairs = [tuple(int(value) for value in mirror) for mirror in given]
    except (TypeError, ValueError) as error:
        raise InstrumentError(f"The DMD setting dead_mirrors is {str(given)[:80]}.", how) from error
    if any(len(pair) != 2 or min(pair) < 0 for pair in pairs):
        raise InstrumentError(f"The DMD setting dead_mirrors is {str(given)[:80]}.", how)
    return tuple(sorted({(pair[0], pair[1]) for pair in pairs}))
