"""The noise of a plan to come, from data that the scanner acquired earlier."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np

from acqplan.core.errors import RecipeError
from acqplan.formats.lookup import acquired_file, for_acquired
from acqplan.modalities.mri.checks.acquired_noise import acquired_noise
from acqplan.modalities.mri.noise import ComplexGaussian
from acqplan.modalities.mri.raw.acquisitions import scan_of
from acqplan.modalities.mri.raw.reader import RawReader
from acqplan.modalities.mri.sensing import CartesianMRI
from acqplan.plan.components import Component, with_options
from acqplan.plan.plan import Plan
from acqplan.plan.recipe import BudgetSettings, ImageSettings, Recipe, TrainingSettings, as_resolved
from acqplan.reconstructors.zero_filled import ZeroFilled
from acqplan.sensing.acquisition import Scan
from acqplan.sensing.budget import Budget
from acqplan.sensing.pattern import Pattern

_DIGITS = 3  # of an estimate: what a recipe says of it


def noise_std_from(path: Path, recipe: Recipe) -> float:
    """The ``std`` of `ComplexGaussian` as `acquired_noise` finds it in a file of acquired data, to three digits.

    Raw data (`RawReader`) may be of any matrix; what acqplan itself wrote doesn't state its grid, and has to be of
    the recipe's size and encoding. Either may be undersampled.

    Raises
    ------
    RecipeError
        The file's noise can't be known.
    AcqplanError
        The file can't be read.
    """
    path = acquired_file(path)
    scan, plan = _scan_at(path, recipe)
    level = acquired_noise(scan, plan)
    if level is None:
        raise RecipeError(
            f"The noise of {path} isn't known: its readings don't fit a plan of {_words(plan)}, or hold nothing.",
            "Pass --size and --pattern of that scan, or the noise itself with --noise STD.",
        )
    if not math.isfinite(level.std):
        bound = f", at most {level.at_most:.2g} by the weakest of them" if math.isfinite(level.at_most) else ""
        raise RecipeError(
            f"The noise of {path} isn't known: it states none, and its readings hold signal up to the edge of k-space.",
            f"Pass it with --noise STD{bound} (over the image's peak), or a file with a noise scan.",
        )
    return float(f"{level.std:.{_DIGITS}g}")


def _scan_at(path: Path, recipe: Recipe) -> tuple[Scan, Plan]:
    """The scan in a file, and a plan that measures all of its grid."""
    reader = for_acquired(path)
    if isinstance(reader, RawReader):
        raw = reader.read_raw(path)
        n_readout, n_ky, n_kz = raw.matrix
        sensing = CartesianMRI((n_ky, n_kz), "points") if raw.is_3d else CartesianMRI((n_ky, n_readout), "lines")
        plan = _of_everything(sensing)
        return scan_of(raw, plan), plan
    if recipe.images.size is None:
        raise RecipeError(f"{path} doesn't state its grid.", "Pass --size and --pattern of that scan with it.")
    encoding = str((recipe.sensing or Component("", {})).options.get("encoding", "points"))
    plan = _of_everything(CartesianMRI(recipe.images.size, encoding))
    return reader.read_scan(path, plan), plan


def _of_everything(sensing: CartesianMRI) -> Plan:
    """A plan that measures all units once, in their sequence: what a reader asks is how readings are laid out."""
    n, noise = sensing.n_units, ComplexGaussian()
    recipe = Recipe(
        "mri",
        images=ImageSettings([], list(sensing.image_shape), "resample"),
        sensing=with_options("sensing", Component(sensing.kind), {**vars(sensing), **sensing.spec()}),
        budget=BudgetSettings(str(n)),
        noise=Component(noise.kind, noise.spec()),
        designer=Component("uniform"),
        reconstructor=Component(ZeroFilled.kind),
        training=TrainingSettings(steps=1, batch_size=1),
    )
    pattern = Pattern(np.arange(n, dtype=np.int32), n)
    return Plan(sensing, Budget(n, n), pattern, noise, ZeroFilled(), as_resolved(recipe))


def _words(plan: Plan) -> str:
    return f"{plan.sensing.unit_name}s of {'x'.join(map(str, plan.sensing.image_shape))}"
