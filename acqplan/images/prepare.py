"""The data set that training uses: sized, normalised, with empty images left out."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from itertools import count
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from acqplan.core.errors import ImageError
from acqplan.core.following import Follower, unfollowed
from acqplan.images.preparation import Preparation
from acqplan.images.resample import How, bin_pixels, binning_of, fit, tile_corners
from acqplan.images.split import NEARLY_EMPTY, Split
from acqplan.images.stack import ImageStack, Pixels
from acqplan.sensing.acquisition import Geometry

SCALE_PERCENTILE = 99.9
_TRIES = 20  # random crops drawn before a tile of the grid is taken instead


@dataclass(frozen=True, eq=False)
class ImageRecord:
    """One image at the size of the plan.

    Parameters
    ----------
    array
        complex64 or float32 [H, W], in units of its subject's scale.
    subject, source
        As in `ImageStack`.
    index
        Number of the slice in its file, or of the tile in its part of the file.
    data_range
        Largest magnitude in ``array``: the peak of PSNR and SSIM.
    is_magnitude
        ``array`` was a magnitude; the phase that it now has, if complex, is made up.
    geometry
        Voxel index (row, column, 0) to millimetres, or None.
    coil_maps
        complex64 [C, H, W], Σ|S|² = 1 (0 of a coil that isn't there), of the coils that receive ``array``; None: one
        uniform coil, or, of a training image, simulated maps that are new in every batch.
    has_own_maps
        They were estimated from the image's own raw data.
    """

    array: Pixels
    subject: str
    source: str
    index: int
    data_range: float
    is_magnitude: bool
    geometry: Geometry | None = None
    coil_maps: npt.NDArray[np.complex64] | None = None
    has_own_maps: bool = False


@dataclass(frozen=True, eq=False)
class TrainingImages:
    """Images ready for training, validation and test.

    Parameters
    ----------
    train, validation, test
        Records, all of the same size. Of microscopy: tiles on a fixed grid, side by side.
    size
        Rows and columns.
    preparation
        How they were prepared, and are augmented: complex64 or float32, one receiver or several.
    regions
        float32 or complex64 [h, w], each at least ``size``: where `batch` crops from. Empty
        where training images are whole slices.
    min_energy
        For each region, the mean square below which a crop counts as empty.
    warnings
        Of the images and of the split.
    seed
        Of what was made up, and of the simulated maps that a training image keeps (`maps_of`).
    """

    train: tuple[ImageRecord, ...]
    validation: tuple[ImageRecord, ...]
    test: tuple[ImageRecord, ...]
    size: tuple[int, int]
    preparation: Preparation = field(default_factory=Preparation)
    regions: tuple[torch.Tensor, ...] = ()
    min_energy: tuple[float, ...] = ()
    warnings: tuple[str, ...] = ()
    seed: int = 0

    @property
    def n_coils(self) -> int:
        """Receive coils; 1 is a single uniform one."""
        return self.preparation.n_coils

    @cached_property
    def _train_stack(self) -> torch.Tensor:
        return torch.from_numpy(np.stack([record.array for record in self.train]))

    @cached_property
    def _train_is_magnitude(self) -> torch.Tensor:
        return torch.tensor([record.is_magnitude for record in self.train])

    @cached_property
    def _region_weights(self) -> torch.Tensor:
        """How many crops each region holds."""
        return torch.tensor(
            [(r.shape[0] - self.size[0] + 1) * (r.shape[1] - self.size[1] + 1) for r in self.regions],
            dtype=torch.float64,
        )

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 over every prepared array, its part, subject and number."""
        digest = hashlib.sha256()
        for part in ("train", "validation", "test"):
            for record in getattr(self, part):
                name = f"{part}:{record.subject}:{record.index}:{record.array.dtype}:{record.array.shape}\n"
                digest.update(name.encode() + np.ascontiguousarray(record.array).tobytes())
                if record.coil_maps is not None:
                    digest.update(f"maps:{record.coil_maps.shape}\n".encode() + record.coil_maps.tobytes())
        for region in self.regions:
            digest.update(f"region:{tuple(region.shape)}\n".encode() + region.contiguous().numpy().tobytes())
        return digest.hexdigest()

    def batch(self, batch_size: int, generator: torch.Generator, *, augment: bool = True) -> torch.Tensor:
        """Training images drawn at random, with replacement: [B, H, W], complex64 or float32.

        Augmented images are flipped at random along each axis, and get what the instrument's preparation draws anew
        (a phase). Tiles are cropped anywhere from the training regions, and square ones turned by multiples of 90°
        where the preparation allows it. All is drawn from ``generator`` (on the CPU); the global random state is
        neither used nor changed.
        """
        return self.coil_batch(batch_size, generator, augment=augment)[0]

    def coil_batch(
        self, batch_size: int, generator: torch.Generator, *, augment: bool = True
    ) -> tuple[torch.Tensor, torch.Tensor | None]:
        """As `batch`, and the true coil maps complex64[B, C, H, W] of each image, None of a single uniform coil.

        Maps of raw data are turned with their image; others are simulated anew. How many they are may differ from batch
        to batch. Their random numbers follow those of
        the images.
        """
        if augment and self.regions:
            images = torch.stack([self._random_crop(generator) for _ in range(batch_size)])
            is_magnitude = torch.full((batch_size,), self.train[0].is_magnitude)
            records: list[ImageRecord | None] = [None] * batch_size
        else:
            chosen = torch.randint(len(self.train), (batch_size,), generator=generator)
            images, is_magnitude = self._train_stack[chosen], self._train_is_magnitude[chosen]
            records = [self.train[int(i)] for i in chosen]
        if augment:
            images = self.preparation.augmented(images, is_magnitude, generator)
        draws = torch.randint(2, (batch_size, 3), generator=generator).tolist() if augment else [(0, 0, 0)] * batch_size
        images = torch.stack([self._turned(image, draw) for image, draw in zip(images, draws, strict=True)])
        turned = [partial(self._turned, draw=draw) for draw in draws]
        return images, self.preparation.batch_maps(images, records, turned, generator)

    @property
    def maps_source(self) -> str:
        """Where the coil maps of these images come from."""
        if self.n_coils == 1:
            return "none"
        measured = [record.has_own_maps for record in (*self.train, *self.validation, *self.test)]
        return "estimated from raw data" if all(measured) else "partly simulated" if any(measured) else "simulated"

    def maps_of(self, record: ImageRecord) -> torch.Tensor | None:
        """The coil maps complex64[C, H, W] of one image, None of a single coil; simulated ones are always the same."""
        return self.preparation.fixed_maps(record, self.seed)

    def _random_crop(self, generator: torch.Generator) -> torch.Tensor:
        for _ in range(_TRIES):
            i = int(torch.multinomial(self._region_weights, 1, generator=generator))
            region = self.regions[i]
            top, left = (
                int(torch.randint(have - want + 1, (1,), generator=generator))
                for have, want in zip(region.shape, self.size, strict=True)
            )
            crop = region[top : top + self.size[0], left : left + self.size[1]]
            if float(crop.abs().square().mean()) >= self.min_energy[i]:
                return crop
        return self._train_stack[int(torch.randint(len(self.train), (1,), generator=generator))]

    def _turned(self, image: torch.Tensor, draw: Sequence[int]) -> torch.Tensor:
        """image[…, H, W] flipped up-down and left-right and, if it may be, transposed, as 0 or 1 say."""
        axes = [axis - 2 for axis, flip in enumerate(draw[:2]) if flip]
        image = torch.flip(image, axes) if axes else image
        may_transpose = self.preparation.may_transpose and self.size[0] == self.size[1]
        return image.mT if may_transpose and draw[2] else image


def prepare(
    split: Split,
    size: tuple[int, int],
    *,
    how: How = "resample",
    preparation: Preparation,
    binning: int | None = None,
    seed: int = 0,
    keep_empty: bool = False,
    progress: Follower = unfollowed,
) -> TrainingImages:
    """Size, normalise and check the images of a split.

    Parameters
    ----------
    split
        Stacks to train on, validate and test with.
    size
        Rows and columns of the images of the plan.
    how
        ``"resample"``: every slice, with larger voxels (`resample.fit`). ``"crop"``: tiles side
        by side of the binned images; `TrainingImages.batch` crops anywhere.
    preparation
        What the instrument makes of them. The subject's background is subtracted, and its 99.9th percentile magnitude
        becomes 1.
    binning
        Of ``"crop"`` only: pixels along each side averaged into one; None: what the stack
        recommends, else 1.
    seed
        Of what is made up: phases, simulated coil maps.
    keep_empty
        Leave no image out: a whole volume.
    progress
        Told how many files are prepared.

    Percentiles are over all the images of a subject at their new size: a number that an
    instrument knows from a scout, not from the image that it is about to acquire. An image
    whose mean square is below 5 % of its subject's median (over images that aren't zero) is
    left out.

    Raises
    ------
    ImageError
        For images smaller than ``size``, complex images where intensities are expected, a
        subject without contrast, and a part of the split of which no image is left. A part that is
        given empty stays empty.
    """
    parts = {"train": split.train, "validation": split.validation, "test": split.test}
    resized = {
        name: [_sized(stack, size, how, preparation, binning) for stack in stacks] for name, stacks in parts.items()
    }
    everything = [stack for stacks in resized.values() for stack in stacks]
    levels = {
        subject: _levels([s for s in everything if s.subject == subject], preparation)
        for subject in {s.subject for s in everything}
    }
    normalised = {name: [_normalised(s, *levels[s.subject]) for s in stacks] for name, stacks in resized.items()}
    min_energy = {
        subject: NEARLY_EMPTY
        * _median_energy([s for n in normalised.values() for s in n if s.subject == subject], size)
        for subject in levels
    }
    if keep_empty:
        min_energy = dict.fromkeys(levels, -1.0)
    records: dict[str, tuple[ImageRecord, ...]] = {}
    n_images = sum(len(_tiles(stack, size)) for stack in everything)
    counted = count()

    def tell() -> None:
        progress("preparing images", next(counted), n_images)

    for name, stacks in normalised.items():
        records[name] = tuple(
            r
            for s in stacks
            for r in _records(s, size, preparation, min_energy[s.subject], seed, tell, fixes_maps=name != "train")
        )
        if stacks and not records[name]:
            raise ImageError(
                f"No {name} image is left: all are nearly empty.", "Give more images, or hold out another fraction."
            )
    regions = []
    if how == "crop":
        regions = [(torch.from_numpy(im), min_energy[s.subject]) for s in normalised["train"] for im in s.images]
    warnings = [w for stacks in parts.values() for s in stacks for w in s.warnings] + list(split.warnings)
    warnings += preparation.warnings(everything)
    return TrainingImages(
        **records,
        size=size,
        preparation=preparation,
        regions=tuple(region for region, _ in regions),
        min_energy=tuple(energy for _, energy in regions),
        warnings=tuple(dict.fromkeys(warnings)),
        seed=seed,
    )


def _sized(
    stack: ImageStack, size: tuple[int, int], how: How, preparation: Preparation, binning: int | None
) -> ImageStack:
    preparation.check(stack)
    if how != "crop":
        return fit(stack, size, how)
    binning = binning_of(stack, binning)
    fit(stack, size, how, binning)  # refuses images that are too small
    return bin_pixels(stack, binning)


def _levels(stacks: list[ImageStack], preparation: Preparation) -> tuple[float, float]:
    """(background, scale) of one subject."""
    magnitudes = np.concatenate([np.abs(s.images).ravel() for s in stacks])
    background = preparation.background(magnitudes)
    scale = float(np.percentile(magnitudes, SCALE_PERCENTILE)) - background
    if scale <= 0:
        raise ImageError(f"{stacks[0].source} has no contrast.", "Leave it out.")
    return background, scale


def _normalised(stack: ImageStack, background: float, scale: float) -> ImageStack:
    images: Pixels = stack.images / np.float32(scale)
    if background:
        images = np.clip(images.real - np.float32(background / scale), np.float32(0), None)
    if stack.coil_images is not None:
        stack = replace(stack, coil_images=stack.coil_images / np.float32(scale))
    return replace(stack, images=images)


def _tiles(stack: ImageStack, size: tuple[int, int]) -> list[tuple[int, tuple[int, int]]]:
    """(image number, top-left corner) of every tile; a whole image is one tile."""
    corners = tile_corners(stack.image_shape, size)
    return [(i, corner) for i in range(stack.n_slices) for corner in corners]


def _energy(array: npt.NDArray[Any]) -> float:
    return float(np.square(np.abs(array)).mean(dtype=np.float64))


def _cut(stack: ImageStack, i: int, corner: tuple[int, int], size: tuple[int, int]) -> npt.NDArray[Any]:
    return stack.images[i, corner[0] : corner[0] + size[0], corner[1] : corner[1] + size[1]]


def _median_energy(stacks: list[ImageStack], size: tuple[int, int]) -> float:
    energies = [_energy(_cut(s, i, corner, size)) for s in stacks for i, corner in _tiles(s, size)]
    return float(np.median([energy for energy in energies if energy > 0] or [0.0]))


def _records(
    stack: ImageStack,
    size: tuple[int, int],
    preparation: Preparation,
    min_energy: float,
    seed: int,
    tell: Callable[[], None],
    *,
    fixes_maps: bool,
) -> list[ImageRecord]:
    records = []
    tiles = _tiles(stack, size)
    if stack.coil_images is not None:
        stack = preparation.compressed(stack)
    for number, (i, corner) in enumerate(tiles):
        tell()
        array = _cut(stack, i, corner, size)
        if _energy(array) < min_energy or not (array.any() or min_energy < 0):
            continue
        index = stack.first_slice + i if len(tiles) == stack.n_slices else number
        image, maps = preparation.seen(array, stack, i, index, seed, fixes_maps=fixes_maps)
        pixels: npt.NDArray[Any] = np.ascontiguousarray(image)
        geometry = stack.slice_geometry(i)
        if geometry is not None:
            geometry = geometry.moved((float(corner[0]), float(corner[1]), 0.0))
        records.append(
            ImageRecord(
                array=pixels,
                subject=stack.subject,
                source=stack.source,
                index=index,
                data_range=float(np.abs(image).max()),
                is_magnitude=stack.is_magnitude,
                geometry=geometry,
                coil_maps=maps,
                has_own_maps=stack.coil_images is not None,
            )
        )
    return records
