"""A classical solver with the weight that suits a pattern and its noise."""

from __future__ import annotations

import math
from collections.abc import Sequence

from acqplan.core import registry
from acqplan.core.errors import RecipeError
from acqplan.images import ImageRecord
from acqplan.learning.evaluation import Scene, evaluate
from acqplan.plan.components import Component, build, check_options, option_names
from acqplan.reconstructors.reconstructor import Reconstructor

_STEP = math.sqrt(10)
_USUAL = 0.01
_LEAST, _MOST = 1e-5, 10.0
WEIGHT = "weight"


def tuned_solver(
    component: Component, scene: Scene, records: Sequence[ImageRecord], start: float | None = None
) -> Component:
    """The solver with the weight that gives these images the highest mean PSNR, found by steps of √10.

    Parameters
    ----------
    component
        A classical reconstructor; one without a weight, or with a given one, is returned as it is.
    start
        The weight to start from: that of a like problem, where it is known.
    """
    if WEIGHT in component.options or WEIGHT not in option_names("reconstructors", component.kind):
        return component
    psnr_db: dict[int, float] = {}
    first = round(math.log(start / _USUAL, _STEP)) if start else 0

    def at(place: int) -> float:
        if place not in psnr_db:
            weight = _USUAL * _STEP**place
            psnr_db[place] = -math.inf
            if _LEAST <= weight <= _MOST:
                found = evaluate(scene, {"solver": classical(_weighted(component, weight))}, records)
                psnr_db[place] = found.means["solver"]["psnr_db"]
        return psnr_db[place]

    place, direction = first, 1 if at(first + 1) > at(first) else -1
    while at(place + direction) > at(place):
        place += direction
    return _weighted(component, _USUAL * _STEP**place)


def check_solver(component: Component) -> None:
    """Raise `RecipeError` for a reconstructor that is trained, or has other options."""
    check_options("reconstructors", component)
    if registry.find("reconstructors", component.kind).is_trained:
        raise RecipeError(
            f"The reconstructor {component.kind} is trained; asked for was one that isn't.",
            "Choose zero-filled, tv, wavelet or hqs.",
        )
    classical(component)


def classical(component: Component) -> Reconstructor:
    """The solver that a component stands for."""
    made: Reconstructor = build("reconstructors", component)
    return made


def _weighted(component: Component, weight: float) -> Component:
    return Component(component.kind, {**component.options, WEIGHT: float(f"{weight:.3g}")})
