"""Single-pixel detection behind a digital micromirror device (DMD) that shows Hadamard patterns."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from acqplan.arrays import is_power_of_two, walsh_sequency
from acqplan.errors import RecipeError
from acqplan.registry import register
from acqplan.sensing.base import SensingModel


@register("sensing", "hadamard_dmd")
class HadamardDMD(SensingModel):
    """Walsh–Hadamard encoding shown as complementary pairs of 0/1 frames.

    Unit ``u * columns + v`` is the pattern ``outer(W_rows[u], W_columns[v])`` of ±1, where W[s] has s sign
    changes (sequency order, along each axis). It is shown as two frames, mirrors on where the
    pattern is +1, then where it is −1; unit 0 is all mirrors on, then all off.

    A reading is float32[2]: the expected photo-electrons of the + and of the − frame. The
    image is in photo-electrons that a pixel gives during one frame with its mirror on. The
    coefficient is (plus − minus)/√N with N pixels: the orthonormal transform.
    """

    def __init__(self, image_shape: tuple[int, int] | list[int]) -> None:
        super().__init__()
        rows, columns = (int(side) for side in image_shape)
        for side in (rows, columns):
            if side < 2 or not is_power_of_two(side):
                near = 2 ** max(1, round(math.log2(max(side, 2))))
                raise RecipeError(
                    f"A Hadamard pattern of {rows}x{columns} needs sides that are powers of two.",
                    f"{side} is not one; the nearest is {near}.",
                )
        self.image_shape = (rows, columns)
        self.unit_name = "coefficient"
        self.grid_shape = (rows, columns)
        self.reading_shape = (2,)
        self.coefficient_shape = ()
        self.is_complex = False
        self.is_isometry = True
        self.is_unitary = True
        self.frames_per_unit = 2

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        total = image.sum((-2, -1))[:, None]
        n_pixels = self.image_shape[0] * self.image_shape[1]
        difference = walsh_sequency(image).flatten(1) * math.sqrt(n_pixels)
        return torch.stack([(total + difference) / 2, (total - difference) / 2], dim=-1)

    def decode(self, readings: torch.Tensor) -> torch.Tensor:
        n_pixels = self.image_shape[0] * self.image_shape[1]
        return (readings[..., 0] - readings[..., 1]) / math.sqrt(n_pixels)

    def adjoint(self, coefficients: torch.Tensor) -> torch.Tensor:
        return walsh_sequency(coefficients.unflatten(-1, self.image_shape))

    def frames(self, unit: int) -> npt.NDArray[np.bool_]:
        """bool[2, rows, columns]: mirrors on in the + and the − frame of a unit."""
        positive = self._positive(unit)
        return np.stack([positive, ~positive])

    def unit_of(self, pixels: npt.NDArray[np.bool_]) -> tuple[int, int]:
        """(unit, 0 for + or 1 for −) of the frame pixels[rows, columns], from its first row and column."""
        sides = pixels[:, 0], pixels[0]
        u, v = (int(np.count_nonzero(side[1:] != side[:-1])) for side in sides)
        return u * self.image_shape[1] + v, int(not pixels[0, 0])

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

    def spec(self) -> dict[str, Any]:
        return {"image_shape": list(self.image_shape)}


def _walsh_row(n: int, sequency: int) -> npt.NDArray[np.bool_]:
    """bool[n]: where the Walsh function with that many sign changes is +1."""
    delta = torch.zeros(n)
    delta[sequency] = 1
    row = walsh_sequency(delta, 1)
    return np.asarray((row > 0).numpy())
