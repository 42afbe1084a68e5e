"""The measurement budget: what a person types, resolved to an exact count."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from fractions import Fraction

from acqplan.core.errors import BudgetError

_REMEDY = "Write an acceleration (4x), a share (25%), a count (64), or a time (2min30s, with the time of a reading)."
_NUMBER = r"(\d+(?:\.\d+)?|\.\d+)"
_TIME_PART = re.compile(_NUMBER + r"\s*(ms|hours?|hrs?|h|minutes?|mins?|min|m|seconds?|secs?|s)\s*")
_EXPONENT = r"((?:\d+(?:\.\d+)?|\.\d+)(?:e[+-]?\d{1,2})?)"
_PHOTONS = re.compile(_EXPONENT + r"\s*(?:photons?|photo-?electrons?|electrons?)")
_ENERGY = re.compile(_EXPONENT + r"\s*([munµμ]?)j")
_LIGHT = re.compile(r"(.+?)\s*(?:of\s+)?light")
_PREFIX = {"": Fraction(1), "m": Fraction(1, 10**3), "u": Fraction(1, 10**6), "n": Fraction(1, 10**9)}
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
        Time per reading in seconds (repetition time; for a ± pair the time of both frames; with echo trains the
        repetition time over the echoes of a train), or None if it isn't known.
    allows_repeats
        Units may be measured several times, so that there may be more readings than units.
    readings_per_shot
        Readings after one excitation: the echoes of a train, otherwise 1. The last shot may have fewer.
    """

    n_readings: int
    n_units: int
    n_calibration: int = 0
    reading_time_s: float | None = None
    allows_repeats: bool = False
    readings_per_shot: int = 1

    def __post_init__(self) -> None:
        if self.n_readings < 1:
            raise BudgetError("The budget comes to no reading at all.", _REMEDY)
        if self.n_readings > self.n_units and not self.allows_repeats:
            raise BudgetError(
                f"The budget of {self.n_readings} is more than the {self.n_units} that there are to measure.",
                f"Give at most {self.n_units}, or choose a designer that repeats, such as water-filling.",
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
        if self.reading_time_s is None:
            return None
        return self.n_shots * self.readings_per_shot * self.reading_time_s

    @property
    def n_shots(self) -> int:
        """Excitations: each takes ``readings_per_shot`` readings, the last one what is left."""
        return -(-self.n_readings // self.readings_per_shot)

    def spec(self) -> dict[str, int | float | bool | None]:
        """Constructor arguments, JSON-ready; no repeats and one reading per shot go without saying."""
        repeats = {"allows_repeats": True} if self.allows_repeats else {}
        trains = {"readings_per_shot": self.readings_per_shot} if self.readings_per_shot > 1 else {}
        return (
            repeats
            | trains
            | {
                "n_readings": self.n_readings,
                "n_units": self.n_units,
                "n_calibration": self.n_calibration,
                "reading_time_s": self.reading_time_s,
            }
        )


@dataclass(frozen=True)
class Light:
    """What readings cost in light, for budgets in photo-electrons or dose.

    Parameters
    ----------
    frames
        Frames' worth of light that a pixel gives or takes for one reading: 1 for a ± pair, a half for one 0/1 frame.
    n_reference
        Readings of the unit that decodes all the others; each costs a whole frame's worth.
    electrons
        Photo-electrons of a typical image during one frame with all mirrors on, or None if they aren't known.
    power_w
        Power on the sample with all mirrors on, in watts, or None.
    """

    frames: float
    n_reference: int = 0
    electrons: float | None = None
    power_w: float | None = None

    def __post_init__(self) -> None:
        if self.power_w is not None and not 0 < self.power_w < math.inf:
            raise BudgetError(f"The power on the sample is {self.power_w} W.", "Give a positive power.")

    def frames_of(self, n_readings: int) -> float:
        """Frames' worth of light of so many readings, those of the reference included."""
        return self.frames * n_readings + (1 - self.frames) * self.n_reference

    def readings_of(self, frames: Fraction) -> int:
        """The largest number of readings that takes at most so many frames' worth of light."""
        each = Fraction(str(self.frames))
        return int((frames - (1 - each) * self.n_reference) / each)


def needs_images(text: str) -> bool:
    """Whether a budget depends on how bright the images are."""
    return _PHOTONS.fullmatch(_cleaned(text)) is not None


def _cleaned(text: str) -> str:
    return _THOUSANDS.sub("", text.strip().lower())


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


def budget_remedy(unit_name: str, *, is_lit: bool) -> str:
    """What people may type as a budget of such units; ``is_lit``: they are frames of light."""
    count = f"64 or '64 {unit_name}s'"
    if not is_lit:
        return (
            f"Write an acceleration (4x), a share (25%), a count ({count}), "
            "or a time (2min30s, with the repetition time)."
        )
    return (
        f"Write an acceleration (4x), a share (25%), a count ({count}, or '1024 frames'), a time (2s, with the picture "
        "time), photo-electrons ('1e9 photons'), or a dose ('200ms light', or '3uJ' with the power)."
    )


def parse_budget(
    text: str,
    *,
    n_units: int,
    n_calibration: int = 0,
    unit_name: str = "unit",
    frames_per_unit: int = 1,
    frame_time_s: float | None = None,
    allows_repeats: bool = False,
    light: Light | None = None,
    readings_per_shot: int = 1,
    n_allowed: int | None = None,
    time_remedy: str = "Give the time per reading.",
) -> Budget:
    """Resolve what a person types to an exact `Budget`.

    ``4x``, ``25%``, ``64``, ``64 lines`` (the sensing model's ``unit_name``, singular or plural),
    ``1024 frames`` (where a unit shows several), ``2min30s`` (needs ``frame_time_s``). With ``light``:
    ``1e6 photons``, the photo-electrons that a typical image gives over the whole scan; ``200ms light``, how long a
    pixel is lit (mirror on) over the whole scan; ``3uJ``, the energy that falls on the sample (needs its power).
    Shares that don't come out even are rounded *down*: a budget is never exceeded.

    With echo trains ``frame_time_s`` is the time of one shot, and the count a multiple of ``readings_per_shot``:
    shares are rounded down to one, a count that isn't one is refused. ``n_allowed``: how many of the units may be
    measured (None: all); without repeats, a time or an amount of light is cut to it, any other budget beyond
    it is refused. ``time_remedy`` says how the time of an exposure or excitation is given, for messages.

    Raises
    ------
    BudgetError
        The text can't be parsed, or the count is zero, beyond the catalogue, below the calibration, or typed and
        no multiple of the echo train.
    """
    try:
        return _parsed(
            text,
            n_units=n_units,
            n_calibration=n_calibration,
            unit_name=unit_name,
            frames_per_unit=frames_per_unit,
            frame_time_s=frame_time_s,
            allows_repeats=allows_repeats,
            light=light,
            readings_per_shot=readings_per_shot,
            n_allowed=n_allowed,
            time_remedy=time_remedy,
        )
    except BudgetError as error:
        if error.remedy != _REMEDY:
            raise
        raise BudgetError(error.problem, budget_remedy(unit_name, is_lit=light is not None)) from None


def _parsed(
    text: str,
    *,
    n_units: int,
    n_calibration: int,
    unit_name: str,
    frames_per_unit: int,
    frame_time_s: float | None,
    allows_repeats: bool,
    light: Light | None,
    readings_per_shot: int,
    n_allowed: int | None,
    time_remedy: str,
) -> Budget:
    shot_time_s = None if frame_time_s is None else frame_time_s * frames_per_unit
    reading_time_s = None if shot_time_s is None else shot_time_s / readings_per_shot
    most = n_units if n_allowed is None else min(n_units, n_allowed)
    if reading_time_s is not None and not 0 < reading_time_s < math.inf:
        raise BudgetError(f"The time per frame is {frame_time_s} s.", "Give a positive time.")
    cleaned, shot = _cleaned(text), "reading" if readings_per_shot == 1 else "shot"

    def budget(n_readings: int) -> Budget:
        whole = _in_whole_shots(n_readings, readings_per_shot)
        if n_readings > 0 and whole == 0:
            raise BudgetError(
                f"The budget {text!r} is {n_readings} {unit_name}s, less than one echo train of {readings_per_shot}.",
                "Give a larger budget or a shorter echo train.",
            )
        if most < whole <= n_units and not allows_repeats:
            least = _in_whole_shots(most, readings_per_shot)
            raise BudgetError(
                f"The budget {text!r} is {whole} {unit_name}s, more than the {most} that may be measured.",
                f"Give at most {least}, or lift some of the pattern's constraints.",
            )
        return Budget(whole, n_units, n_calibration, reading_time_s, allows_repeats, readings_per_shot)

    def at_most_everything(n_readings: int) -> Budget:
        return budget(n_readings if allows_repeats else min(n_readings, most))

    lit = _frames_of_light(text, cleaned, light, frame_time_s)
    if lit is not None:
        assert light is not None
        n_readings = light.readings_of(lit)
        if n_readings < 1:
            raise BudgetError(f"The budget {text!r} comes to less than one {unit_name}.", _REMEDY)
        return at_most_everything(n_readings)
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
            return at_most_everything(_shots_in_time(text, cleaned, shot_time_s, shot, time_remedy) * readings_per_shot)
        elif allows_repeats or int(count) <= n_units:
            _check_trains(int(count), readings_per_shot, unit_name)
    else:
        return at_most_everything(_shots_in_time(text, cleaned, shot_time_s, shot, time_remedy) * readings_per_shot)
    if count > 0 and int(count) == 0:
        raise BudgetError(f"The budget {text!r} comes to less than one {unit_name} of {n_units}.", _REMEDY)
    return budget(int(count))


def _frames_of_light(text: str, cleaned: str, light: Light | None, frame_time_s: float | None) -> Fraction | None:
    """Frames' worth of light that a budget in photo-electrons or dose allows; None if it is another kind of budget."""
    photons, energy, lit = (pattern.fullmatch(cleaned) for pattern in (_PHOTONS, _ENERGY, _LIGHT))
    if photons is None and energy is None and lit is None:
        return None
    if light is None:
        raise BudgetError(f"The budget {text!r} is of light, and nothing is lit here.", _REMEDY)
    if photons is not None:
        if not light.electrons:
            raise BudgetError(f"The budget {text!r} needs images that give photo-electrons.", _REMEDY)
        return Fraction(photons.group(1)) / Fraction(light.electrons)
    if lit is not None:
        seconds = _time_in_seconds(lit.group(1))
        if seconds is None:
            raise BudgetError(f"The budget {text!r} can't be understood.", _REMEDY)
    else:
        assert energy is not None
        if light.power_w is None:
            raise BudgetError(
                f"The budget {text!r} is an energy, and the power on the sample isn't known.",
                "Give the power with all mirrors on: --power, for example 2mW.",
            )
        prefix = _PREFIX[energy.group(2).replace("µ", "u").replace("μ", "u")]
        seconds = Fraction(energy.group(1)) * prefix / Fraction(str(light.power_w))
    if frame_time_s is None:
        raise BudgetError(
            f"The budget {text!r} is a dose, and the time of a frame isn't known.", "Give the picture time."
        )
    return seconds / Fraction(str(frame_time_s))


def _in_whole_shots(n_readings: int, readings_per_shot: int) -> int:
    """The largest number of readings up to ``n_readings`` that fills its echo trains."""
    return n_readings // readings_per_shot * readings_per_shot


def _check_trains(count: int, readings_per_shot: int, unit_name: str) -> None:
    """Raise `BudgetError` unless a count that was typed as a number fills its echo trains."""
    below = _in_whole_shots(count, readings_per_shot)
    if below != count:
        near = [str(n) for n in (below, below + readings_per_shot) if n > 0]
        raise BudgetError(
            f"The budget of {count} {unit_name}s is no multiple of the echo train of {readings_per_shot}.",
            f"Give {' or '.join(near)}.",
        )


def _shots_in_time(text: str, cleaned: str, shot_time_s: float | None, shot: str, time_remedy: str) -> int:
    seconds = _time_in_seconds(cleaned)
    if seconds is None:
        raise BudgetError(f"The budget {text!r} can't be understood.", _REMEDY)
    if shot_time_s is None:
        raise BudgetError(
            f"The budget {text!r} is a time, and the time per reading isn't known.",
            time_remedy,
        )
    count = int(seconds / Fraction(str(shot_time_s)))
    if seconds > 0 and count == 0:
        raise BudgetError(f"The budget {text!r} is shorter than one {shot} of {shot_time_s} s.", _REMEDY)
    return count
