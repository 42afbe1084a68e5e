"""What files of MRI data state of a scan."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from acqplan.sensing.acquisition import Facts, Scan


@dataclass(frozen=True)
class MriFacts(Facts):
    """Facts of an MRI scan; None where the file doesn't state them.

    Parameters
    ----------
    matrix
        (readout, ky, kz): sides of the acquired grid.
    field_of_view_mm
        (readout, ky, kz), or the slice's thickness in place of kz.
    channels
        Number of receive coils.
    noise_std
        √E|n|² of a reading, in the units of the readings.
    parameters
        ``TR_ms``, ``TE_ms``, … as of `RawData`; empty where the file doesn't state them.
    """

    matrix: tuple[int, int, int] | None = None
    field_of_view_mm: tuple[float, float, float] | None = None
    channels: int | None = None
    noise_std: float | None = None
    parameters: Mapping[str, Any] = field(default_factory=dict)


def facts_of(scan: Scan) -> MriFacts:
    """What is stated of a scan, all unknown where that was no file of MRI data."""
    return scan.facts if isinstance(scan.facts, MriFacts) else MriFacts(scan.facts.saturated)
