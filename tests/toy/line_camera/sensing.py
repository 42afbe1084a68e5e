"""The catalogue of a line camera: one unit for each row of the image, blurred along the row by the lens."""

from __future__ import annotations

import numpy as np
import torch
from torch.nn import functional

from acqplan.core.errors import RecipeError
from acqplan.core.registry import register
from acqplan.sensing.model import SensingModel

_LENS = torch.tensor([[[0.25, 0.5, 0.25]]])


@register("sensing", "line_camera")
class LineCamera(SensingModel):
    """A unit is a row; its reading float32[columns]. The lens is symmetric, so that it is its own adjoint."""

    def __init__(self, image_shape) -> None:
        super().__init__()
        rows, columns = (int(side) for side in image_shape)
        self.image_shape = (rows, columns)
        self.unit_name = "row"
        self.grid_shape = (rows,)
        self.reading_shape = self.coefficient_shape = (columns,)
        self.is_complex = self.is_isometry = self.is_unitary = False

    def forward(self, image):
        return functional.conv1d(image.flatten(0, 1)[:, None], _LENS.to(image), padding=1)[:, 0].reshape(image.shape)

    def decode(self, readings):
        return readings

    def adjoint(self, coefficients):
        return self.forward(coefficients)

    def coordinates(self):
        n = self.n_units
        return ((np.arange(n) - n // 2) / (n / 2))[:, None]

    def distance(self):
        return np.abs(self.coordinates()[:, 0])

    def calibration_units(self, width):
        n = self.n_units
        if not 0 <= width <= n:
            raise RecipeError(f"A calibration width of {width} doesn't fit {n} rows.", f"Give 0 to {n}.")
        return np.arange(n // 2 - width // 2, n // 2 - width // 2 + width).astype(np.int32)

    def spec(self):
        return {"image_shape": list(self.image_shape)}
