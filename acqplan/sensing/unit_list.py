"""Lists of catalogue units as people write them: in a command, in a recipe or in a file."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import numpy.typing as npt

from acqplan.core import npy
from acqplan.core.errors import RecipeError
from acqplan.sensing.model import SensingModel

_RANGE = r"(?:\*|\d+(?:-\d+)?)"
_ITEM = re.compile(rf"{_RANGE}(?::{_RANGE})*")
_MOST_BYTES = 1 << 24
_MOST_DIGITS = 9
UnitArray = npt.NDArray[np.int32]


def parse_units(text: str, sensing: SensingModel, what: str) -> UnitArray:
    """int32[n], ascending and distinct: the units that ``text`` names.

    ``text`` is a list, separated by commas or white space, or the name of a file. An item is a unit (``12``), a range
    with both ends included (``0-3``), or, on a catalogue of two axes, a position (``3:5``, ky and kz) in
    which each axis may be a range or ``*`` for all of it. A text file holds such items, with comments after #; a
    ``.npy`` file a mask bool[*grid_shape], units int[n], or positions int[n, axes].

    Raises
    ------
    RecipeError
        No such list, no such file, or a unit outside the catalogue; ``what`` says in the message which list.
    """
    items = _items(text)
    if items is not None:
        return _units_of(items, sensing, what)
    path = Path(text)
    try:
        if path.stat().st_size > _MOST_BYTES:
            raise RecipeError(f"The list of {what} units {path} is too large to be one.", "Check the name.")
        if path.suffix.lower() == ".npy":
            return _units_of_array(npy.load_array(path, _MOST_BYTES), sensing, what)
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError, ValueError) as error:
        raise RecipeError(
            f"The {what} units {text!r} are no list, and no file that can be read: {error}.",
            "Write units like 0-3,60 (or ky:kz positions like 3:5), or name a file that holds them.",
        ) from error
    items = _items(" ".join(line.partition("#")[0] for line in lines))
    if items is None:
        raise RecipeError(f"{path} is no list of units.", "Write one unit, range or ky:kz position per line.")
    return _units_of(items, sensing, what)


def units_text(units: npt.NDArray[np.integer]) -> str:
    """``0-3,60``: ascending distinct units as ranges; `parse_units` reads it back."""
    if units.size == 0:
        return ""
    breaks = np.flatnonzero(np.diff(units) != 1)
    firsts, lasts = units[np.r_[0, breaks + 1]], units[np.r_[breaks, units.size - 1]]
    return ",".join(f"{a}" if a == b else f"{a}-{b}" for a, b in zip(firsts.tolist(), lasts.tolist(), strict=True))


def _items(text: str) -> list[str] | None:
    """The items of a list, or None where it isn't one."""
    items = re.split(r"[,\s]+", text.strip().strip(","))
    items = [item for item in items if item]
    return items if all(_ITEM.fullmatch(item) for item in items) else None


def _units_of(items: list[str], sensing: SensingModel, what: str) -> UnitArray:
    chosen = np.zeros(sensing.grid_shape, dtype=bool)
    for item in items:
        parts = item.split(":")
        if len(parts) == 1:
            chosen.reshape(-1)[_slice(item, sensing.n_units, item, what)] = True
        elif len(parts) == len(sensing.grid_shape):
            chosen[tuple(_slice(p, n, item, what) for p, n in zip(parts, sensing.grid_shape, strict=True))] = True
        else:
            grid = "x".join(map(str, sensing.grid_shape))
            raise RecipeError(
                f"The {what} position {item} has {len(parts)} axes, the catalogue is {grid}.", "Give one for each axis."
            )
    return np.flatnonzero(chosen).astype(np.int32)


def _slice(text: str, n: int, item: str, what: str) -> slice:
    if text == "*":
        return slice(0, n)
    ends = [int(end[:_MOST_DIGITS]) if len(end) <= _MOST_DIGITS else n for end in text.split("-")]
    first, last = ends[0], ends[-1]
    if first > last or last >= n:
        raise RecipeError(f"The {what} units {item} lie outside 0 to {n - 1}.", "Units are counted from 0.")
    return slice(first, last + 1)


def _units_of_array(array: npt.NDArray[np.generic], sensing: SensingModel, what: str) -> UnitArray:
    grid = sensing.grid_shape
    if array.dtype == np.bool_ and array.shape == grid:
        return np.flatnonzero(array).astype(np.int32)
    if array.dtype.kind in "iu" and array.ndim in (1, 2):
        positions = array.astype(np.int64)
        sizes = np.array([sensing.n_units] if array.ndim == 1 else grid)
        fits = array.ndim == 1 or array.shape[1] == len(grid)
        if fits and (positions >= 0).all() and (positions < sizes).all():
            flat = positions if array.ndim == 1 else np.ravel_multi_index(list(positions.T), grid)
            return np.unique(flat).astype(np.int32)
    raise RecipeError(
        f"The {what} units are an array of {array.dtype} with shape {array.shape}.",
        f"Give a mask bool{list(grid)}, units from 0 to {sensing.n_units - 1}, or positions int[n, {len(grid)}].",
    )
