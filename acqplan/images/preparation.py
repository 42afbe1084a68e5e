"""How images of files become images that an instrument would see: what a modality adds to sizing and normalising."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import torch

from acqplan.core.errors import ImageError
from acqplan.images.stack import ImageStack, Pixels

if TYPE_CHECKING:
    from acqplan.images.prepare import ImageRecord

Maps = npt.NDArray[np.complex64]


class Preparation:
    """Real images of intensities as they are: the base, and what most instruments need.

    Attributes
    ----------
    is_complex
        Prepared images are complex64, else float32.
    may_transpose
        Square images may be transposed in training: rows and columns are worth the same.
    n_coils
        Receivers that see the image at most, each with a sensitivity of its own; 1 is a single uniform one.
    """

    is_complex = False
    may_transpose = True
    n_coils = 1

    def check(self, stack: ImageStack) -> None:
        """Raise `ImageError` for images of another kind."""
        if np.iscomplexobj(stack.images):
            raise ImageError(f"{stack.source} is complex; intensities are expected.", "Give images of intensities.")

    def background(self, magnitudes: npt.NDArray[np.float32]) -> float:
        """What is subtracted from a subject's images, in their units."""
        return 0.0

    def compressed(self, stack: ImageStack) -> ImageStack:
        """A stack with images of several receivers, with as many as the plan is for."""
        return stack

    def seen(
        self, array: Pixels, stack: ImageStack, i: int, index: int, seed: int, *, fixes_maps: bool
    ) -> tuple[Pixels, Maps | None]:
        """An image [H, W] cut from image ``i`` of a stack as the instrument would see it, and its receivers' maps.

        ``index`` is the image's number in its file; what is made up depends on it, the stack's subject and file, and
        ``seed`` only. Without ``fixes_maps``, maps that are made up are left to training, new ones in every batch.
        """
        return array, None

    def augmented(self, images: torch.Tensor, is_magnitude: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        """Training images [B, H, W] with what differs from scan to scan drawn anew."""
        return images

    def batch_maps(
        self,
        images: torch.Tensor,
        records: Sequence[ImageRecord | None],
        turned: Sequence[Callable[[torch.Tensor], torch.Tensor]],
        generator: torch.Generator,
    ) -> torch.Tensor | None:
        """complex64[B, C, H, W] for a batch of images[B, H, W], or None of one receiver.

        ``turned`` turns a record's maps as its image was.
        """
        return None

    def fixed_maps(self, record: ImageRecord, seed: int) -> torch.Tensor | None:
        """The maps complex64[C, H, W] of one image, always the same; None: one receiver."""
        return None

    def warnings(self, stacks: Sequence[ImageStack]) -> list[str]:
        """What a user should know about images prepared like this."""
        return []
