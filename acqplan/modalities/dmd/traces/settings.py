"""How a file of a detector is to be read."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from acqplan.core.errors import RecipeError
from acqplan.modalities.dmd.traces.detector import Detector

DRIFT = ("auto", "none", "references", "pairs")
_TIMES = ("sample_rate_hz", "frame_time_us", "settling_us", "start_us", "saturation", "trigger_level")
_NAMES = ("signal", "second_signal", "frame_numbers", "trigger")
_MAX_FRAMES = 1 << 26
_MAX_ROUNDS = 1000

FrameSet = str | int | list[int] | None
"""Frame numbers from 0: one, a list, ``3,5,9``, or ``start:stop:step`` as in Python; a step without stop repeats."""


@dataclass(frozen=True)
class TraceSettings:
    """How a detector's numbers become one value per frame.

    Parameters
    ----------
    detector
        Converts ADU to photo-electrons; without one, values are photo-electrons (dark signal subtracted).
    signal, frame_numbers, trigger
        Names of the arrays with the values, with the number of each value's frame, and with the trigger channel: a
        column (name or number), a dataset's path or a variable. Without ``signal`` the only array there is.
    second_signal
        Name of the array of the second detector, in the arm of the mirrors that are off.
    trigger_level
        A frame begins where the trigger channel rises through it; by default half-way up.
    sample_rate_hz
        Of a continuous signal: with a ``trigger``, or with ``frame_time_us``. Without it there is one value per frame.
    frame_time_us, start_us, settling_us
        Time of a frame; time of the first frame's beginning in a signal without trigger; time after each frame's
        beginning that isn't used.
    dark_frames, reference_frames
        Numbers of the frames shown with the lamp covered, and of those with all mirrors on: neither belongs to the
        pattern. Dark frames give the offset, reference frames the lamp's drift.
    saturation
        Values from this one on are not measured; by default what the detector says.
    drift
        What corrects the lamp's drift: ``references``, ``pairs`` (the sum of a + and a − frame is all the light),
        ``none``, or ``auto``: the references where there are some.
    """

    detector: Detector | None = None
    signal: str | None = None
    frame_numbers: str | None = None
    trigger: str | None = None
    trigger_level: float | None = None
    sample_rate_hz: float | None = None
    frame_time_us: float | None = None
    start_us: float | None = None
    settling_us: float | None = None
    dark_frames: FrameSet = None
    reference_frames: FrameSet = None
    saturation: float | None = None
    drift: str = "auto"
    second_signal: str | None = None

    def __post_init__(self) -> None:
        for name in _TIMES:
            value = getattr(self, name)
            lowest = {"sample_rate_hz": 1e-6, "frame_time_us": 1e-6, "trigger_level": -np.inf, "saturation": -np.inf}
            if value is not None and not (
                isinstance(value, int | float) and not isinstance(value, bool) and lowest.get(name, 0) <= value < np.inf
            ):
                raise RecipeError(
                    f"The trace setting {name} is {value!r}.", "Give a number, positive for a time or rate."
                )
        for name in _NAMES:
            value = getattr(self, name)
            if type(value) is int:
                object.__setattr__(self, name, str(value))
            elif value is not None and not isinstance(value, str):
                raise RecipeError(f"The trace setting {name} is {value!r}.", "Give the name or number of a column.")
        if self.second_signal is not None and self.signal is None:
            raise RecipeError("A second signal is named, but not the first.", "Give signal too.")
        if self.drift not in DRIFT:
            raise RecipeError(f"The trace setting drift is {self.drift!r}.", f"Choose one of: {', '.join(DRIFT)}.")
        if self.drift == "references" and self.reference_frames is None:
            raise RecipeError(
                "Drift is to be corrected by reference frames, and none are named.", "Give reference_frames."
            )
        if self.trigger is not None and self.sample_rate_hz is None:
            raise RecipeError("There is a trigger channel but no sample rate.", "Give sample_rate_hz.")
        if self.sample_rate_hz is not None and self.trigger is None and self.frame_time_us is None:
            raise RecipeError(
                "A continuous signal needs a trigger channel or a known frame time.", "Give trigger or frame_time_us."
            )
        for name in ("dark_frames", "reference_frames"):
            frame_numbers(getattr(self, name), 0, name)

    @property
    def is_continuous(self) -> bool:
        """Whether a file holds samples, not one value per frame."""
        return self.sample_rate_hz is not None

    @property
    def frame_time_s(self) -> float | None:
        """The frame's time in seconds."""
        return None if self.frame_time_us is None else 1e-6 * self.frame_time_us

    def with_stated(self, texts: Mapping[str, str], source: str) -> TraceSettings:
        """These settings, and where they say nothing what a file of acqplan states about itself."""
        stated: dict[str, Any] = {}
        for each in fields(self):
            if each.name in texts and getattr(self, each.name) == each.default and each.name != "drift":
                text = texts[each.name]
                if each.name == "detector":
                    stated["detector"] = Detector.from_json(text, source)
                else:
                    stated[each.name] = _number(text) if each.name in _TIMES else text
        return replace(self, **stated) if stated else self

    def stated(self) -> dict[str, str]:
        """The texts that `with_stated` reads back."""
        texts: dict[str, str] = {}
        for each in fields(self):
            value = getattr(self, each.name)
            if value is None or each.name == "drift":
                continue
            texts[each.name] = " ".join(value.to_json().split()) if isinstance(value, Detector) else str(value)
        return texts


