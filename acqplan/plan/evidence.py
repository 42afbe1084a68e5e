"""What a plan says of itself: the types of its evidence, checked when a plan is read.

A plan's text may come from anyone; whoever shows it relies on these. More than is named here may stand in it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Literal, NotRequired, TypedDict

import msgspec


class Metrics(TypedDict):
    """Means over images."""

    psnr_db: float
    ssim: float
    nrmse: float
    hfen: NotRequired[float]
    frc: NotRequired[float]


class Means(TypedDict):
    """Of the plan's network, of the zero-filled images beside it, and of the network that an adapted one was."""

    plan: Metrics
    zero_filled: Metrics
    base: NotRequired[Metrics]


class Adapted(TypedDict):
    """The plan whose network was trained on, for how many steps, and what that gained on images held out."""

    plan_id: str
    before: Metrics
    after: Metrics
    n_images: int
    steps: int
    validation_gain_db: float


class HeldOut(TypedDict):
    """Held-out images: each, per subject, and all."""

    mean: Means
    images: NotRequired[list[dict[str, Any]]]
    subjects: NotRequired[dict[str, Means]]


class SearchedDensity(TypedDict):
    """As `acqplan.designers.family.Density`."""

    power: float
    by_energy: bool
    core: float
    stretch: float
    is_blue: bool
    norm: NotRequired[int]
    times: NotRequired[int]
    light: NotRequired[float]
    jitter: NotRequired[float]


class Search(TypedDict):
    """What a search came to."""

    rounds: int
    tries: int
    quality_db: NotRequired[float | None]
    usual_db: NotRequired[float]
    power: NotRequired[float]
    share: NotRequired[float]
    shape: NotRequired[str]
    times: NotRequired[int]
    density: NotRequired[SearchedDensity]


class Shown(TypedDict):
    """As `acqplan.core.statistics.Effect`."""

    mean: float
    interval: list[float] | None
    n_subjects: int
    outcome: Literal["better", "worse", "no difference shown"]
    needed: int | None


class ShownOf(TypedDict):
    """By measure; `Metrics` of differences."""

    psnr_db: Shown
    ssim: Shown
    nrmse: NotRequired[Shown]
    hfen: NotRequired[Shown]
    frc: NotRequired[Shown]


class Usual(TypedDict):
    """A usual pattern against the plan's, on held-out images, before the network was trained on either."""

    designer: str
    n_images: int
    measures: ShownOf
    parameter: NotRequired[str]
    value: NotRequired[float | str]


class SuppliedShares(TypedDict):
    """As `acqplan.reconstructors.supplied.Shares`."""

    supplied: float
    missing: float
    right: float
    recovered: float


class Supplied(TypedDict):
    """What the network supplied on held-out images."""

    mean: SuppliedShares
    subjects: dict[str, SuppliedShares]
    n_images: int


SHARED: Mapping[str, Any] = {
    "held_out": HeldOut,
    "n_train": int,
    "n_test": int,
    "training_images": str,
    "data_range": str,
    "warnings": list[str],
    "notes": list[str],
    "search": Search,
    "adapted": Adapted,
    "usual": Usual,
    "supplied": Supplied,
}
"""Types by name; those of a modality are in `Modality.evidence_types`."""


def evidence_of(text: str, own: Mapping[str, Any]) -> dict[str, Any]:
    """The evidence that a JSON text holds; ``own`` are the types that only its modality knows.

    Raises `ValueError` where it isn't of these types, or tells of held-out images without their number.
    """
    found = msgspec.convert(json.loads(text), dict[str, Any])
    for name, kind in {**SHARED, **own}.items():
        if found.get(name, {}) != {}:
            try:
                msgspec.convert(found[name], kind)
            except msgspec.ValidationError as error:
                raise ValueError(f"its evidence of {name} can't be read: {error}") from error
    if "held_out" in found and not {"n_test", "n_train"} <= found.keys():
        raise ValueError("its evidence doesn't say how many images were held out")
    return found
