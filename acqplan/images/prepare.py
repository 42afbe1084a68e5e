"""The data set that training uses: sized, normalised, with empty images left out."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from acqplan.core.errors import ImageError
from acqplan.core.math.transforms import fft_centred
from acqplan.core.seeding import torch_generator
from acqplan.images.resample import How, bin_pixels, binning_of, fit, tile_corners
from acqplan.images.split import NEARLY_EMPTY, Split
from acqplan.images.stack import ImageStack, Pixels
from acqplan.modalities.mri.coils import espirit_maps, principal_coils, simulated_maps, virtual
from acqplan.modalities.mri.phase import constant_phase, smooth_phase, with_phase
from acqplan.sensing.acquisition import Geometry

SCALE_PERCENTILE = 99.9
BACKGROUND_PERCENTILE = 1.0
MADE_UP_PHASE = (
    "Magnitude images: their phase was lost, and a random smooth one is made up; the evidence is milder than "
    "measured k-space would be."
)
COMBINED = (
    "Images of several coils are combined with maps from their own fully sampled centre: the combined image is the "
    "truth, and what its coils receive is simulated with these maps."
)
_CALIBRATION = 24  # width of the centre of k-space that maps of fully sampled raw data come from
_VIRTUAL_COILS = 8  # of raw data that are combined to an image of a single coil
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
    is_complex
        Arrays and batches are complex64 (MRI), else float32 (intensities).
    regions
        float32 or complex64 [h, w], each at least ``size``: where `batch` crops from. Empty
        where training images are whole slices.
    min_energy
        For each region, the mean square below which a crop counts as empty.
    warnings
        Of the images and of the split.
    n_coils
        Receive coils; 1 is a single uniform one.
    seed
        Of the simulated maps that a training image keeps (`maps_of`).
    """

    train: tuple[ImageRecord, ...]
    validation: tuple[ImageRecord, ...]
    test: tuple[ImageRecord, ...]
    size: tuple[int, int]
    is_complex: bool
    regions: tuple[torch.Tensor, ...] = ()
    min_energy: tuple[float, ...] = ()
    warnings: tuple[str, ...] = ()
    n_coils: int = 1
    seed: int = 0

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

        Augmented images are flipped at random along each axis. Magnitudes get a new random
        smooth phase (`phase.smooth_phase`) where the data are complex; images with a phase of
        their own get a random constant added to it. Intensities are cropped anywhere from the
        training regions, and square ones turned by multiples of 90°. All is drawn from
        ``generator`` (on the CPU); the global random state is neither used nor changed.
        """
        return self.coil_batch(batch_size, generator, augment=augment)[0]

    def coil_batch(
        self, batch_size: int, generator: torch.Generator, *, augment: bool = True
    ) -> tuple[torch.Tensor, torch.Tensor | None]:
        """As `batch`, and the coil maps complex64[B, C, H, W] of each image, None of a single uniform coil.

        Maps of raw data are turned with their image; others are simulated anew. Their random numbers follow those of
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
        if augment and self.is_complex:
            images = self._random_phase(images, is_magnitude, generator)
        draws = torch.randint(2, (batch_size, 3), generator=generator).tolist() if augment else [(0, 0, 0)] * batch_size
        images = torch.stack([self._turned(image, draw) for image, draw in zip(images, draws, strict=True)])
        if self.n_coils == 1:
            return images, None
        maps = []
        for record, draw in zip(records, draws, strict=True):
            if record is None or record.coil_maps is None:
                maps.append(simulated_maps(self.n_coils, self.size, generator))
            else:
                maps.append(self._turned(torch.from_numpy(record.coil_maps), draw))
        return images, torch.stack(maps)

    @property
    def maps_source(self) -> str:
        """Where the coil maps of these images come from."""
        if self.n_coils == 1:
            return "none"
        measured = [record.has_own_maps for record in (*self.train, *self.validation, *self.test)]
        return "estimated from raw data" if all(measured) else "partly simulated" if any(measured) else "simulated"

    def maps_of(self, record: ImageRecord) -> torch.Tensor | None:
        """The coil maps complex64[C, H, W] of one image, None of a single coil; simulated ones are always the same."""
        if self.n_coils == 1:
            return None
        maps = record.coil_maps
        if maps is None:
            maps = _fixed_maps(self.n_coils, self.size, self.seed, record.subject, record.source, record.index)
        return torch.from_numpy(maps)

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

    def _random_phase(
        self, images: torch.Tensor, is_magnitude: torch.Tensor, generator: torch.Generator
    ) -> torch.Tensor:
        n = images.shape[0]
        smooth, constant = smooth_phase(n, self.size, generator), constant_phase(n, generator)
        lost = is_magnitude[:, None, None]
        return with_phase(torch.where(lost, images.abs().to(images.dtype), images), torch.where(lost, smooth, constant))

    def _turned(self, image: torch.Tensor, draw: Sequence[int]) -> torch.Tensor:
        """image[…, H, W] flipped up-down and left-right and, if square and real, transposed, as 0 or 1 say."""
        axes = [axis - 2 for axis, flip in enumerate(draw[:2]) if flip]
        image = torch.flip(image, axes) if axes else image
        may_transpose = not self.is_complex and self.size[0] == self.size[1]
        return image.mT if may_transpose and draw[2] else image


