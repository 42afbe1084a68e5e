"""What files of MRI data state of a scan."""

from __future__ import annotations

from dataclasses import dataclass

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
    """

    matrix: tuple[int, int, int] | None = None
    field_of_view_mm: tuple[float, float, float] | None = None
    channels: int | None = None
    noise_std: float | None = None


def facts_of(scan: Scan) -> MriFacts:
    """What is stated of a scan, all unknown where that was no file of MRI data."""
    return scan.facts if isinstance(scan.facts, MriFacts) else MriFacts(scan.facts.saturated)
