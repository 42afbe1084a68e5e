"""Readings that can't belong to the rest are refused by name, and nothing that isn't finite is written."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from builders.microscopy import low_plan, soft_spots
from builders.plans import make_plan

from acqplan.core.errors import AcquisitionError, OutputError, RecipeError
from acqplan.core.seeding import numpy_generator
from acqplan.formats.results import write_image
from acqplan.learning.resolve import resolve
from acqplan.modalities.dmd.sensing import HadamardDMD
from acqplan.modalities.mri.sensing import CartesianMRI
from acqplan.plan.plan import Plan
from acqplan.plan.recipe import Recipe
from acqplan.plan.verification import refuse_errors, verify
from acqplan.sensing.acquisition import Acquisition, Scan
from acqplan.sensing.measurement import misfits

MODELS = [CartesianMRI((32, 32), "points"), CartesianMRI((64, 32), "lines"), HadamardDMD((16, 16))]


def plan_of(model: CartesianMRI | HadamardDMD) -> Plan:
    return make_plan(model, np.arange(model.n_units), noise={"std": 0.0} if model.is_complex else {"photons": 200.0})


def picture(plan: Plan, seed: int, kind: str) -> np.ndarray:
    shape, random = plan.sensing.image_shape, numpy_generator(seed, "picture")
    image = {
        "random": random.random(shape),
        "flat": np.ones(shape),
        "point": np.eye(*shape)[::-1] * (np.arange(shape[1]) == 3),
        "faint": 1e-6 * random.random(shape) + (random.random(shape) < 0.02),
    }[kind]
    return (image * plan.noise.image_scale).astype(np.complex64 if plan.sensing.is_complex else np.float32)


@pytest.mark.parametrize("model", MODELS, ids=["points", "lines", "hadamard"])
@pytest.mark.parametrize("kind", ["random", "flat", "point", "faint"])
def test_no_sound_acquisition_has_misfits(model: CartesianMRI | HadamardDMD, kind: str) -> None:
    plan = plan_of(model)
    for seed in range(10):
        acquisition = plan.simulate(picture(plan, seed, kind), seed=seed)
        assert misfits(acquisition.readings, plan.sensing).size == 0, seed


@pytest.mark.parametrize("model", MODELS, ids=["points", "lines", "hadamard"])
@pytest.mark.parametrize("n_bad", [1, 3])
def test_readings_from_another_world_are_named(model: CartesianMRI | HadamardDMD, n_bad: int) -> None:
    plan = plan_of(model)
    acquisition = plan.simulate(picture(plan, 0, "random"))
    readings = acquisition.readings.copy()
    places = [7, 12, 15][:n_bad]
    readings[places] = 1e20
    assert misfits(readings, plan.sensing).tolist() == places
    scan = Scan([replace(acquisition, readings=readings, source="bad.h5")], "bad.h5")
    (finding,) = [each for each in verify(plan, scan) if each.subject == "misfit"]
    assert finding.severity == "error"
    assert f"number {', '.join(map(str, places))}" in finding.text
    with pytest.raises(AcquisitionError, match="can't belong to the rest") as of_verify:
        refuse_errors(verify(plan, scan))
    with pytest.raises(AcquisitionError) as of_plan:
        plan.reconstruct(scan.acquisitions[0])
    assert (of_plan.value.problem, of_plan.value.remedy) == (of_verify.value.problem, of_verify.value.remedy)


@pytest.mark.parametrize("scheme", ["pairs", "dc"])
def test_one_reading_of_a_dmd_that_is_far_too_large_is_refused(scheme: str) -> None:
    """All patterns see a good part of the light; of k-space, the centre may be all there is."""
    plan = low_plan(scheme)
    acquisition = plan.simulate(soft_spots() * plan.noise.image_scale)
    readings = acquisition.readings.copy()
    readings[9] = 1e12
    with pytest.raises(AcquisitionError, match=r"has 1 readings that can't belong to the rest, up to 1e\+12: number 9"):
        plan.reconstruct(replace(acquisition, readings=readings))


def test_coil_maps_are_not_estimated_from_readings_of_another_world() -> None:
    plan = plan_of(MODELS[0])
    coils = np.stack([plan.simulate(np.ones(plan.sensing.image_shape, np.complex64)).readings[:, 0]] * 2, axis=1)
    coils[[3, 4, 5]] = 1e20
    with pytest.raises(AcquisitionError, match="can't belong to the rest"):
        plan.reconstruct(Acquisition(coils, plan.pattern.digest, "two coils"))


def test_an_image_that_overflows_is_refused() -> None:
    plan = make_plan("points", reconstructor="unrolled")
    acquisition = plan.simulate(np.ones(plan.sensing.image_shape, np.complex64))
    huge = replace(acquisition, readings=np.full_like(acquisition.readings, 1e38))
    with pytest.raises(AcquisitionError, match="overflow"):
        plan.reconstruct(huge)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_nothing_that_is_not_finite_is_written(value: float, tmp_path: Path) -> None:
    image = np.ones((8, 8), np.float32)
    image[3, 4] = value
    for name in ("image.npy", "image.nii.gz", "image.tif", "image.h5", "image.png"):
        with pytest.raises(OutputError, match="NaN or infinite"):
            write_image(image, tmp_path / name, {}, None)
    assert list(tmp_path.iterdir()) == []


def test_a_negative_seed_is_refused() -> None:
    with pytest.raises(RecipeError, match="The seed is -1, expected a whole number of at least 0"):
        resolve(Recipe("mri", seed=-1))


def test_fewer_than_no_threads_are_refused() -> None:
    with pytest.raises(RecipeError, match="threads is -1, expected a whole number of at least 0"):
        resolve(Recipe("mri").with_settings("training", threads=-1))


def test_too_few_readings_tell_nothing_of_the_rest() -> None:
    model, readings = CartesianMRI((16, 16), "points"), np.ones((16, 1), np.complex64)
    readings[3] = 1e20
    assert misfits(readings, model).tolist() == [3]
    assert misfits(readings[:15], model).size == 0