def prepare(
    split: Split,
    size: tuple[int, int],
    *,
    how: How = "resample",
    is_complex: bool = True,
    binning: int | None = None,
    seed: int = 0,
    keep_empty: bool = False,
    n_coils: int = 1,
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
    is_complex
        True for MRI: the subject's 99.9th percentile magnitude becomes 1, and a magnitude gets
        a smooth phase that depends on ``seed``, subject and slice only. False for intensities:
        the subject's 1st percentile, the background, is subtracted, what is negative set to
        zero, and the 99.9th percentile becomes 1.
    binning
        Of ``"crop"`` only: pixels along each side averaged into one; None: what the stack
        recommends, else 1.
    seed
        Of the made-up phases and the simulated coil maps.
    keep_empty
        Leave no image out: a whole volume.
    n_coils
        Receive coils. Raw data of several coils are compressed to so many virtual ones, with maps by ESPIRiT from
        the centre of their own k-space at the new size, and combined with these maps to a complex image; all other
        images get simulated maps. With 1, raw data are combined in the same way, and then taken as those of one coil.

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
        name: [_sized(stack, size, how, is_complex, binning) for stack in stacks] for name, stacks in parts.items()
    }
    everything = [stack for stacks in resized.values() for stack in stacks]
    levels = {
        subject: _levels([s for s in everything if s.subject == subject], is_complex)
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
    for name, stacks in normalised.items():
        coils = _Coils(n_coils, name != "train", seed)
        records[name] = tuple(
            r for s in stacks for r in _records(s, size, is_complex, min_energy[s.subject], seed, coils)
        )
        if stacks and not records[name]:
            raise ImageError(
                f"No {name} image is left: all are nearly empty.", "Give more images, or hold out another fraction."
            )
    regions = []
    if how == "crop":
        regions = [(torch.from_numpy(im), min_energy[s.subject]) for s in normalised["train"] for im in s.images]
    warnings = [w for stacks in parts.values() for s in stacks for w in s.warnings] + list(split.warnings)
    if is_complex and any(stack.is_magnitude for stack in everything):
        warnings.append(MADE_UP_PHASE)
    if any(stack.coil_images is not None for stack in everything):
        warnings.append(COMBINED)
    return TrainingImages(
        **records,
        size=size,
        is_complex=is_complex,
        regions=tuple(region for region, _ in regions),
        min_energy=tuple(energy for _, energy in regions),
        warnings=tuple(dict.fromkeys(warnings)),
        n_coils=n_coils,
        seed=seed,
    )


def _sized(stack: ImageStack, size: tuple[int, int], how: How, is_complex: bool, binning: int | None) -> ImageStack:
    if not is_complex and np.iscomplexobj(stack.images):
        raise ImageError(f"{stack.source} is complex; intensities are expected.", "Give images of intensities.")
    if how != "crop":
        return fit(stack, size, how)
    binning = binning_of(stack, binning)
    fit(stack, size, how, binning)  # refuses images that are too small
    return bin_pixels(stack, binning)


def _levels(stacks: list[ImageStack], is_complex: bool) -> tuple[float, float]:
    """(background, scale) of one subject."""
    magnitudes = np.concatenate([np.abs(s.images).ravel() for s in stacks])
    background = 0.0 if is_complex else float(np.percentile(magnitudes, BACKGROUND_PERCENTILE))
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
    stack: ImageStack, size: tuple[int, int], is_complex: bool, min_energy: float, seed: int, coils: _Coils
) -> list[ImageRecord]:
    records = []
    tiles = _tiles(stack, size)
    if stack.coil_images is not None:
        stack = coils.compressed(stack)
    for number, (i, corner) in enumerate(tiles):
        array = _cut(stack, i, corner, size)
        if _energy(array) < min_energy or not (array.any() or min_energy < 0):
            continue
        index = stack.first_slice + i if len(tiles) == stack.n_slices else number
        maps = None
        if stack.coil_images is not None:
            array, maps = coils.combined(stack.coil_images[i])
        elif is_complex:
            array = array.astype(np.complex64)
            maps = coils.simulated(size, stack, index)
            if stack.is_magnitude:
                stream = f"phase:{stack.subject}:{Path(stack.source).name}:{index}"
                phase = smooth_phase(1, size, torch_generator(seed, stream))
                array = with_phase(torch.from_numpy(array)[None], phase)[0].numpy()
        geometry = stack.slice_geometry(i)
        if geometry is not None:
            geometry = geometry.moved((float(corner[0]), float(corner[1]), 0.0))
        records.append(
            ImageRecord(
                array=np.ascontiguousarray(array),
                subject=stack.subject,
                source=stack.source,
                index=index,
                data_range=float(np.abs(array).max()),
                is_magnitude=stack.is_magnitude,
                geometry=geometry,
                coil_maps=maps,
                has_own_maps=stack.coil_images is not None,
            )
        )
    return records


