"""What a scan costs in light, through training to the plan; budgets in photo-electrons, dose, and with repeats."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from acqplan.core.errors import BudgetError, RecipeError
from acqplan.learning.resolve import resolve
from acqplan.learning.training import design
from acqplan.modalities.dmd.display_schemes import SCHEMES
from acqplan.modalities.dmd.light import light_cost
from acqplan.modalities.dmd.sensing import HadamardDMD
from acqplan.modalities.dmd.settings import DMDSettings
from acqplan.modalities.mri.sensing import CartesianMRI
from acqplan.plan.components import Component
from acqplan.plan.plan import Plan
from acqplan.plan.recipe import BudgetSettings, ImageSettings, Recipe, TrainingSettings
from acqplan.plan.recipe_text import from_toml, to_toml
from acqplan.report import facts
from acqplan.sensing.budget import Budget
from acqplan.sensing.pattern import Pattern

SIDE, N = 16, 256
SMALL = {"stages": 1, "channels": 2, "depth": 0, "start_iterations": 1}


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("cells")
    for i in range(5):
        np.save(folder / f"cell{i}.npy", np.random.default_rng(i).gamma(1.0, 1.0, (2, SIDE, SIDE)).astype(np.float32))
    return folder


_OWN = ("power_w", "reference_repeats")


def recipe(images: Path, budget: str, scheme: str = "pairs", designer: str = "low-sequency", **more: Any) -> Recipe:
    return Recipe(
        "dmd",
        images=ImageSettings([str(images)], [SIDE, SIDE], "resample"),
        sensing=Component("hadamard_dmd", {"scheme": scheme}),
        budget=BudgetSettings(budget, **{n: v for n, v in more.items() if n not in _OWN}),
        instrument=DMDSettings(**{n: v for n, v in more.items() if n in _OWN}),
        noise=Component("poisson_gaussian", {"photons": 100.0}),
        designer=Component(designer),
        reconstructor=Component("unrolled", SMALL),
        training=TrainingSettings(steps=4, batch_size=2, joint_share=0.5, threads=1),
    )


@pytest.mark.parametrize("scheme", SCHEMES)
def test_light_of_a_pattern_is_that_of_its_frames(scheme: str) -> None:
    sensing = HadamardDMD((SIDE, SIDE), scheme)
    pattern = Pattern(np.array([0, 0, 0, 7, 9, 9, 100, 255]), N)
    frames = [sensing.frames(unit) for unit in pattern.order]
    cost = light_cost(sensing, Budget(8, N, reading_time_s=8e-4), pattern, electrons=1000.0, power_w=2.0)
    assert cost["frames"] == sum(len(each) for each in frames)
    # With two detectors the DMD is in the image path, and the sample always lit.
    lit = 8.0 if scheme == "two-detector" else sum(float(each.mean((1, 2)).sum()) for each in frames)
    assert cost["light_frames"] == pytest.approx(lit, rel=2 / N)
    frame_s = 8e-4 / sensing.frames_per_unit
    assert cost["light_on_s"] == pytest.approx(lit * frame_s, rel=2 / N)
    assert cost["scan_s"] == pytest.approx(cost["frames"] * frame_s)
    assert cost["energy_j"] == pytest.approx(2 * cost["light_on_s"])
    # Of an even image, what all readings sum to.
    image = torch.full((1, SIDE, SIDE), 1000.0 / N)
    seen = sensing(image)[0, pattern.order.astype(np.int64)].sum()
    assert cost["photo_electrons"] == pytest.approx(float(seen), rel=0.03)


def test_nothing_is_lit_in_a_scanner() -> None:
    assert light_cost(CartesianMRI((8, 8)), Budget(8, 64), Pattern(np.arange(8), 64)) == {}


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("budget", ["1e5 photons", "5ms light", "10uJ"])
def test_budgets_of_light_are_used_up_and_never_exceeded(images: Path, scheme: str, budget: str) -> None:
    problem = resolve(recipe(images, budget, scheme, "water-filling", frame_time_s=1e-4, power_w=2e-3, calibration=2))
    counted = problem.design.budget
    assert counted.n_readings > 20
    pattern = Pattern.from_counts(np.bincount([0] * counted.n_readings, minlength=N))
    if problem.sensing.reference_unit is not None:
        n_reference = problem.recipe.instrument.reference_repeats
        assert n_reference is not None
        pattern = Pattern([0] * n_reference + [5] * (counted.n_readings - n_reference), N)
    electrons = float(np.mean([record.array.sum() for record in problem.images.train])) * 100
    cost = light_cost(problem.sensing, counted, pattern, electrons=electrons, power_w=2e-3)
    name, most = {
        "1e5 photons": ("photo_electrons", 1e5),
        "5ms light": ("light_on_s", 5e-3),
        "10uJ": ("energy_j", 1e-5),
    }[budget]
    used = cost[name]
    assert used is not None
    assert used <= most * (1 + 1e-6)
    assert used > most * (1 - 1.5 / counted.n_readings)
    again = resolve(from_toml(to_toml(problem.recipe)))
    assert again.design.budget == counted


@pytest.mark.parametrize("scheme", ["pairs", "dc"])
@pytest.mark.parametrize("designer", ["low-sequency", "learned", "csfm", "loupe", "water-filling", "learned-repeats"])
def test_plans_are_exact_for_every_scheme(images: Path, tmp_path: Path, scheme: str, designer: str) -> None:
    plan = design(recipe(images, "40%", scheme, designer))
    assert plan.pattern.n_readings == int(0.4 * N)
    assert plan.pattern.calibration[0] == 0
    cost = plan.evidence["exposure"]
    if scheme == "dc":
        repeats = plan.recipe.instrument.reference_repeats
        assert repeats == 5
        assert plan.pattern.counts[0] == repeats
        assert cost["light_frames"] == (102 + 5) / 2
    else:
        assert cost["light_frames"] == 102
        assert plan.recipe.instrument.reference_repeats is None
    assert plan.evidence["scheme"]["scheme"] in SCHEMES
    plan.save(tmp_path / "plan.acqplan")
    loaded = Plan.load(tmp_path / "plan.acqplan")
    shown = dict(facts.facts(loaded))
    assert f"in {cost['light_frames']:g} of {cost['frames']} frames" in shown["Light on, DMD before the sample"]
    assert facts.summary(loaded)["exposure"] == cost
    image = np.random.default_rng(9).gamma(1.0, 100.0, (SIDE, SIDE)).astype(np.float32)
    back = loaded.reconstruct(loaded.simulate(image))
    assert back.shape == (SIDE, SIDE)


def test_repeats_beyond_the_catalogue_make_a_plan(images: Path) -> None:
    plan = design(recipe(images, "150%", designer="learned-repeats"))
    assert plan.pattern.n_readings == 384
    assert "384 readings of" in facts.count(plan)
    assert design(recipe(images, "150%", designer="learned-repeats")).plan_id == plan.plan_id
    with pytest.raises(BudgetError, match="384 is more than the 256"):
        resolve(recipe(images, "150%"))


def test_reference_readings_are_refused_where_nothing_needs_them(images: Path) -> None:
    with pytest.raises(RecipeError, match="no reading decodes all the others"):
        resolve(recipe(images, "50%", reference_repeats=4))
    with pytest.raises(RecipeError, match="reference_repeats is 0"):
        resolve(recipe(images, "50%", "dc", reference_repeats=0))
    assert resolve(recipe(images, "50%", "dc", reference_repeats=9)).design.fixed_counts[0] == 9
