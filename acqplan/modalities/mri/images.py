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
from acqplan.modalities.mri.coils import drawn_maps, espirit_maps, normalised, principal_coils, virtual
from acqplan.modalities.mri.contrast import recontrasted
from acqplan.modalities.mri.phase import constant_phase, made_up_phase, with_phase

if TYPE_CHECKING:
    from acqplan.images import ImageRecord

MADE_UP_PHASE = (
    "Magnitude images: their phase was lost, and a random one is made up; the evidence is milder than "
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
    """Complex images; a magnitude gets a phase that depends on itself, seed, subject, file and slice only.

    Parameters
    ----------
    n_coils
        Receive coils. Raw data of several coils are compressed to so many virtual ones, with maps by ESPIRiT from
        the centre of their own k-space at the new size, and combined with these maps to a complex image; all other
        images get maps that are drawn (`drawn_maps`). With 1, raw data are combined in the same way, and then taken as
        those of one coil. All are the true maps: a reconstruction gets those that it estimates.
    fewest_coils
        Of a range: every training batch is received by another number of coils, and every held-out image by its own.
    contrasts
        Half of the training images that are magnitudes are seen in a made-up contrast.
    """

    n_coils: int = 1
    fewest_coils: int | None = None
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
        maps = None
        if self.n_coils > 1 and fixes_maps:
            maps = self._named_maps(image, seed, stack.subject, stack.source, index)
        if stack.is_magnitude:
            stream = f"phase:{stack.subject}:{Path(stack.source).name}:{index}"
            magnitude = torch.from_numpy(image)[None]
            phase = made_up_phase(magnitude.real, torch_generator(seed, stream))
            image = with_phase(magnitude, phase)[0].numpy()
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
        """Magnitudes get a new made-up phase; images with a phase of their own keep it, but for a random constant."""
        if self.contrasts:
            images = torch.where(is_magnitude[:, None, None], recontrasted(images.abs(), generator), images)
        made_up, constant = made_up_phase(images.abs(), generator), constant_phase(images.shape[0], generator)
        lost = is_magnitude[:, None, None]
        return with_phase(
            torch.where(lost, images.abs().to(images.dtype), images), torch.where(lost, made_up, constant)
        )

    def batch_maps(
        self,
        images: torch.Tensor,
        records: Sequence[ImageRecord | None],
        turned: Sequence[Callable[[torch.Tensor], torch.Tensor]],
        generator: torch.Generator,
    ) -> torch.Tensor | None:
        """Maps of raw data, of which the first are taken, are turned with their image; others are drawn anew."""
        n_coils = self._number(generator)
        if n_coils == 1:
            return None
        maps = []
        for image, record, turn in zip(images, records, turned, strict=True):
            if record is None or record.coil_maps is None:
                maps.append(drawn_maps(n_coils, image, generator))
            else:
                maps.append(normalised(turn(torch.from_numpy(record.coil_maps[:n_coils]))))
        return torch.stack(maps)

    def fixed_maps(self, record: ImageRecord, seed: int) -> torch.Tensor | None:
        if self.n_coils == 1:
            return None
        if record.coil_maps is not None:
            return torch.from_numpy(record.coil_maps)
        return torch.from_numpy(self._named_maps(record.array, seed, record.subject, record.source, record.index))

    def _number(self, generator: torch.Generator) -> int:
        """How many coils receive a batch, or an image."""
        fewest = self.n_coils if self.fewest_coils is None else self.fewest_coils
        if fewest == self.n_coils:
            return fewest
        return int(torch.randint(fewest, self.n_coils + 1, (1,), generator=generator))

    def _named_maps(self, image: Pixels, seed: int, subject: str, source: str, index: int) -> Maps:
        """Maps that depend on these names and numbers, and the image, only: zero of coils that aren't there."""
        generator = torch_generator(seed, f"coils:{subject}:{Path(source).name}:{index}")
        maps = drawn_maps(self._number(generator), torch.from_numpy(image), generator).numpy()
        return np.concatenate([maps, np.zeros((self.n_coils - len(maps), *maps.shape[1:]), np.complex64)])

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
