"""Plans for several coils: trained with maps, repeatable, judged with each image's own maps."""

from __future__ import annotations

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
from acqplan.modalities.mri.coils import simulated_maps, with_maps
from acqplan.modalities.mri.noise import ComplexGaussian
from acqplan.plan.plan import Plan
from acqplan.plan.recipe import Recipe
from acqplan.plan.recipe_text import to_toml
from acqplan.reconstructors.zero_filled import ZeroFilled
from acqplan.report import facts
from acqplan.sensing.acquisition import Acquisition
from acqplan.sensing.measurement import measure
from acqplan.workflow.compare import compare


def recipe_of(scans: Path, coils: int | None = 3, **options: Any) -> Recipe:
    options = {"budget": "2x", "designer": "variable-density", **options}
    return make_recipe(scans, **options).with_settings("images", coils=coils)


@pytest.fixture(scope="module")
def plan(scans: Path) -> Plan:
    return design(recipe_of(scans, designer="learned"))


def test_the_evidence_says_how_many_coils_and_whose_maps(plan: Plan) -> None:
    words = "simulated, estimated from the calibration region"
    assert plan.evidence["coils"] == {"n": 3, "maps": words}
    assert plan.recipe.instrument.coils == 3
    assert ("Coils", f"3, maps {words}") in facts.facts(plan)
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
    images, coefficients, sensing = simulated(records[:3], scene)
    mask = torch.from_numpy(plan.pattern.mask)
    for record, image, measured in zip(records, images, coefficients, strict=False):
        own = plan.sensing.with_coil_maps(torch.from_numpy(record.coil_maps))
        expected = own.coefficients(torch.from_numpy(record.array)[None])[0] * mask[:, None]
        torch.testing.assert_close(measured, expected, atol=1e-5, rtol=0)
        torch.testing.assert_close(image.abs(), torch.from_numpy(np.abs(record.array)), atol=1e-5, rtol=0)
    # The maps that the reconstruction gets are as `reconstruct` would estimate them from the same readings.
    for i, record in enumerate(records[:3]):
        readings = coefficients[i].numpy()[plan.pattern.order]
        acquired = with_maps(Acquisition(readings, None, "scan", plan.pattern.order), plan)
        np.testing.assert_allclose(sensing.coil_maps[i].numpy(), acquired.coil_maps, atol=1e-5)
        assert not np.allclose(np.abs(acquired.coil_maps), np.abs(record.coil_maps), atol=1e-3)
    # Everything measured and combined with such maps is nearly the image again.
    full = replace(scene, pattern=replace(plan.pattern, order=np.arange(plan.sensing.n_units, dtype=np.int32)))
    assert 1e-5 < evaluate(full, {"plan": ZeroFilled()}, records, batch_size=2).means["plan"]["nrmse"] < 0.02


def test_a_network_is_trained_with_the_maps_that_a_scan_gives(scans: Path) -> None:
    """Measured with the true maps; reconstructed with those of the noisy calibration region."""
    problem = resolve(recipe_of(scans))
    images, maps = problem.images.coil_batch(2, torch_generator(0, "b"))
    true, counts = problem.sensing.with_coil_maps(maps), torch.ones(1, problem.sensing.n_units)
    noiseless, noisy = (ComplexGaussian(std) for std in (0.0, 0.02))
    _, known = measure(images, counts, true, noiseless, torch_generator(1, "n"))
    _, worse = measure(images, counts, true, noisy, torch_generator(1, "n"))
    inside = images.abs() > 0.3 * images.abs().amax()

    def error(model: Any) -> float:
        seen = (model.coil_maps.conj() * maps).sum(1).abs()[inside]  # 1 of the same direction
        return float((1 - seen.square()).clamp(min=0).mean().sqrt())

    assert 1e-4 < error(known) < 0.05
    assert error(known) < error(worse) < 0.3
    shown = known.seen_through(images, true)
    coefficients = true.coefficients(images)
    assert ((known.adjoint(coefficients) - shown).abs()[inside] < 0.05 * images.abs().amax()).all()
    assert (shown.abs() - images.abs()).abs().max() < 1e-5
    few = counts * 0
    few[0, problem.sensing.calibration_units(7)] = 1  # too narrow: as if maps came with the data
    assert measure(images, few, true, noiseless, torch_generator(1, "n"))[1].coil_maps is maps
    # What is known already isn't estimated again.
    assert measure(images, counts, true, noiseless, torch_generator(1, "n"), known)[1].coil_maps is known.coil_maps


def test_a_range_of_coils_draws_a_number_for_each_batch_and_image(scans: Path) -> None:
    recipe = recipe_of(scans, 6, steps=2).with_settings("images", fewest_coils=1)
    problem = resolve(recipe)
    generator = torch_generator(0, "b")
    numbers = [
        1 if maps is None else maps.shape[1] for _, maps in (problem.images.coil_batch(2, generator) for _ in range(60))
    ]
    assert set(numbers) == {1, 2, 3, 4, 5, 6}
    made = design(recipe)
    assert made.evidence["coils"] == {
        "n": 6,
        "fewest": 1,
        "maps": "simulated, estimated from the calibration region",
    }
    assert ("Coils", "1 to 6, maps simulated, estimated from the calibration region") in facts.facts(made)
    assert design(made.recipe).plan_id == made.plan_id
    held_out = [record.coil_maps for record in problem.images.test]
    assert {maps.shape[0] for maps in held_out} == {6}
    assert len({int((np.abs(maps).max((1, 2)) > 0).sum()) for maps in held_out}) > 1
    assert np.isfinite(list(made.evidence["held_out"]["mean"]["plan"].values())).all()
    with pytest.raises(RecipeError, match="range of coils is from 7 to 6"):
        resolve(recipe.with_settings("images", fewest_coils=7))


def test_coils_that_arent_there_change_nothing(scans: Path) -> None:
    problem = resolve(recipe_of(scans))
    images, maps = problem.images.coil_batch(2, torch_generator(0, "b"))
    counts = torch.ones(1, problem.sensing.n_units)
    padded = torch.cat([maps, torch.zeros_like(maps[:, :2])], 1)
    noise = ComplexGaussian(0.01)
    plain, known = measure(images, counts, problem.sensing.with_coil_maps(maps), noise, torch_generator(1, "n"))
    full = torch.cat([plain, torch.full_like(plain[..., :2], 0.5)], -1)  # whatever is measured of the two
    same = problem.sensing.with_coil_maps(padded).self_calibrated(full, counts)
    torch.testing.assert_close(same.coil_maps[:, :3], known.coil_maps, atol=5e-3, rtol=0)
    assert not same.coil_maps[:, 3:].any()


def test_plans_of_other_coils_are_compared_with_a_flag(scans: Path, plan: Plan) -> None:
    single = design(recipe_of(scans, None, steps=2))
    comparison = compare({"three": plan, "one": single}, scans)
    assert "Not the same coils: three has 3, one 1." in comparison.flags


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