def _number(text: str) -> float | str:
    try:
        return float(text)
    except ValueError:
        return text  # refused where settings are checked


def frame_numbers(frames: FrameSet, total: int, name: str) -> npt.NDArray[np.int64]:
    """int64[m], ascending: the frames in a `FrameSet`, where it has no end those below ``total``.

    Raises `RecipeError` if it is none.
    """
    none = np.zeros(0, dtype=np.int64)
    if frames is None:
        return none
    wrong = RecipeError(
        f"The {name} are {frames!r}.", "Write them as 0:16, 16::65 (every 65th from 16 on), or 3,5,9, counted from 0."
    )
    if isinstance(frames, bool):
        raise wrong
    if isinstance(frames, int | list):
        listed = [frames] if isinstance(frames, int) else frames
    else:
        text = frames.strip().strip("[]")
        if match := re.fullmatch(r"(\d{0,9}):(\d{0,9})(?::(\d{1,9}))?", text):
            start, stop, step = (int(part) if part else None for part in match.groups())
            if step == 0 or max(start or 0, stop or 0) > _MAX_FRAMES:
                raise wrong
            return np.arange(start or 0, total if stop is None else stop, step or 1, dtype=np.int64)
        if not re.fullmatch(r"\s*\d{1,9}(\s*,\s*\d{1,9})*\s*", text):
            raise wrong
        listed = [int(part) for part in text.split(",")]
    if not all(type(number) is int and 0 <= number < _MAX_FRAMES for number in listed):
        raise wrong
    return np.unique(np.array(listed, dtype=np.int64)) if listed else none


@dataclass(frozen=True, eq=False)
class Layout:
    """Which of ``total`` shown frames are the pattern's, which are dark and which are reference frames (numbers)."""

    total: int
    pattern: npt.NDArray[np.int64]
    dark: npt.NDArray[np.int64]
    reference: npt.NDArray[np.int64]


def layout(settings: TraceSettings, n_pattern: int, n_shown: int | None = None) -> Layout:
    """The frames of a pattern of ``n_pattern`` frames.

    Frames that repeat without end may also follow the pattern: ``n_shown`` decides if it fits, else as few as possible.

    Raises
    ------
    RecipeError
        A frame is to be both dark and reference, or they leave no room for the pattern.
    """
    if n_shown is not None and 0 < n_shown <= _MAX_FRAMES:
        fitting = _layout(settings, n_shown)
        if fitting.pattern.size == n_pattern:
            return fitting
    total = n_pattern
    for _ in range(_MAX_ROUNDS):
        found = _layout(settings, total)
        if found.pattern.size >= n_pattern or found.total > _MAX_FRAMES:
            break
        total = found.total + n_pattern - found.pattern.size
    if found.pattern.size != n_pattern:
        raise RecipeError("The dark and reference frames leave none for the pattern.", "Give fewer of them.")
    return found


def _layout(settings: TraceSettings, total: int) -> Layout:
    """The layout of ``total`` frames, or of more if frames are named beyond them."""
    named = [frame_numbers(each, total, "") for each in (settings.dark_frames, settings.reference_frames)]
    total = max([total, *(int(each[-1]) + 1 for each in named if each.size)])
    dark = frame_numbers(settings.dark_frames, total, "dark_frames")
    reference = frame_numbers(settings.reference_frames, total, "reference_frames")
    if both := np.intersect1d(dark, reference).tolist():
        raise RecipeError(
            f"Frame {both[0]} is to be both dark and reference.", "Correct dark_frames or reference_frames."
        )
    return Layout(total, np.setdiff1d(np.arange(total), np.union1d(dark, reference)), dark, reference)
