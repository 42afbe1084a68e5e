"""Plans for several coils: trained with maps, repeatable, judged with each image's own maps."""

from __future__ import annotations

import importlib.util
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from builders.trainings import Interrupt, Stop, make_recipe

from acqplan.core.errors import RecipeError
from acqplan.core.seeding import torch_generator
from acqplan.images import load_stacks
from acqplan.learning.evaluation import Scene, evaluate, simulated
from acqplan.learning.image_sets import evaluation_images
from acqplan.learning.resolve import resolve
from acqplan.learning.training import design
from acqplan.modalities.mri.coils import simulated_maps
from acqplan.modalities.mri.noise import ComplexGaussian
from acqplan.plan.plan import Plan
from acqplan.plan.recipe import Recipe
from acqplan.plan.recipe_text import to_toml
from acqplan.reconstructors.zero_filled import ZeroFilled
from acqplan.report import facts
from acqplan.workflow.compare import compare

with_sigpy = pytest.mark.skipif(importlib.util.find_spec("sigpy") is None, reason="needs sigpy")


def recipe_of(scans: Path, coils: int | None = 3, **options: Any) -> Recipe:
    options = {"budget": "2x", "designer": "variable-density", **options}
    return make_recipe(scans, **options).with_settings("images", coils=coils)


@pytest.fixture(scope="module")
def plan(scans: Path) -> Plan:
    return design(recipe_of(scans, designer="learned"))


def test_the_evidence_says_how_many_coils_and_whose_maps(plan: Plan) -> None:
    assert plan.evidence["coils"] == {"n": 3, "maps": "simulated"}
    assert plan.recipe.instrument.coils == 3
    assert ("Coils", "3, maps simulated") in facts.facts(plan)
    assert plan.sensing.reading_shape == (1,)  # maps belong to a scan, not to a plan
    assert plan.recipe.budget.calibration == 8  # what maps need, although it is half of the budget
    assert np.isin(plan.sensing.calibration_units(8), plan.pattern.order).all()


def test_the_same_recipe_gives_the_same_plan_also_when_interrupted(scans: Path, plan: Plan, tmp_path: Path) -> None:
    assert design(plan.recipe).plan_id == plan.plan_id
    recipe = recipe_of(scans, designer="learned")
    for step in (2, 6):
        path = tmp_path / f"{step}.checkpoint"
        with pytest.raises(Stop):
            design(recipe, checkpoint=path, progress=Interrupt(step))
        assert design(recipe, checkpoint=path, resume=True).plan_id == plan.plan_id


@pytest.mark.parametrize(
    "options",
    [
        {"reconstructor": "hqsnet", "encoding": "lines"},  # without the truth: each image measured once
        {"reconstructor": "hyper"},
        {"reconstructor": "wavelet"},
        {"reconstructor": "unet", "encoding": "lines"},
        {"loss": {"held-back": 1.0}},
    ],
    ids=str,
)
def test_every_kind_of_training_takes_coils(scans: Path, options: dict[str, Any]) -> None:
    made = design(recipe_of(scans, steps=2, **options))
    assert made.evidence["coils"]["n"] == 3
    values = made.evidence["held_out"]["mean"]["plan"]
    assert np.isfinite(list(values.values())).all()


def test_one_coil_is_the_plan_without_coils(scans: Path) -> None:
    without, one = (design(recipe_of(scans, coils, steps=2)) for coils in (None, 1))
    assert "coils" not in without.evidence
    assert "coils" not in to_toml(without.recipe)
    assert one.pattern == without.pattern
    assert one.evidence == without.evidence


def test_each_image_is_judged_with_its_own_maps(scans: Path, plan: Plan) -> None:
    records = evaluation_images(plan.recipe, load_stacks([scans])).test
    scene = Scene(plan.sensing, plan.pattern, ComplexGaussian(0.0))
    images, coefficients, _ = simulated(records[:3], scene)
    mask = torch.from_numpy(plan.pattern.mask)
    for record, image, measured in zip(records, images, coefficients, strict=False):
        own = plan.sensing.with_coil_maps(torch.from_numpy(record.coil_maps))
        expected = own.coefficients(image[None])[0] * mask[:, None]
        torch.testing.assert_close(measured, expected, atol=1e-5, rtol=0)
    # Everything measured and combined with the right maps is the image again; with others it isn't.
    full = replace(scene, pattern=replace(plan.pattern, order=np.arange(plan.sensing.n_units, dtype=np.int32)))
    assert evaluate(full, {"plan": ZeroFilled()}, records, batch_size=2).means["plan"]["nrmse"] < 1e-5
    swapped = [replace(record, coil_maps=records[0].coil_maps) for record in records]
    assert evaluate(full, {"plan": ZeroFilled()}, swapped).means["plan"]["nrmse"] < 1e-5


def test_plans_of_other_coils_are_compared_with_a_flag(scans: Path, plan: Plan) -> None:
    single = design(recipe_of(scans, None, steps=2))
    comparison = compare({"three": plan, "one": single}, scans)
    assert "Not the same coils: three has 3, one 1." in comparison.flags


@with_sigpy
@pytest.mark.parametrize("encoding", ["lines", "points"])
def test_acquired_coils_without_maps_are_reconstructed(scans: Path, encoding: str) -> None:
    made = design(recipe_of(scans, encoding=encoding, budget="14" if encoding == "lines" else "75%", steps=2))
    record = evaluation_images(made.recipe, load_stacks([scans])).test[0]
    maps = simulated_maps(4, (16, 16), torch_generator(7, "maps")).numpy()
    acquired = made.simulate(record.array, noise=ComplexGaussian(0.001), coil_maps=maps)
    known = made.reconstruct(acquired)
    estimated = made.reconstruct(replace(acquired, coil_maps=None))
    scale = np.linalg.norm(record.array)
    assert np.linalg.norm(np.abs(known) - np.abs(record.array)) < 0.15 * scale
    assert np.linalg.norm(np.abs(estimated) - np.abs(known)) < 0.15 * scale


def test_impossible_numbers_of_coils_are_refused(scans: Path) -> None:
    for coils in (0, -1, 65):
        with pytest.raises(RecipeError, match=f"coils is {coils}"):
            resolve(recipe_of(scans, coils))
    with pytest.raises(RecipeError, match="coils is given, which is for MRI"):
        resolve(recipe_of(scans, 2, modality="dmd"))


def test_a_calibration_region_too_narrow_for_maps_is_said(scans: Path) -> None:
    made = design(recipe_of(scans, steps=1).with_settings("budget", calibration=4))
    assert any("is 4 wide: coil maps can't be estimated" in warning for warning in made.evidence["warnings"])
