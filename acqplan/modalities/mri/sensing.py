"""Cartesian MRI: k-space lines of a 2D slice, or ky–kz points of a 3D scan."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import torch

from acqplan.core.errors import AcquisitionError, RecipeError
from acqplan.core.math.hermitian import apply_hermitian
from acqplan.core.math.transforms import fft_centred, ifft_centred
from acqplan.core.registry import register
from acqplan.modalities.mri.settings import MIN_WIDTH
from acqplan.sensing.acquisition import Acquisition
from acqplan.sensing.model import SensingModel
from acqplan.sensing.table_terms import TableTerms

ENCODINGS = ("lines", "points")
NO_POINTS_IN_2D = (
    "A 2D scan of slices encodes one axis by phase (ky) and samples the other in every readout, so it measures whole "
    "lines; points need two phase-encoded axes (ky and kz), which only a 3D scan has."
)
"""Why a pattern of points isn't one for slices, for messages."""
_WHOLE = 0.999  # count of a unit that was measured; a designer that learns may keep a share of others in training


@register("sensing", "cartesian_mri")
class CartesianMRI(SensingModel):
    """Fourier encoding with coil sensitivities: coefficient = F(Sᵢ · image), centred and orthonormal.

    Parameters
    ----------
    image_shape
        (rows, columns). ``lines``: (ky, readout). ``points``: (ky, kz); the readout of the 3D scan
        is perpendicular to the image, kept whole, and already inverse-transformed.
    encoding
        ``lines``: a unit is a ky line, its reading complex64[coils, columns].
        ``points``: a unit is a ky–kz position (both axes phase-encoded), its reading complex64[coils].
    coil_maps
        complex64[C, *image_shape] sensitivities Sᵢ; [B, C, *image_shape] for each image of a batch its own, which
        then has to have B images; or None for one uniform coil. Per-scan calibration: not part of `spec`. With
        Σᵢ|Sᵢ|² = 1 the model is an isometry.
    """

    several_remedy = "If these are several coils, the file has to hold their coil maps."

    def __init__(
        self,
        image_shape: tuple[int, int] | list[int],
        encoding: str = "points",
        coil_maps: torch.Tensor | npt.NDArray[np.complex64] | None = None,
    ) -> None:
        super().__init__()
        if encoding not in ENCODINGS:
            raise RecipeError(f"There is no MRI encoding {encoding!r}.", f"Choose one of: {', '.join(ENCODINGS)}.")
        rows, columns = (int(side) for side in image_shape)
        if rows < 2 or columns < 2:
            raise RecipeError(f"An image of {rows}x{columns} is too small.", "Give at least 2x2.")
        self.image_shape = (rows, columns)
        self.encoding = encoding
        self.is_complex = True
        if isinstance(coil_maps, np.ndarray):
            coil_maps = torch.from_numpy(coil_maps.astype(np.complex64))  # a copy: the caller's may change
        maps = None if coil_maps is None else coil_maps.to(torch.complex64)
        if maps is not None and (maps.ndim not in (3, 4) or tuple(maps.shape[-2:]) != self.image_shape):
            raise AcquisitionError(
                f"The coil maps have shape {tuple(maps.shape)}, expected (coils, {rows}, {columns}).",
                "Give one map per coil at the size of the image.",
            )
        self.coil_maps: torch.Tensor | None
        self.register_buffer("coil_maps", maps, persistent=False)
        # For `gram`, which transforms the encoded axes only: of lines they stand last, where transforms are fastest.
        self._encoded_maps: torch.Tensor | None
        self._encoded_conjugates: torch.Tensor | None
        encoded = maps.mT.contiguous() if maps is not None and encoding == "lines" else maps
        conjugates = None if encoded is None else encoded.conj().resolve_conj()
        self.register_buffer("_encoded_maps", encoded, persistent=False)
        self.register_buffer("_encoded_conjugates", conjugates, persistent=False)
        n_coils = 1 if maps is None else maps.shape[-3]
        self.unit_name = "line" if encoding == "lines" else "point"
        self.grid_shape = (rows,) if encoding == "lines" else (rows, columns)
        self.reading_shape = (n_coils, columns) if encoding == "lines" else (n_coils,)
        self.coefficient_shape = self.reading_shape
        self.is_unitary = maps is None
        energy = torch.ones(1, 1) if maps is None else torch.view_as_real(maps).square().sum((-4, -1))
        self.is_isometry = bool(torch.allclose(energy, torch.ones((), device=energy.device), atol=1e-4))
        self._gain_bound: torch.Tensor
        self.register_buffer("_gain_bound", energy.amax((-2, -1)), persistent=False)

    @property
    def gain_bound(self) -> torch.Tensor:
        bound = self._gain_bound
        return bound if bound.ndim == 0 else bound[:, None, None]

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        coil_images = image[:, None]
        if self.coil_maps is not None:
            coil_images = coil_images * self.coil_maps
        kspace = fft_centred(coil_images, (-2, -1))
        return self.from_grid(kspace)

    def decode(self, readings: torch.Tensor) -> torch.Tensor:
        return readings

    def adjoint(self, coefficients: torch.Tensor) -> torch.Tensor:
        coil_images = ifft_centred(self.to_grid(coefficients), (-2, -1))
        if self.coil_maps is None:
            return coil_images[:, 0]
        return (coil_images * self.coil_maps.conj()).sum(1)

    def gram_with(self, weights: torch.Tensor) -> Callable[[torch.Tensor], torch.Tensor]:
        # Multiplying k-space is a circular convolution, for lines one along ky. It commutes with circular shifts of the
        # image: only the weights have to be shifted.
        is_lines = self.encoding == "lines"
        axes = (-1,) if is_lines else (-2, -1)
        grid = weights.reshape(weights.shape[0], 1, *((1,) if is_lines else ()), *self.grid_shape)
        grid = torch.fft.ifftshift(grid, dim=axes)
        pairs = None if grid.requires_grad else torch.stack([grid, grid], -1)  # of real and imaginary parts

        def filtered(coil_images: torch.Tensor) -> torch.Tensor:
            kspace = torch.fft.fftn(coil_images, dim=axes)
            if pairs is None:
                kspace = kspace * grid
            else:
                torch.view_as_real(kspace).mul_(pairs)
            filtered: torch.Tensor = torch.fft.ifftn(kspace, dim=axes)
            return filtered

        def of_one_coil(coil_image: torch.Tensor) -> torch.Tensor:
            return filtered(coil_image[:, None])[:, 0]

        def convolved(image: torch.Tensor) -> torch.Tensor:
            image = image.mT.contiguous() if is_lines else image
            if self._encoded_maps is None or self._encoded_conjugates is None:
                combined = filtered(image[:, None])[:, 0]
            elif pairs is None or image.is_cuda:
                combined = (filtered(image[:, None] * self._encoded_maps) * self._encoded_conjugates).sum(1)
            else:
                combined = coil_by_coil(image, self._encoded_maps, self._encoded_conjugates, of_one_coil)
            return combined.mT.contiguous() if is_lines else combined

        return convolved if pairs is None else lambda image: apply_hermitian(convolved, image)

    def to_grid(self, coefficients: torch.Tensor) -> torch.Tensor:
        """[B, K, *reading_shape] -> k-space[B, C, rows, columns]."""
        if self.encoding == "lines":
            return coefficients.movedim(1, 2)
        grid: torch.Tensor = coefficients.movedim(1, 2).unflatten(-1, self.image_shape)
        return grid

    def from_grid(self, kspace: torch.Tensor) -> torch.Tensor:
        """k-space[B, C, rows, columns] -> [B, K, *reading_shape]."""
        if self.encoding == "lines":
            return kspace.movedim(1, 2)
        return kspace.flatten(2).movedim(1, 2)

    def acquired_shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """Of as many coils as there are."""
        return (shape[0] if shape else 1, *self.reading_shape[1:])

    def coordinates(self) -> npt.NDArray[np.float64]:
        axes = [(np.arange(n) - n // 2) / (n / 2) for n in self.grid_shape]
        return np.stack([axis.ravel() for axis in np.meshgrid(*axes, indexing="ij")], axis=-1)

    def distance(self) -> npt.NDArray[np.float64]:
        return np.asarray(np.linalg.norm(self.coordinates(), axis=-1))

    def self_calibrated(self, coefficients: torch.Tensor, counts: torch.Tensor) -> Self:
        """With coil maps from the widest centre of k-space that was measured completely, as `scan_with_maps` gives a
        scan; with the true ones where that is too narrow (`MIN_WIDTH`), and where there is a single coil.

        A coil whose map is zero isn't there: what is measured of it isn't looked at.
        """
        from acqplan.modalities.mri.coils.espirit import estimated_maps  # its package knows this model

        maps = self.coil_maps
        width = self.measured_width(np.flatnonzero((counts > _WHOLE).all(0).cpu().numpy()))
        if maps is None or maps.shape[-3] == 1 or width < MIN_WIDTH:
            return self
        units = torch.from_numpy(self.calibration_units(width).astype(np.int64)).to(coefficients.device)
        centre = coefficients[:, units].movedim(2, 1)
        if self.encoding == "points":
            centre = centre.unflatten(2, (width, width))
        is_there = (maps != 0).flatten(-2).any(-1)[..., None, None]
        return self.with_coil_maps(estimated_maps(centre * is_there, self.image_shape) * is_there)

    def seen_through(self, images: torch.Tensor, true: Self) -> torch.Tensor:
        if self.coil_maps is None or true.coil_maps is None or self.coil_maps is true.coil_maps:
            return images
        phase = (self.coil_maps.conj() * true.coil_maps).sum(-3).angle()
        return images * torch.polar(torch.ones_like(phase), phase)

    def calibration_units(self, width: int) -> npt.NDArray[np.int32]:
        if width < 0 or width > min(self.grid_shape):
            raise RecipeError(
                f"A calibration width of {width} doesn't fit a catalogue of {'x'.join(map(str, self.grid_shape))}.",
                f"Give a width from 0 to {min(self.grid_shape)}.",
            )
        return np.flatnonzero(_narrowest(self.grid_shape) <= width).astype(np.int32)

    def measured_width(self, units: npt.NDArray[np.integer]) -> int:
        is_missing = np.ones(self.n_units, dtype=bool)
        is_missing[units[(units >= 0) & (units < self.n_units)]] = False
        widest = min(self.grid_shape)
        return min(widest, int(_narrowest(self.grid_shape)[is_missing].min(initial=widest + 1)) - 1)

    def for_scan(self, acquisition: Acquisition) -> Self:
        if acquisition.coil_maps is None:
            return self
        return type(self)(self.image_shape, self.encoding, acquisition.coil_maps)

    def with_coil_maps(self, coil_maps: torch.Tensor | None) -> Self:
        return type(self)(self.image_shape, self.encoding, coil_maps)

    def table_terms(self, readings_per_shot: int = 1) -> TableTerms:
        axes = ("ky", "kz")[: len(self.grid_shape)]
        sizes = dict(zip(axes, self.grid_shape, strict=True))
        rows = "one per shot (one excitation and readout), in order of acquisition"
        if readings_per_shot > 1:
            rows = f"one per readout, in order of acquisition; every {readings_per_shot} follow one excitation"
        header = {
            "grid": " ".join(f"{name}={size}" for name, size in sizes.items()),
            "centre": " ".join(f"{name}={size // 2}" for name, size in sizes.items()),
            "indices": "from 0; the centre is frequency zero, so index minus centre is the step in 1/FOV",
            "rows": rows,
            "readings": "complex, prewhitened; repeat counts earlier measurements of the same position",
        }
        return TableTerms("shot", axes, header=header, per_shot="echo_train")

    def spec(self) -> dict[str, Any]:
        return {"image_shape": list(self.image_shape), "encoding": self.encoding}


@lru_cache(maxsize=16)
def _narrowest(grid_shape: tuple[int, ...]) -> npt.NDArray[np.int32]:
    """int32[K]: width of the narrowest central region that each unit belongs to."""
    offsets = [np.arange(n) - n // 2 for n in grid_shape]
    widths = [np.where(offset < 0, -2 * offset, 2 * offset + 1) for offset in offsets]
    return np.asarray(np.stack(np.meshgrid(*widths, indexing="ij")).max(0).ravel().astype(np.int32))


def coil_by_coil(
    image: torch.Tensor,
    maps: torch.Tensor,
    conjugates: torch.Tensor,
    operator: Callable[[torch.Tensor], torch.Tensor],
) -> torch.Tensor:
    """Σᵢ conjugatesᵢ · operator(mapsᵢ · image) of image[B, H, W] and maps[B or none, C, H, W]: [B, H, W].

    One coil stays in the processor's cache, where all of them don't.
    """
    combined: torch.Tensor | None = None
    for each, conjugate in zip(maps.unbind(-3), conjugates.unbind(-3), strict=True):
        coil_image = operator(image * each)
        combined = coil_image * conjugate if combined is None else combined.addcmul_(coil_image, conjugate)
    assert combined is not None
    return combined
