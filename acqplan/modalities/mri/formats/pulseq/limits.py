"""What a scanner's hardware allows, and presets of it."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import Any

from acqplan.core.errors import InstrumentError

GAMMA_HZ_PER_T = 42.576e6
"""Gyromagnetic ratio of the proton over 2π, as Pulseq reckons with it."""


@dataclass(frozen=True)
class ScannerLimits:
    """Limits and time rasters of a scanner.

    Parameters
    ----------
    max_grad_mt_m, max_slew_t_m_s
        Largest gradient amplitude (mT/m) and slew rate (T/m/s).
    max_b1_ut
        Largest RF amplitude (µT).
    rf_dead_time_us, rf_ringdown_time_us, adc_dead_time_us
        Time that must pass before a pulse, after it, and before and after a readout.
    grad_raster_us, rf_raster_us, block_raster_us, adc_raster_ns
        Times are multiples of these: gradients, RF pulses and starts of readouts, blocks, dwell times.
    adc_samples_divisor, adc_max_samples
        A readout's samples are a multiple of the first and at most the second.
    b0_t
        Field strength (T).
    """

    max_grad_mt_m: float
    max_slew_t_m_s: float
    max_b1_ut: float = 20.0
    rf_dead_time_us: float = 100.0
    rf_ringdown_time_us: float = 30.0
    adc_dead_time_us: float = 20.0
    grad_raster_us: float = 10.0
    rf_raster_us: float = 1.0
    block_raster_us: float = 10.0
    adc_raster_ns: float = 100.0
    adc_samples_divisor: int = 4
    adc_max_samples: int = 8192
    b0_t: float = 3.0

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            least = 0 if "dead_time" in field.name or "ringdown" in field.name else 1e-12
            is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
            if not is_number or not least <= value < 1e9:
                raise InstrumentError(f"The scanner's {field.name} is {value!r}.", "Give a positive number.")
        for name in ("adc_samples_divisor", "adc_max_samples"):
            if getattr(self, name) != int(getattr(self, name)):
                raise InstrumentError(f"The scanner's {name} is {getattr(self, name)}.", "Give a whole number.")
        if self.grad_raster_us != int(self.grad_raster_us) or self.adc_raster_ns != int(self.adc_raster_ns):
            raise InstrumentError(
                f"The rasters are {self.grad_raster_us} µs (gradients) and {self.adc_raster_ns} ns (dwell time).",
                "A .seq file holds whole numbers of these: give such.",
            )
        for larger, smaller in (("block", "grad"), ("grad", "rf")):
            ratio = getattr(self, f"{larger}_raster_us") / getattr(self, f"{smaller}_raster_us")
            if abs(ratio - round(ratio)) > 1e-9:
                raise InstrumentError(
                    f"The {larger} raster isn't a multiple of the {smaller} raster ({ratio:g}).",
                    f"Give a {larger}_raster_us that is.",
                )

    @property
    def max_grad(self) -> float:
        """Hz/m."""
        return self.max_grad_mt_m * 1e-3 * GAMMA_HZ_PER_T

    @property
    def max_slew(self) -> float:
        """Hz/m/s."""
        return self.max_slew_t_m_s * GAMMA_HZ_PER_T

    @property
    def max_b1(self) -> float:
        """Hz."""
        return self.max_b1_ut * 1e-6 * GAMMA_HZ_PER_T

    @property
    def grad_raster(self) -> float:
        """Seconds."""
        return self.grad_raster_us * 1e-6

    @property
    def block_raster(self) -> float:
        """Seconds."""
        return self.block_raster_us * 1e-6

    @property
    def rf_raster(self) -> float:
        """Seconds."""
        return self.rf_raster_us * 1e-6

    @property
    def adc_raster(self) -> float:
        """Seconds."""
        return self.adc_raster_ns * 1e-9


PRESETS = {
    "generic-1.5T": ScannerLimits(28.0, 120.0, b0_t=1.5),
    "generic-3T": ScannerLimits(32.0, 130.0, b0_t=3.0),
    "conservative-1.5T": ScannerLimits(20.0, 70.0, max_b1_ut=12.0, b0_t=1.5),
    "conservative-3T": ScannerLimits(22.0, 80.0, max_b1_ut=12.0, b0_t=3.0),
}
"""Whole-body scanners by field strength. No vendor's limits: give those of your own scanner."""


def limits_of(preset: str, own: dict[str, Any]) -> ScannerLimits:
    """The preset with those values of ``own`` that aren't None.

    Raises
    ------
    InstrumentError
        There is no such preset, or a value is impossible.
    """
    if preset not in PRESETS:
        raise InstrumentError(f"There is no scanner preset {preset!r}.", f"Choose one of: {', '.join(PRESETS)}.")
    return replace(PRESETS[preset], **{name: value for name, value in own.items() if value is not None})