@dataclass(frozen=True)
class _Coils:
    """How the images of one part get their coil maps; ``fixes_simulated``: simulated maps are made here."""

    n: int
    fixes_simulated: bool
    seed: int

    def simulated(self, size: tuple[int, int], stack: ImageStack, index: int) -> npt.NDArray[np.complex64] | None:
        """Fixed by seed, subject, file and slice."""
        if self.n == 1 or not self.fixes_simulated:
            return None
        return _fixed_maps(self.n, size, self.seed, stack.subject, stack.source, index)

    def compressed(self, stack: ImageStack) -> ImageStack:
        """The stack with the virtual coils that receive most of the centre of its k-space."""
        assert stack.coil_images is not None
        centres = np.stack([_centre_of_kspace(each) for each in stack.coil_images], axis=1)
        basis = principal_coils(centres).first(self.n if self.n > 1 else _VIRTUAL_COILS)
        return replace(stack, coil_images=virtual(stack.coil_images, basis, axis=1))

    def combined(
        self, coil_images: npt.NDArray[np.complex64]
    ) -> tuple[npt.NDArray[np.complex64], npt.NDArray[np.complex64] | None]:
        """coil_images[C, H, W] of virtual coils -> the image Σ conj(S)·coil image, and maps [n, H, W]."""
        first = np.eye(len(coil_images), dtype=np.complex64)[0]
        maps = espirit_maps(_centre_of_kspace(coil_images), coil_images.shape[1:], first)
        image = (maps.conj() * coil_images).sum(0)
        if self.n == 1:
            return image, None
        missing = np.zeros((self.n - len(maps), *maps.shape[1:]), np.complex64)
        return image, np.concatenate([maps, missing])


def _centre_of_kspace(coil_images: npt.NDArray[np.complex64]) -> npt.NDArray[np.complex64]:
    """[C, H, W] -> k-space [C, width, width]."""
    kspace = fft_centred(torch.from_numpy(coil_images), (-2, -1)).numpy()
    rows, columns = kspace.shape[1:]
    width = min(_CALIBRATION, rows, columns)
    top, left = rows // 2 - width // 2, columns // 2 - width // 2
    return np.ascontiguousarray(kspace[:, top : top + width, left : left + width])


def _fixed_maps(
    n_coils: int, size: tuple[int, int], seed: int, subject: str, source: str, index: int
) -> npt.NDArray[np.complex64]:
    """Simulated maps that depend on these names and numbers only."""
    generator = torch_generator(seed, f"coils:{subject}:{Path(source).name}:{index}")
    maps: npt.NDArray[np.complex64] = simulated_maps(n_coils, size, generator).numpy()
    return maps
