"""What only an MRI scan has to be told."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from msgspec import Meta

from acqplan.plan import typed
from acqplan.plan.recipe import InstrumentSettings
from acqplan.plan.settings import IMAGES, PATTERN, Flag, In

MIN_WIDTH = 8
"""Lines, or side of the square of points, that coil maps need: with 8 they are wrong by about 5 %, with 12 by 1 %."""


@dataclass(frozen=True)
class MRISettings(InstrumentSettings):
    """Echo trains, what of k-space may be measured, and receive coils.

    ``echo_train``: readings after one excitation; the count is a multiple of it. ``partial_fourier``: share of ky that
    may be measured, from the side away from ``partial_fourier_side``. ``shutter``: elliptical never measures the
    corners of ky–kz. ``one_of_conjugates``: at most one of k and −k outside the calibration region. ``scan``: slices or
    a volume. ``coils``: receive coils. Raw data of several coils are compressed to so many virtual ones, other
    images get simulated maps, new ones in every training batch; unless given, 1, or up to 8 where there are raw
    data of several coils. ``fewest_coils``: the least of a range that ends at ``coils``; each batch has another number.
    ``contrasts``: half of the training images get a made-up grey scale, new in every batch.
    """

    echo_train: Annotated[
        Annotated[int, Meta(ge=1)] | None,
        In("pattern"),
        Flag(
            "--echo-train",
            PATTERN,
            "Echoes after one excitation (default 1). The count is a multiple of it, and --tr the time of a train.",
            "N",
        ),
    ] = None
    partial_fourier: Annotated[
        Annotated[float, Meta(gt=0.5, le=1)] | None,
        In("pattern"),
        Flag("--partial-fourier", PATTERN, "Measure only this share of ky, like 6/8.", "SHARE", typed.share),
    ] = None
    partial_fourier_side: Annotated[
        Literal["low", "high"] | None,
        In("pattern"),
        Flag(
            "--partial-fourier-side",
            PATTERN,
            "The end of ky that partial Fourier leaves out (default low).",
            "low|high",
        ),
    ] = None
    shutter: Annotated[
        Literal["none", "elliptical"] | None,
        In("pattern"),
        Flag("--shutter", PATTERN, "elliptical: never measure the corners of ky-kz (points only).", "none|elliptical"),
    ] = None
    one_of_conjugates: Annotated[
        bool | None,
        In("pattern"),
        Flag(
            "--one-of-conjugates/--both-conjugates",
            PATTERN,
            "Measure at most one of k and -k outside the calibration region.",
        ),
    ] = None
    scan: Annotated[
        Literal["2d", "3d"] | None,
        In("pattern", last=True),
        Flag(
            "--scan",
            PATTERN,
            "Slices, or a volume with two phase-encoded axes (default: 2d for lines, 3d for points).",
            "2d|3d",
        ),
    ] = None
    coils: Annotated[
        Annotated[int, Meta(ge=1, le=64)] | None,
        In("images", last=True),
    ] = None
    fewest_coils: Annotated[
        Annotated[int, Meta(ge=1, le=64)] | None,
        In("images", last=True),
    ] = None
    contrasts: Annotated[
        bool | None,
        In("images", last=True),
        Flag("--contrasts/--own-contrast", IMAGES, "Show half of the training images in made-up contrasts as well."),
    ] = None
