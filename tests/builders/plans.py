"""Plans of any pattern, without training."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy.typing as npt

from acqplan.core.registry import find
from acqplan.plan.components import Component, with_options
from acqplan.plan.modality import modality_of
from acqplan.plan.plan import Plan
from acqplan.plan.recipe import BudgetSettings, ImageSettings, Recipe, ResolvedRecipe, TrainingSettings, as_resolved
from acqplan.reconstructors.reconstructor import Reconstructor
from acqplan.sensing.budget import Budget
from acqplan.sensing.model import SensingModel
from acqplan.sensing.noise import NoiseModel
from acqplan.sensing.pattern import Pattern
from builders.networks import SMALL, make_reconstructor
from builders.sensing import drawn_pattern, make_sensing

EVIDENCE = {
    "held_out": {
        "mean": {
            "plan": {"psnr_db": 30.25, "ssim": 0.9, "nrmse": 0.1},
            "zero_filled": {"psnr_db": 25.0, "ssim": 0.7, "nrmse": 0.2},
        }
    },
    "n_test": 3,
    "n_train": 9,
    "warnings": ["one – “subject”"],
}


def make_plan(
    sensing: SensingModel | str = "points",
    order: Pattern | npt.ArrayLike | None = None,
    calibration: npt.ArrayLike = (),
    *,
    seed: int = 0,
    reading_time_s: float | None = 0.01,
    noise: NoiseModel | Mapping[str, Any] | None = None,
    reconstructor: Reconstructor | str = "zero-filled",
    recipe: ResolvedRecipe | None = None,
) -> Plan:
    """A plan that acquires ``order``; unless given, `drawn_pattern` draws one (in no order, with repeats).

    Parameters
    ----------
    sensing
        A model, or the name of one of `builders.sensing.MODELS`.
    noise
        A noise model, or options of the one that belongs to ``sensing``.
    reconstructor
        One, or a kind: it gets random weights, no training.
    """
    model = make_sensing(sensing) if isinstance(sensing, str) else sensing
    if order is None:
        pattern = drawn_pattern(model, seed)
    else:
        pattern = order if isinstance(order, Pattern) else Pattern(order, model.n_units, calibration)
    if not isinstance(noise, NoiseModel):
        kind, usual = (
            ("complex_gaussian", {"std": 0.01}) if model.is_complex else ("poisson_gaussian", {"photons": 500.0})
        )
        noise = find("noise", kind)(**noise or usual)
    if isinstance(reconstructor, str):
        reconstructor = make_reconstructor(reconstructor, model.is_complex, seed)
    budget = Budget(pattern.n_readings, model.n_units, pattern.calibration.size, reading_time_s)
    return Plan(
        model,
        budget,
        pattern,
        noise,
        reconstructor,
        recipe or recipe_of(model, pattern, noise, reconstructor),
        EVIDENCE,
    )


def recipe_of(
    sensing: SensingModel, pattern: Pattern, noise: NoiseModel, reconstructor: Reconstructor, seed: int = 0
) -> ResolvedRecipe:
    """What a plan of these parts would say that it was made from."""
    kind, modality = reconstructor.kind, modality_of(sensing)
    recipe = Recipe(
        modality.kind,
        seed=seed,
        images=ImageSettings(["scans/ä"], list(sensing.image_shape), modality.fit),
        sensing=with_options("sensing", Component(sensing.kind), {**vars(sensing), **sensing.spec()}),
        budget=BudgetSettings(str(pattern.n_readings), 2),
        noise=Component(noise.kind, noise.spec()),
        designer=Component("learned"),
        reconstructor=Component(kind, SMALL.get(kind, {})),
        training=TrainingSettings(steps=1, batch_size=modality.batch_size),
    )
    return as_resolved(recipe)
