"""The contract of a sensing model: the catalogue of everything an instrument could measure."""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import Any, ClassVar, Self

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from acqplan.sensing.acquisition import Acquisition
from acqplan.sensing.table_terms import TableTerms


class SensingModel(nn.Module, ABC):
    """Catalogue of K units an instrument could measure of an image; no pattern, no noise, no parameters.

    ``decode(forward(image))`` is linear in the image and `adjoint` is its exact adjoint. Calls
    never mutate the model or their arguments. B is the batch, K = ``n_units``.

    Attributes
    ----------
    unit_name
        Singular, as in '64 lines'.
    image_shape
        (rows, columns) of the image.
    reading_shape
        Shape of what the detector delivers for one unit.
    coefficient_shape
        Shape of one decoded unit.
    grid_shape
        The catalogue as a grid, row-major; its product is K.
    is_complex
        Images are complex64 if True, non-negative float32 if False.
    is_isometry
        ``decode∘forward`` keeps the norm (its adjoint is a left inverse).
    is_unitary
        The adjoint is the inverse on both sides: data consistency is solved unit by unit.
    frames_per_unit
        Exposures that one unit costs (2 for a ± frame pair).
    reference_unit
        The unit whose reading decodes all the others, so that every pattern has to contain it; or None.
    repeats_pay
        Noise may be so large beside what a unit holds that some are worth measuring several times.
    one_may_dominate
        A single reading may be larger than all the others by orders of magnitude.
    light_frames
        Frames' worth of light that each pixel gives (or, lit by the DMD, takes) for one reading, a mean over the units
        but `reference_unit`, which takes one; None where there is no light.
    """

    kind: ClassVar[str]
    designer_defaults: ClassVar[Mapping[str, Mapping[str, float]]] = {}
    """Options that suit this catalogue, by the designer's kind, where they aren't the designer's own defaults."""
    several_remedy: ClassVar[str] = ""
    """What to do about readings of more detectors than the model has, where a scan may have several; or nothing."""
    unit_name: str
    image_shape: tuple[int, int]
    reading_shape: tuple[int, ...]
    coefficient_shape: tuple[int, ...]
    grid_shape: tuple[int, ...]
    is_complex: bool
    is_isometry: bool
    is_unitary: bool
    frames_per_unit: int = 1
    reference_unit: int | None = None
    one_may_dominate: bool = True
    repeats_pay: bool = False
    light_frames: float | None = None
    noise_level: torch.Tensor | None = None
    coil_maps: torch.Tensor | None

    @property
    def n_units(self) -> int:
        """K, the size of the catalogue."""
        return int(np.prod(self.grid_shape))

    @property
    def image_dtype(self) -> torch.dtype:
        """complex64 or float32."""
        return torch.complex64 if self.is_complex else torch.float32

    @property
    def reading_dtype(self) -> torch.dtype:
        """dtype of the detector's readings."""
        return torch.complex64 if self.is_complex else torch.float32

    @property
    def gain_bound(self) -> torch.Tensor:
        """An upper bound of ‖decode∘forward‖²: steps up to its inverse keep a gradient method stable.

        A scalar, or [B, 1, 1] of a model that differs from image to image.
        """
        return torch.ones(())

    @abstractmethod
    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """image[B, *image_shape] -> expected detector readings[B, K, *reading_shape]."""

    @abstractmethod
    def decode(self, readings: torch.Tensor) -> torch.Tensor:
        """readings[B, K, *reading_shape] -> coefficients[B, K, *coefficient_shape], unit by unit."""

    def decoded_variance(self, variance: torch.Tensor) -> torch.Tensor:
        """Variances of readings [B, K, *reading_shape] -> of the decoded units [B, K], summed over their samples."""
        return variance.flatten(2).sum(2) if variance.ndim > 2 else variance

    @abstractmethod
    def adjoint(self, coefficients: torch.Tensor) -> torch.Tensor:
        """coefficients[B, K, *coefficient_shape] -> image[B, *image_shape]."""

    def coefficients(self, image: torch.Tensor) -> torch.Tensor:
        """``decode(forward(image))``: noise-free coefficients[B, K, *coefficient_shape]."""
        return self.decode(self.forward(image))

    def gram(self, image: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
        """adjoint(weights × coefficients(image)) of image[B, *image_shape], real weights[B or 1, K]."""
        return self.gram_with(weights)(image)

    def gram_with(self, weights: torch.Tensor) -> Callable[[torch.Tensor], torch.Tensor]:
        """`gram` of one pattern, for images to come: what only the weights decide is done once."""
        each = self.per_unit(weights)
        return lambda image: self.adjoint(each * self.coefficients(image))

    @abstractmethod
    def coordinates(self) -> npt.NDArray[np.float64]:
        """float64[K, len(grid_shape)]: position of each unit in frequency, centre (or DC) at 0, edge at ±1."""

    @abstractmethod
    def distance(self) -> npt.NDArray[np.float64]:
        """float64[K]: how far from the centre (or DC) each unit is; low-pass order ascends in it."""

    @abstractmethod
    def calibration_units(self, width: int) -> npt.NDArray[np.int32]:
        """Units of the fully measured central region of ``width`` (lines, or the side of a square)."""

    def measured_width(self, units: npt.NDArray[np.integer]) -> int:
        """Width of the widest of the central regions, from the narrowest on, whose units are all among ``units``.

        What isn't in the catalogue is ignored.
        """
        was_measured = np.zeros(self.n_units, dtype=bool)
        was_measured[units[(units >= 0) & (units < self.n_units)]] = True
        width = 0
        while width < min(self.grid_shape) and was_measured[self.calibration_units(width + 1)].all():
            width += 1
        return width

    def acquired_shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """The shape that a reading should have in acquired data where it has ``shape``: by default `reading_shape`.

        A model whose number of detectors is the scan's takes that from ``shape``.
        """
        return self.reading_shape

    def for_scan(self, acquisition: Acquisition) -> Self:
        """A copy with the per-scan maps of ``acquisition`` (coil maps, flat field); by default self."""
        return self

    def with_coil_maps(self, coil_maps: torch.Tensor | None) -> Self:
        """A copy with receive sensitivities complex64[C or B, C, *image_shape]; None: one uniform coil.

        Raises `ValueError` for a model without coils, unless None is given.
        """
        if coil_maps is not None:
            raise ValueError(f"{self.kind} has no coils")
        return self

    def self_calibrated(self, coefficients: torch.Tensor, counts: torch.Tensor) -> Self:
        """The model as a reconstruction knows it, which has to learn what differs from scan to scan (coil maps) from
        what was measured: coefficients[B, K, …] with counts[B or 1, K]. By default self: nothing does."""
        return self

    def seen_through(self, images: torch.Tensor, true: Self) -> torch.Tensor:
        """Images[B, *image_shape] that were measured with ``true``, as a perfect reconstruction with self shows them.

        They differ where a phase belongs to the image or to the receivers by convention only. By default themselves.
        """
        return images

    def with_noise_level(self, noise_level: torch.Tensor | None) -> Self:
        """A copy that knows how noisy this scan is, float32[B or 1] (see `noise_level`)."""
        twin = copy.copy(self)
        twin.noise_level = noise_level
        return twin

    def table_terms(self, readings_per_shot: int = 1) -> TableTerms:
        """The words for a table of a pattern, of which so many readings follow one excitation."""
        axes = tuple(f"axis_{axis}" for axis in range(len(self.grid_shape)))
        sizes = " ".join(f"{name}={size}" for name, size in zip(axes, self.grid_shape, strict=True))
        return TableTerms("reading", axes, header={"grid": sizes, "indices": "from 0", "rows": "one per reading"})

    @abstractmethod
    def spec(self) -> dict[str, Any]:
        """Constructor arguments, JSON-ready, without per-scan maps."""

    def per_unit(self, values: torch.Tensor) -> torch.Tensor:
        """values[…, K] -> […, K, 1, …], to broadcast against coefficients."""
        return values.reshape(*values.shape, *(1,) * len(self.coefficient_shape))
