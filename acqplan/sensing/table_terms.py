"""How a pattern of a sensing model reads as the rows of a table."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class TableTerms:
    """An instrument's own words for a table of its pattern, which `acqplan.formats.table` writes and reads.

    The columns are ``row``, ``unit`` if it is stated, ``axes``, ``of_rows``, ``calibration`` and ``repeat``.

    Parameters
    ----------
    row
        Name of the column that counts the rows: what one of them is.
    axes
        Names of the axes of the catalogue's grid.
    states_unit
        Whether a column holds the index of each unit, besides its place on the axes.
    rows_per_reading
        How many rows a reading has.
    of_rows
        Columns by name in which the rows of a reading differ, alike for all readings: a value for each row.
    header
        Lines of the header by key: what the columns count, and how the readings are to be understood.
    per_shot
        Key of the header's line that states how many readings follow one excitation, where they may be several.
    """

    row: str
    axes: tuple[str, ...]
    states_unit: bool = False
    rows_per_reading: int = 1
    of_rows: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    header: Mapping[str, str] = field(default_factory=dict)
    per_shot: str | None = None

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of all columns, in order."""
        unit = ("unit",) if self.states_unit else ()
        return (self.row, *unit, *self.axes, *self.of_rows, "calibration", "repeat")
