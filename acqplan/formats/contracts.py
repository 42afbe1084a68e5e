"""What a file format can do: a class implements the contracts that it can fulfil, and callers ask which they are."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from acqplan.sensing.acquisition import Geometry

PARTS = ("magnitude", "phase", "complex")
"""Parts of complex images that can be written."""


@dataclass(frozen=True, eq=False)
class Result:
    """Images to write.

    Parameters
    ----------
    images
        float32 or complex64 [n, rows, columns]: the part of them that is written.
    stamp
        JSON-ready; at least ``plan_id``, ``part`` (one of `PARTS`) and ``pattern_digest``.
    geometry
        Voxel index (row, column, image) to millimetres, right–anterior–superior; None where unknown.
    """

    images: npt.NDArray[Any]
    stamp: dict[str, Any]
    geometry: Geometry | None = None

    @property
    def array(self) -> npt.NDArray[Any]:
        """[rows, columns] of one image, else [n, rows, columns]."""
        return self.images[0] if len(self.images) == 1 else self.images

    @property
    def window(self) -> tuple[float, float]:
        """The values that become the lowest and the highest whole number: ±π for a phase, else 0 and the maximum."""
        if self.stamp["part"] == "phase":
            return -np.pi, np.pi
        return 0.0, float(self.images.max()) or 1.0


class ImageWriter(ABC):
    """A file format of reconstructed images, each stamped with the plan that made it.

    `acqplan.formats.results` makes what it writes atomic.
    """

    kind: ClassVar[str]
    image_suffixes: ClassVar[tuple[str, ...]]
    """Of file names; without any, the images are written into a folder."""
    offered: ClassVar[int] = 100
    """Of several formats with the same suffix, the one with the lowest number is what the suffix alone stands for."""
    holds_volume: ClassVar[bool] = True
    """Several images."""
    holds_complex: ClassVar[bool] = True
    """Complex values."""
    is_whole: ClassVar[bool] = False
    """Complex values unless a part of them is asked for."""
    is_stamped: ClassVar[bool] = True
    """It has a place for the plan's identity."""
    folder_mark: ClassVar[str] = ""
    """Name of the file that tells such a folder from others, which are never overwritten."""

    def check_installed(self) -> None:
        """Raise `OutputError` if a package that it writes with is missing."""
        return

    @abstractmethod
    def write_images(self, result: Result, path: Path) -> None:
        """Write a new file at ``path``, or files into the empty folder ``path``."""
