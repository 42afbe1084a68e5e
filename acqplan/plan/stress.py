"""One thing that is otherwise than a plan has it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from acqplan.sensing.measurement import Spoil
    from acqplan.sensing.noise import NoiseModel
    from acqplan.sensing.pattern import Pattern


@dataclass(frozen=True, eq=False)
class Stress:
    """What differs; None is as planned.

    Parameters
    ----------
    name
        As limits name it: ``noise-2x``.
    words
        For a person.
    pattern, noise
        Of the scan. A reconstruction knows both.
    spoil
        A fault that no reconstruction knows of.
    """

    name: str
    words: str
    pattern: Pattern | None = None
    noise: NoiseModel | None = None
    spoil: Spoil | None = None
