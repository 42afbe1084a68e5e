"""A file to damage, and what reads it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

import acqplan
from acqplan.plan.plan import Plan


@dataclass(frozen=True)
class Target:
    """A file to damage, and what reads it.

    Parameters
    ----------
    name
        Role, reader and what the file holds.
    path
        The file; what else belongs to it stands in the same folder.
    read
        Reads it: raises an `AcqplanError` to refuse it, and an `AssertionError` if it gave something wrong.
    """

    name: str
    path: Path
    read: Callable[[], None]


Maker = Callable[[Path], Iterator[Target]]
"""Makes the targets of one reader in an empty folder."""


def reconstructing(path: Path, plan: Plan, kind: str | None = None, **options: Any) -> Callable[[], None]:
    """Reads, verifies and reconstructs, once in the format that the content is recognised as and once in ``kind``."""

    def read() -> None:
        try:
            found = acqplan.reconstruct(plan, path, assume_plan=True, options=options)
        except acqplan.AcqplanError:
            found = acqplan.reconstruct(plan, path, assume_plan=True, acquired_format=kind, options=options)
        assert np.isfinite(found.images).all(), "the image isn't finite"

    return read


def one_of_each(folder: Path) -> list[Path]:
    """The files of a folder; of those whose names differ by a number (frames), the first and the last."""
    alike: dict[str, list[Path]] = {}
    for path in sorted(folder.iterdir()):
        alike.setdefault(re.sub(r"\d+", "#", path.name), []).append(path)
    return [path for files in alike.values() for path in dict.fromkeys((files[0], files[-1]))]
