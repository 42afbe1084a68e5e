"""The measurement budget: what a person types, resolved to an exact count."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from fractions import Fraction

from acqplan.errors import BudgetError

_REMEDY = (
    "Write an acceleration (4x), a share (25%), a count (64 or '64 lines'), "
    "or a time (2min30s, with the repetition or picture time)."
)
_NUMBER = r"(\d+(?:\.\d+)?|\.\d+)"
_TIME_PART = re.compile(_NUMBER + r"\s*(ms|hours?|hrs?|h|minutes?|mins?|min|m|seconds?|secs?|s)\s*")
_THOUSANDS = re.compile(r"(?<=\d),(?=\d{3}(?!\d))")  # the comma of 1,024, not that of 2,5x
_SECONDS = {"h": Fraction(3600), "m": Fraction(60), "s": Fraction(1), "ms": Fraction(1, 1000)}


@dataclass(frozen=True)
class Budget:
    """How many readings the instrument takes; an exact count, calibration included.

    Parameters
    ----------
    n_readings
        Number of catalogue units acquired, repeats and calibration included.
    n_units
        Size of the catalogue.
    n_calibration
        Units in the calibration region; they count in ``n_readings``.
    reading_time_s
        Time per reading in seconds (repetition time; for a ± pair the time of both frames),
        or None if it isn't known.
    """

    n_readings: int
    n_units: int
    n_calibration: int = 0
    reading_time_s: float | None = None

    def __post_init__(self) -> None:
        if self.n_readings < 1:
            raise BudgetError("The budget comes to no reading at all.", _REMEDY)
        if self.n_readings > self.n_units:
            raise BudgetError(
                f"The budget of {self.n_readings} is more than the {self.n_units} that there are to measure.",
                f"Give at most {self.n_units}.",
            )
        if self.n_calibration > self.n_readings:
            raise BudgetError(
                f"The calibration region takes {self.n_calibration} readings, the whole budget is {self.n_readings}.",
                "Give a larger budget or a smaller calibration region.",
            )
        if self.reading_time_s is not None and not self.reading_time_s > 0:
            raise BudgetError(f"The time per reading is {self.reading_time_s} s.", "Give a positive time.")

    @property
    def acceleration(self) -> float:
        """Catalogue size over readings: 4.0 means that a quarter is measured."""
        return self.n_units / self.n_readings

    @property
    def fraction(self) -> float:
        """Readings over catalogue size."""
        return self.n_readings / self.n_units

    @property
    def acquisition_time_s(self) -> float | None:
        """Total time in seconds, or None where the time per reading isn't known."""
        return None if self.reading_time_s is None else self.n_readings * self.reading_time_s

    def spec(self) -> dict[str, int | float | None]:
        """Constructor arguments, JSON-ready."""
        return {
            "n_readings": self.n_readings,
            "n_units": self.n_units,
            "n_calibration": self.n_calibration,
            "reading_time_s": self.reading_time_s,
        }


def _time_in_seconds(text: str) -> Fraction | None:
    """``2min30s`` -> 150; None if the text is no time."""
    position, total, found = 0, Fraction(0), False
    while position < len(text):
        part = _TIME_PART.match(text, position)
        if part is None:
            return None
        unit = part.group(2)
        total += Fraction(part.group(1)) * _SECONDS["ms" if unit == "ms" else unit[0]]
        position, found = part.end(), True
    return total if found else None


def parse_budget(
    text: str,
    *,
    n_units: int,
    n_calibration: int = 0,
    unit_name: str = "unit",
    frames_per_unit: int = 1,
    frame_time_s: float | None = None,
) -> Budget:
    """Resolve what a person types to an exact `Budget`.

    ``4x``, ``25%``, ``64``, ``64 lines`` (the sensing model's ``unit_name``, singular or plural),
    ``1024 frames`` (where a unit shows several), ``2min30s`` (needs ``frame_time_s``). Shares that
    don't come out even are rounded *down*: a budget is never exceeded.

    Raises
    ------
    BudgetError
        The text can't be parsed, or the count is zero, beyond the catalogue or below the calibration.
    """
    reading_time_s = None if frame_time_s is None else frame_time_s * frames_per_unit
    if reading_time_s is not None and not 0 < reading_time_s < math.inf:
        raise BudgetError(f"The time per frame is {frame_time_s} s.", "Give a positive time.")
    cleaned = _THOUSANDS.sub("", text.strip().lower())
    count: Fraction
    if match := re.fullmatch(_NUMBER + r"\s*x", cleaned):
        acceleration = Fraction(match.group(1))
        if acceleration < 1:
            raise BudgetError(f"An acceleration of {text!r} measures more than everything.", _REMEDY)
        count = n_units / acceleration
    elif match := re.fullmatch(_NUMBER + r"\s*%", cleaned):
        count = n_units * Fraction(match.group(1)) / 100
    elif match := re.fullmatch(r"(\d+)(?:\s*([a-z][a-z-]*))?", cleaned):
        count = Fraction(match.group(1))
        name = match.group(2)
        if name in ("frame", "frames"):
            if count % frames_per_unit:
                raise BudgetError(
                    f"{count} frames can't be made of {unit_name}s of {frames_per_unit} frames each.",
                    f"Give a multiple of {frames_per_unit}.",
                )
            count /= frames_per_unit
        elif name not in (None, unit_name, f"{unit_name}s"):
            return _parse_time(text, cleaned, n_units, n_calibration, reading_time_s)
    else:
        return _parse_time(text, cleaned, n_units, n_calibration, reading_time_s)
    if count > 0 and int(count) == 0:
        raise BudgetError(f"The budget {text!r} comes to less than one {unit_name} of {n_units}.", _REMEDY)
    return Budget(int(count), n_units, n_calibration, reading_time_s)


def _parse_time(text: str, cleaned: str, n_units: int, n_calibration: int, reading_time_s: float | None) -> Budget:
    seconds = _time_in_seconds(cleaned)
    if seconds is None:
        raise BudgetError(f"The budget {text!r} can't be understood.", _REMEDY)
    if reading_time_s is None:
        raise BudgetError(
            f"The budget {text!r} is a time, and the time per reading isn't known.",
            "Give the repetition time (MRI: --tr) or the picture time (DMD: --picture-time).",
        )
    count = int(seconds / Fraction(str(reading_time_s)))
    if seconds > 0 and count == 0:
        raise BudgetError(f"The budget {text!r} is shorter than one reading of {reading_time_s} s.", _REMEDY)
    return Budget(min(count, n_units), n_units, n_calibration, reading_time_s)
