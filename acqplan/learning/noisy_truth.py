"""Held-out images whose own noise hides what a plan is worth."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from acqplan.images import ImageRecord
from acqplan.images.own_noise import own_noise
from acqplan.learning.evaluation import Evaluation


def noisy_truth_warnings(held_out: Evaluation, records: Sequence[ImageRecord]) -> list[str]:
    """Subjects whose held-out images are so noisy themselves that the figures say little about the plan.

    An image counts where its own noise has at least half of the energy of the plan's error; a subject is told of where
    most of its images count.
    """
    noise_of: dict[str, list[float]] = {}
    n_images: dict[str, int] = {}
    for row, record in zip(held_out.rows, records, strict=True):
        noise = own_noise(record.array) / float(record.data_range)
        n_images[record.subject] = n_images.get(record.subject, 0) + 1
        if noise**2 >= 0.5 * 10 ** (-row["plan"]["psnr_db"] / 10):
            noise_of.setdefault(record.subject, []).append(noise)
    found = []
    for subject, noises in sorted(noise_of.items()):
        if len(noises) > n_images[subject] / 2:
            typical = float(np.median(noises))
            found.append(
                f"Subject {subject}: {len(noises)} of its {n_images[subject]} held-out images are noisy themselves "
                f"(standard deviation {typical:.1%} of the peak): even an image without that noise would score "
                f"{-20 * np.log10(typical):.1f} dB. Hold out cleaner ones, or average pixels."
            )
    return found
