"""What is measured of an image beside the truth, as it is called, ordered and shown: one list for every table.

How it is computed is in `acqplan.core.math.metrics`; nothing here imports NumPy, so that a modality can name what it
needs.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Measure:
    """One of them.

    Parameters
    ----------
    label
        Name with its unit, of a column.
    word
        Its name in a sentence.
    unit
        In a sentence, with the space before it, or nothing.
    decimals
        As they are shown.
    larger_is_better
        Else smaller values are.
    """

    label: str
    word: str
    unit: str
    decimals: int
    larger_is_better: bool

    def text(self, value: float) -> str:
        """``31.20``."""
        return f"{value:.{self.decimals}f}"

    def difference(self, value: float) -> str:
        """``+0.52``."""
        return f"{value:+.{self.decimals}f}"


MEASURES: Mapping[str, Measure] = {
    "psnr_db": Measure("PSNR / dB", "PSNR", " dB", 2, True),
    "ssim": Measure("SSIM", "SSIM", "", 4, True),
    "nrmse": Measure("NRMSE", "NRMSE", "", 4, False),
    "hfen": Measure("HFEN", "HFEN", "", 4, False),
    "frc": Measure("FRC / px⁻¹", "FRC cutoff", " per pixel", 3, True),
}
"""By the name in evidence and JSON."""

USUAL = ("psnr_db", "ssim", "nrmse")
"""Of every instrument; each adds one that tells of resolution (`Modality.resolution_measure`)."""


def columns(names: Iterable[str]) -> list[str]:
    """The heads of a table."""
    return [MEASURES[name].label for name in names]


def cells(values: Mapping[str, Any], names: Iterable[str]) -> list[str]:
    """One row of it; empty where there is no such value, as in plans of earlier versions."""
    return [MEASURES[name].text(values[name]) if values.get(name) is not None else "" for name in names]


def text(values: Mapping[str, Any], names: Iterable[str]) -> str:
    """``PSNR 31.20 dB, SSIM 0.9100, NRMSE 0.0500, HFEN 0.1200``, of what there is."""
    found = [(MEASURES[name], values[name]) for name in names if values.get(name) is not None]
    return ", ".join(f"{measure.word} {measure.text(value)}{measure.unit}" for measure, value in found)
