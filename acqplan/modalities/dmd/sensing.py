"""Single-pixel detection behind a digital micromirror device (DMD) that shows Hadamard patterns."""

from __future__ import annotations

import math
from types import MappingProxyType
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from acqplan.core.errors import RecipeError
from acqplan.core.math.transforms import is_power_of_two, walsh_sequency
from acqplan.core.registry import register
from acqplan.modalities.dmd.display_schemes import scheme_named
from acqplan.sensing.model import SensingModel
from acqplan.sensing.table_terms import TableTerms

_DECODED = {
    "pairs": "detector signal of each frame in photo-electrons; coefficient = sign 1 minus sign -1",
    "two-detector": "two detectors in each frame, photo-electrons; coefficient = on-arm minus off-arm",
    "dc": "detector signal of each frame in photo-electrons; coefficient = twice it minus the mean of unit 0",
    "s-matrix": "detector signal of each frame in photo-electrons; coefficient = mean of unit 0 minus twice it; "
    "unit 0: all mirrors on but pixel 0",
}
"""What a table's readers are told of a scheme's readings."""


@register("sensing", "hadamard_dmd")
class HadamardDMD(SensingModel):
    """Walsh–Hadamard encoding shown as 0/1 frames.

    Unit ``u * columns + v`` is the pattern ``outer(W_rows[u], W_columns[v])`` of ±1, where W[s] has s sign
    changes (sequency order, along each axis). How it is shown and decoded is the scheme's
    (`acqplan.modalities.dmd.display_schemes`); by default as two frames, mirrors on where the
    pattern is +1, then where it is −1; unit 0 is all mirrors on, then all off.

    A reading is float32[2] or float32[1]: the expected photo-electrons that each frame of a unit, or each of two
    detectors, gives. The image is in photo-electrons that a pixel gives during one frame with its mirror on. The
    coefficient is that of the orthonormal transform.

    Parameters
    ----------
    image_shape
        (rows, columns), powers of two.
    scheme
        ``pairs``, ``two-detector``, ``dc`` or ``s-matrix``. The S-matrix never lights pixel 0, which it takes to be
        dark: its image is the rest.
    """

    designer_defaults = MappingProxyType({"learned": {"spread": 0.5, "scatter": 0.0, "exploration": 0.6}})

    def __init__(self, image_shape: tuple[int, int] | list[int], scheme: str = "pairs") -> None:
        super().__init__()
        rows, columns = (int(side) for side in image_shape)
        for side in (rows, columns):
            if side < 2 or not is_power_of_two(side):
                near = 2 ** max(1, round(math.log2(max(side, 2))))
                raise RecipeError(
                    f"A Hadamard pattern of {rows}x{columns} needs sides that are powers of two.",
                    f"{side} is not one; the nearest is {near}.",
                )
        self.display = scheme_named(scheme)
        self.scheme = scheme
        self.image_shape = (rows, columns)
        self.unit_name = "coefficient"
        self.grid_shape = (rows, columns)
        self.reading_shape = self.display.reading_shape
        self.coefficient_shape = ()
        self.is_complex = False
        self.one_may_dominate = False  # every pattern sees about half of the light
        self.repeats_pay = True
        self.is_isometry = self.display.keeps_corner
        self.is_unitary = self.display.keeps_corner
        self.frames_per_unit = len(self.display.frame_signs)
        self.reference_unit = 0 if self.display.is_referenced else None
        self.light_frames = self.display.light_share * self.frames_per_unit

    @property
    def n_detectors(self) -> int:
        """Values that are read in each frame."""
        return self.reading_shape[0] // self.frames_per_unit

    @property
    def frame_signs(self) -> tuple[int, ...]:
        """For each frame of a unit, the sign of its pattern where mirrors are on."""
        return self.display.frame_signs

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        image = self._seen(image)
        total = image.sum((-2, -1))[:, None]
        difference = walsh_sequency(image).flatten(1) * math.sqrt(self.n_units)
        return self.display.readings(total, difference)

    def decode(self, readings: torch.Tensor) -> torch.Tensor:
        """As of the contract; of `reference_unit`, where there is one, the reading is needed whatever is measured."""
        return self.display.decode(readings) / math.sqrt(self.n_units)

    def adjoint(self, coefficients: torch.Tensor) -> torch.Tensor:
        return self._seen(walsh_sequency(coefficients.unflatten(-1, self.image_shape)))

    def decoded_variance(self, variance: torch.Tensor) -> torch.Tensor:
        """Exact for each coefficient alone; with a `reference_unit` their noise is correlated."""
        return self.display.variance(variance) / self.n_units

    def _seen(self, image: torch.Tensor) -> torch.Tensor:
        """The image without what the scheme never lights."""
        if self.display.keeps_corner:
            return image
        image = image.clone()
        image[..., 0, 0] = 0
        return image

    def frames(self, unit: int) -> npt.NDArray[np.bool_]:
        """bool[frames_per_unit, rows, columns]: mirrors on in each frame of a unit, in the order of its readings."""
        return self.display.frames(self._positive(unit), int(unit))

    def unit_of(self, pixels: npt.NDArray[np.bool_]) -> tuple[int, int]:
        """(unit, number of the frame within it) of the frame pixels bool[rows, columns]; inverse of `frames`.

        Sign changes along the first row and column name the unit; whether every pixel is right, only a
        comparison with `frames` tells.
        """
        if not self.display.keeps_corner and 4 * int(pixels.sum()) >= 3 * self.n_units:
            return 0, 0  # every other frame has half of the mirrors on
        sides = pixels[:, 0], pixels[0]
        u, v = (int(np.count_nonzero(side[1:] != side[:-1])) for side in sides)
        return u * self.image_shape[1] + v, int(self.frames_per_unit == 2 and not pixels[0, 0])

    def readings_seen(self, on: torch.Tensor, total: torch.Tensor) -> torch.Tensor:
        """What the detectors read of frames that are played.

        Parameters
        ----------
        on
            [n, frames_per_unit]: light from the mirrors that are on, for each frame.
        total
            Scalar: light from all pixels of the pattern; a second detector sees the rest.

        Returns
        -------
        readings[n, *reading_shape].
        """
        return self.display.seen(on, total)

    def _positive(self, unit: int) -> npt.NDArray[np.bool_]:
        rows, columns = self.image_shape
        u, v = divmod(int(unit), columns)
        sides = [_walsh_row(rows, u), _walsh_row(columns, v)]
        return np.equal.outer(sides[0], sides[1])

    def coordinates(self) -> npt.NDArray[np.float64]:
        axes = [np.arange(n) / n for n in self.grid_shape]
        return np.stack([axis.ravel() for axis in np.meshgrid(*axes, indexing="ij")], axis=-1)

    def distance(self) -> npt.NDArray[np.float64]:
        """The larger of the two relative sequencies (a growing square), ties by their sum."""
        relative = self.coordinates()
        return np.asarray(relative.max(-1) + 1e-3 * relative.sum(-1) / max(self.grid_shape))

    def calibration_units(self, width: int) -> npt.NDArray[np.int32]:
        rows, columns = self.image_shape
        if width < 0 or width > min(rows, columns):
            raise RecipeError(
                f"A calibration width of {width} doesn't fit a catalogue of {rows}x{columns}.",
                f"Give a width from 0 to {min(rows, columns)}.",
            )
        u, v = np.divmod(np.arange(rows * columns), columns)
        return np.flatnonzero((u < width) & (v < width)).astype(np.int32)

    def table_terms(self, readings_per_shot: int = 1) -> TableTerms:
        """A row for each shown frame; ``sign`` is that of the pattern where the frame's mirrors are on."""
        rows, columns = self.grid_shape
        header = {
            "grid": f"row_sequency 0 to {rows - 1}, column_sequency 0 to {columns - 1}",
            "indices": f"from 0; unit = row_sequency * {columns} + column_sequency; a sequency counts sign changes",
            "rows": "one per shown frame, in order; sign 1: mirrors on where the pattern is +1; -1: where it is -1",
            "readings": _DECODED[self.scheme],
        }
        return TableTerms(
            "frame",
            ("row_sequency", "column_sequency"),
            states_unit=True,
            rows_per_reading=self.frames_per_unit,
            of_rows={"sign": self.frame_signs},
            header=header,
        )

    def spec(self) -> dict[str, Any]:
        # Plans and exported files of pairs are older than the choice, and say nothing of it.
        chosen = {} if self.scheme == "pairs" else {"scheme": self.scheme}
        return {"image_shape": list(self.image_shape), **chosen}


def _walsh_row(n: int, sequency: int) -> npt.NDArray[np.bool_]:
    """bool[n]: where the Walsh function with that many sign changes is +1."""
    delta = torch.zeros(n)
    delta[sequency] = 1
    row = walsh_sequency(delta, 1)
    return np.asarray((row > 0).numpy())
