"""What training tells while it runs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Progress:
    """Where a training is.

    ``phase`` is ``joint``, ``search`` or ``fine-tune``; ``step`` of ``n_steps`` counts steps of the whole training,
    in a search its rounds. ``psnr_db`` is the latest on validation images, in a search the best pattern's on the
    images that it chooses by; None before the first. ``loss`` is None in a search.
    """

    phase: str
    step: int
    n_steps: int
    loss: float | None
    psnr_db: float | None
    remaining_s: float


Listener = Callable[[Progress], None]
