"""The settings of a sequence as a user gives them, checked."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import numpy.typing as npt

from acqplan.core.errors import InstrumentError

VERSIONS = {"1.5": "1.5.0", "1.4": "1.4.1"}
ORIENTATIONS: dict[str, list[list[float]]] = {
    "transverse": [[1, 0, 0], [0, 1, 0], [0, 0, 1]],
    "coronal": [[0, 1, 0], [0, 0, 1], [1, 0, 0]],
    "sagittal": [[0, 0, 1], [0, -1, 0], [1, 0, 0]],
}
"""Rotations by name: columns are the directions of readout, ky, and slice or kz on the scanner's x, y, z."""
SLICE_ORDERS = ("interleaved", "ascending", "sequential")


def number(name: str, value: Any, least: float = 1e-9) -> float:
    """A number of at least ``least``; `InstrumentError` if it is none."""
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if not is_number or not least <= value <= 1e6:
        raise InstrumentError(f"The setting {name} is {value!r}.", "Give a number in the unit that the name ends with.")
    return float(value)


def optional(name: str, value: Any) -> float | None:
    """`number`, or None."""
    return None if value is None else number(name, value)


def whole(name: str, value: Any, least: int) -> int:
    """A whole number of at least ``least``; `InstrumentError` if it is none."""
    if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= 10**6:
        raise InstrumentError(f"The setting {name} is {value!r}.", f"Give a whole number of at least {least}.")
    return value


def choice(name: str, value: Any, known: tuple[str, ...] | None) -> str:
    """A text, one of those ``known``; `InstrumentError` if it is none."""
    if not isinstance(value, str) or (known is not None and value not in known):
        hint = "Give a text." if known is None else f"Choose one of: {', '.join(known)}."
        raise InstrumentError(f"The setting {name} is {value!r}.", hint)
    return value


def field_of_view(value: Any) -> tuple[float, ...] | None:
    """Sides in mm, one for all axes or one for each; `InstrumentError` if they are none."""
    if value is None:
        return None
    sides = [value] if isinstance(value, (int, float)) else value
    if not isinstance(sides, (list, tuple)) or not 1 <= len(sides) <= 3:
        raise InstrumentError(f"The setting fov_mm is {value!r}.", "Write it like 220, [220,220] or [220,220,180].")
    return tuple(number("fov_mm", side) for side in sides)


def centre_of(value: Any) -> tuple[float, ...]:
    """(x, y, z) in mm; `InstrumentError` if it is none."""
    if not isinstance(value, (list, tuple)) or len(value) != 3:
        raise InstrumentError(f"The setting centre_mm is {value!r}.", "Write it like [0,-12.5,30]: x, y, z in mm.")
    return tuple(number("centre_mm", each, least=-1e4) for each in value)


def rotation_of(orientation: str, rotation: Any) -> npt.NDArray[np.float64]:
    """float64[3, 3], of an orientation's name or as given; `InstrumentError` if it is none."""
    if rotation is None:
        return np.array(ORIENTATIONS[choice("orientation", orientation, tuple(ORIENTATIONS))], dtype=np.float64)
    try:
        matrix = np.array(rotation, dtype=np.float64)
        is_rotation = matrix.shape == (3, 3) and np.allclose(matrix @ matrix.T, np.eye(3), atol=1e-6)
        is_rotation = is_rotation and np.linalg.det(matrix) > 0
    except (TypeError, ValueError):
        is_rotation = False
    if not is_rotation:
        raise InstrumentError(
            f"The setting rotation is {json.dumps(rotation, default=str)}.",
            "Give 3x3 numbers of determinant 1 whose orthonormal columns are readout, ky, slice on the scanner's axes.",
        )
    return matrix
