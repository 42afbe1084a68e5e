"""Images that a scanner would receive: with a phase, and through coils."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

from acqplan.core.math.transforms import fft_centred
from acqplan.core.seeding import torch_generator
from acqplan.images.preparation import Maps, Preparation
from acqplan.images.stack import ImageStack, Pixels
from acqplan.modalities.mri.coils import espirit_maps, principal_coils, simulated_maps, virtual
from acqplan.modalities.mri.contrast import recontrasted
from acqplan.modalities.mri.phase import constant_phase, smooth_phase, with_phase

if TYPE_CHECKING:
    from acqplan.images import ImageRecord

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


@dataclass(frozen=True)
class MRImages(Preparation):
    """Complex images; a magnitude gets a smooth phase that depends on seed, subject, file and slice only.

    Parameters
    ----------
    n_coils
        Receive coils. Raw data of several coils are compressed to so many virtual ones, with maps by ESPIRiT from
        the centre of their own k-space at the new size, and combined with these maps to a complex image; all other
        images get simulated maps. With 1, raw data are combined in the same way, and then taken as those of one coil.
    contrasts
        Half of the training images that are magnitudes are seen in a made-up contrast.
    """

    n_coils: int = 1
    contrasts: bool = False
    is_complex = True
    may_transpose = False

    def check(self, stack: ImageStack) -> None:
        """Magnitudes and complex images are both taken."""

    def compressed(self, stack: ImageStack) -> ImageStack:
        """The stack with the virtual coils that receive most of the centre of its k-space."""
        assert stack.coil_images is not None
        centres = np.stack([_centre_of_kspace(each) for each in stack.coil_images], axis=1)
        basis = principal_coils(centres).first(self.n_coils if self.n_coils > 1 else _VIRTUAL_COILS)
        return replace(stack, coil_images=virtual(stack.coil_images, basis, axis=1))

    def seen(
        self, array: Pixels, stack: ImageStack, i: int, index: int, seed: int, *, fixes_maps: bool
    ) -> tuple[Pixels, Maps | None]:
        if stack.coil_images is not None:
            return self._combined(stack.coil_images[i])
        image = array.astype(np.complex64)
        rows, columns = image.shape
        maps = None
        if self.n_coils > 1 and fixes_maps:
            maps = _named_maps(self.n_coils, (rows, columns), seed, stack.subject, stack.source, index)
        if stack.is_magnitude:
            stream = f"phase:{stack.subject}:{Path(stack.source).name}:{index}"
            phase = smooth_phase(1, (rows, columns), torch_generator(seed, stream))
            image = with_phase(torch.from_numpy(image)[None], phase)[0].numpy()
        return image, maps

    def _combined(self, coil_images: Maps) -> tuple[Maps, Maps | None]:
        """coil_images[C, H, W] of virtual coils -> the image Σ conj(S)·coil image, and maps [n, H, W]."""
        first = np.eye(len(coil_images), dtype=np.complex64)[0]
        rows, columns = coil_images.shape[1:]
        maps = espirit_maps(_centre_of_kspace(coil_images), (rows, columns), first)
        image = (maps.conj() * coil_images).sum(0)
        if self.n_coils == 1:
            return image, None
        missing = np.zeros((self.n_coils - len(maps), *maps.shape[1:]), np.complex64)
        return image, np.concatenate([maps, missing])

    def augmented(self, images: torch.Tensor, is_magnitude: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        """Magnitudes get a new random smooth phase; images with a phase of their own a random constant added to it."""
        n, size = images.shape[0], (images.shape[1], images.shape[2])
        if self.contrasts:
            images = torch.where(is_magnitude[:, None, None], recontrasted(images.abs(), generator), images)
        smooth, constant = smooth_phase(n, size, generator), constant_phase(n, generator)
        lost = is_magnitude[:, None, None]
        return with_phase(torch.where(lost, images.abs().to(images.dtype), images), torch.where(lost, smooth, constant))

    def batch_maps(
        self,
        records: Sequence[ImageRecord | None],
        turned: Sequence[Callable[[torch.Tensor], torch.Tensor]],
        size: tuple[int, int],
        generator: torch.Generator,
    ) -> torch.Tensor | None:
        """Maps of raw data are turned with their image; others are simulated anew."""
        if self.n_coils == 1:
            return None
        maps = []
        for record, turn in zip(records, turned, strict=True):
            if record is None or record.coil_maps is None:
                maps.append(simulated_maps(self.n_coils, size, generator))
            else:
                maps.append(turn(torch.from_numpy(record.coil_maps)))
        return torch.stack(maps)

    def fixed_maps(self, record: ImageRecord, size: tuple[int, int], seed: int) -> torch.Tensor | None:
        if self.n_coils == 1:
            return None
        if record.coil_maps is not None:
            return torch.from_numpy(record.coil_maps)
        return torch.from_numpy(_named_maps(self.n_coils, size, seed, record.subject, record.source, record.index))

    def warnings(self, stacks: Sequence[ImageStack]) -> list[str]:
        told = []
        if any(stack.is_magnitude for stack in stacks):
            told.append(MADE_UP_PHASE)
        if any(stack.coil_images is not None for stack in stacks):
            told.append(COMBINED)
        told += _mixed_coils(stacks)
        return told


def _mixed_coils(stacks: Sequence[ImageStack]) -> list[str]:
    """A sentence where some raw data have several coils and other files one."""
    files = {stack.source: stack.n_coils for stack in stacks}
    several = sorted(n for n in files.values() if n > 1)
    if not several or len(several) == len(files):
        return []
    single = next(source for source, n in files.items() if n == 1)
    counts = f"{several[0]}" if several[0] == several[-1] else f"{several[0]} to {several[-1]}"
    return [
        f"{len(several)} of {len(files)} files hold raw data of {counts} coils, the others of one ({single}, …): their "
        "coils are simulated or left out, so that evidence and network are of two kinds of data. Design from one kind."
    ]


def _centre_of_kspace(coil_images: Maps) -> Maps:
    """[C, H, W] -> k-space [C, width, width]."""
    kspace = fft_centred(torch.from_numpy(coil_images), (-2, -1)).numpy()
    rows, columns = kspace.shape[1:]
    width = min(_CALIBRATION, rows, columns)
    top, left = rows // 2 - width // 2, columns // 2 - width // 2
    return np.ascontiguousarray(kspace[:, top : top + width, left : left + width])


def _named_maps(n_coils: int, size: tuple[int, int], seed: int, subject: str, source: str, index: int) -> Maps:
    """Simulated maps that depend on these names and numbers only."""
    generator = torch_generator(seed, f"coils:{subject}:{Path(source).name}:{index}")
    maps: Maps = simulated_maps(n_coils, size, generator).numpy()
    return maps
