"""A single-pixel detector: what its numbers are in photo-electrons, and how certain."""

from __future__ import annotations

import dataclasses
import json
import math
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from acqplan.core.errors import RecipeError
from acqplan.core.files import atomic_file, readable

FORMAT = "acqplan-detector"
FORMAT_VERSION = 1
_MAX_BYTES = 1 << 20
_MAKE_ONE = "Make one with acqplan calibrate, or mend the key."
_MAX_ADC_BITS = 32

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Detector:
    """A linear detector with its analogue-to-digital converter (ADC).

    One frame's value in ADC units (ADU) is offset + gain · (s + d + n): s the photo-electrons of the frame,
    Poisson, d those of dark current and background, Poisson too, n the read noise. All are of a frame's *value*, which
    for a continuous trace is the mean of the frame's samples: calibrate and acquire with the same reading settings.

    Parameters
    ----------
    gain_adu_per_e
        ADU per photo-electron of a frame's value.
    offset_adu
        Value without light, dark current and noise.
    read_noise_e
        Standard deviation of a frame's value without light, in photo-electrons; the rounding of the ADC is in it.
    dark_current_e_per_s, background_e_per_s
        Dark electrons, and photo-electrons of stray light that doesn't come from the mirrors, per second.
    saturation_adu
        From this value on the detector doesn't follow the light any more; None: only the ADC's end.
    adc_bits
        The ADC's range is 0 to 2**bits − 1; None: not known, values aren't whole numbers.
    exposure_s
        Time of a frame in the calibration; used where a trace and its plan don't say theirs.
    uncertainty
        Standard error of parameters, by their name.
    calibration
        Where the numbers come from, JSON-ready.
    """

    gain_adu_per_e: float = 1.0
    offset_adu: float = 0.0
    read_noise_e: float = 0.0
    dark_current_e_per_s: float = 0.0
    background_e_per_s: float = 0.0
    saturation_adu: float | None = None
    adc_bits: int | None = None
    exposure_s: float | None = None
    uncertainty: dict[str, float] = field(default_factory=dict)
    calibration: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name in ("gain_adu_per_e", "saturation_adu", "exposure_s"):
            value = getattr(self, name)
            if value is not None and not (_is_number(value) and value > 0):
                raise RecipeError(f"The detector's {name} is {value!r}.", "Give a positive number.")
        for name in ("read_noise_e", "dark_current_e_per_s", "background_e_per_s"):
            value = getattr(self, name)
            if not (_is_number(value) and value >= 0):
                raise RecipeError(f"The detector's {name} is {value!r}.", "Give a number of at least 0.")
        if not _is_number(self.offset_adu):
            raise RecipeError(f"The detector's offset_adu is {self.offset_adu!r}.", "Give a number.")
        bits = self.adc_bits
        if bits is not None and (type(bits) is not int or not 1 <= bits <= _MAX_ADC_BITS):
            raise RecipeError(
                f"The detector's adc_bits are {bits!r}.", f"Give a whole number from 1 to {_MAX_ADC_BITS}."
            )
        if self.full_scale_adu is not None and self.full_scale_adu <= self.offset_adu:
            raise RecipeError(
                f"The detector saturates at {self.full_scale_adu:g} ADU, below its offset of {self.offset_adu:g}.",
                "Correct saturation_adu, adc_bits or offset_adu.",
            )

    @property
    def full_scale_adu(self) -> float | None:
        """The first value that can't be trusted: saturation, or the end of the ADC."""
        ends = [end for end in (self.saturation_adu, None if self.adc_bits is None else 2.0**self.adc_bits - 1) if end]
        return min(ends) if ends else None

    def dark_e(self, exposure_s: float | None) -> float:
        """Mean electrons of dark current and background in one frame.

        Raises
        ------
        RecipeError
            There are some, but neither ``exposure_s`` nor the calibration says how long a frame lasts.
        """
        rate = self.dark_current_e_per_s + self.background_e_per_s
        time_s = self.exposure_s if exposure_s is None else exposure_s
        if rate and time_s is None:
            raise RecipeError(
                f"The detector has {rate:g} dark electrons per second, and nothing says how long a frame lasts.",
                "Give the frame's time: --option frame_time_us=50, or --picture-time when designing.",
            )
        return rate * (time_s or 0.0)

    def electrons(self, adu: npt.NDArray[Any], exposure_s: float | None = None) -> Floats:
        """Photo-electrons of frames with these values, dark current and background subtracted: float64, may be < 0."""
        return np.asarray((adu - self.offset_adu) / self.gain_adu_per_e - self.dark_e(exposure_s), dtype=np.float64)

    def variance(self, electrons: npt.NDArray[Any], exposure_s: float | None = None) -> Floats:
        """Variance of `electrons` in photo-electrons²: shot noise of light and dark electrons, and read noise."""
        signal = np.maximum(np.asarray(electrons, dtype=np.float64), 0)
        return np.asarray(signal + self.dark_e(exposure_s) + self.read_noise_e**2, dtype=np.float64)

    def is_saturated(self, adu: npt.NDArray[Any]) -> npt.NDArray[np.bool_]:
        """Where a value is at or above `full_scale_adu`."""
        end = self.full_scale_adu
        return np.zeros(adu.shape, dtype=np.bool_) if end is None else np.asarray(adu >= end)

    def digitised(
        self, expected_e: Floats, rng: np.random.Generator, exposure_s: float | None = None, samples: int = 1
    ) -> Floats:
        """Values in ADU of expected photo-electrons: shot noise, dark electrons, read noise, saturation and ADC.

        With ``samples`` each value is one of that many that are averaged to a frame's: ``expected_e`` of the whole
        frame, and the noise such that the frame's mean has `variance`.
        """
        dark = self.dark_e(exposure_s)
        counted = rng.poisson(np.maximum(expected_e + dark, 0) / samples) * float(samples)
        # The rounding of the ADC is part of the read noise.
        rounding = 0.0 if self.adc_bits is None else 1 / (12 * self.gain_adu_per_e**2)
        read = math.sqrt(max(0.0, self.read_noise_e**2 * samples - rounding))
        adu = self.offset_adu + self.gain_adu_per_e * (counted + read * rng.standard_normal(expected_e.shape))
        if self.saturation_adu is not None:
            adu = np.minimum(adu, self.saturation_adu)
        if self.adc_bits is not None:
            adu = np.clip(np.round(adu), 0, 2.0**self.adc_bits - 1)
        return np.asarray(adu, dtype=np.float64)

    def noise_settings(self, exposure_s: float | None) -> dict[str, float]:
        """What the noise model ``poisson_gaussian`` calls read noise and dark counts, per frame."""
        return {"read_noise_e": float(self.read_noise_e), "dark_e": float(self.dark_e(exposure_s))}

    def to_json(self) -> str:
        """The file's text."""
        return json.dumps({"format": FORMAT, "format_version": FORMAT_VERSION, **asdict(self)}, indent=2) + "\n"

    def save(self, path: Path, *, overwrite: bool = False) -> None:
        """Write the detector as JSON, whole or not at all."""
        with atomic_file(path, overwrite=overwrite) as temporary:
            temporary.write_text(self.to_json(), encoding="utf-8")

    @classmethod
    def load(cls, path: str | Path) -> Detector:
        """Read a detector file; `RecipeError` if it is none, is damaged, or says something impossible."""
        path = Path(path)
        with readable(path, RecipeError, "Pass a detector file made by acqplan calibrate."):
            if path.stat().st_size > _MAX_BYTES:
                raise ValueError("it is too large for a detector file")
            text = path.read_text(encoding="utf-8")
        return cls.from_json(text, str(path))

    @classmethod
    def from_json(cls, text: str, source: str) -> Detector:
        """The detector in a text of `to_json`; ``source`` is for messages."""
        try:
            table = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise RecipeError(f"{source} is no detector file: {error}.", _MAKE_ONE) from error
        if not isinstance(table, dict) or table.pop("format", None) != FORMAT:
            raise RecipeError(f"{source} is no detector file of acqplan.", _MAKE_ONE)
        version = table.pop("format_version", None)
        if type(version) is not int or version > FORMAT_VERSION:
            raise RecipeError(
                f"{source} has the format version {version!r}, this acqplan knows {FORMAT_VERSION}.", "Upgrade acqplan."
            )
        known = {each.name for each in dataclasses.fields(cls)}
        if unknown := sorted(set(table) - known):
            raise RecipeError(f"{source} has an unknown key {unknown[0]!r}.", f"Known: {', '.join(sorted(known))}.")
        for name in ("uncertainty", "calibration"):
            if not isinstance(table.get(name, {}), dict):
                raise RecipeError(f"{source} has {name} that is no table.", _MAKE_ONE)
        return cls(**table)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
