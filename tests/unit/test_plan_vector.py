"""The test vector of a plan: made again from the plan alone, small, and an image of other numbers is noticed."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from builders.plans import make_plan
from builders.sensing import MODELS, mri

from acqplan.core.errors import PlanFileError
from acqplan.core.registry import kinds
from acqplan.core.seeding import lasting_generator
from acqplan.modalities.mri.settings import MRISettings
from acqplan.plan import vector as plan_vector
from acqplan.plan.file import canonical_json
from acqplan.plan.plan import Plan
from acqplan.plan.vector import MOST_NUMBERS, made_up_acquisition, relative, sums
from acqplan.plan.verification import other_numbers
from acqplan.sensing.acquisition import Scan
from acqplan.workflow.compare import compare
from acqplan.workflow.evaluate import evaluate
from acqplan.workflow.reconstruct import reconstruct


@pytest.fixture
def plan() -> Plan:
    return make_plan(mri("points", 16, 16), reconstructor="unrolled").with_vector()


def made_elsewhere(plan: Plan) -> Plan:
    """The plan as another version of torch would have finished it, with the same numbers."""
    assert plan.vector is not None
    made = replace(plan)
    made.__dict__["vector"] = replace(plan.vector, machine=plan.vector.machine | {"torch": "2.6.0"})
    return made


@pytest.fixture
def coarse_convolution(monkeypatch: pytest.MonkeyPatch) -> None:
    """Convolutions as of a version that computes them in half the digits."""
    exact = torch.nn.functional.conv2d

    def coarse(values: torch.Tensor, *arguments: Any, **options: Any) -> torch.Tensor:
        return exact(values.bfloat16().float(), *arguments, **options)

    monkeypatch.setattr(torch.nn.functional, "conv2d", coarse)


@pytest.mark.parametrize("kind", sorted(kinds("reconstructors")))
@pytest.mark.parametrize("sensing", sorted(MODELS))
def test_every_plan_finds_its_own_image(sensing: str, kind: str, tmp_path: Path) -> None:
    plan = make_plan(sensing, reconstructor=kind).with_vector()
    plan.save(tmp_path / "some.acqplan")
    found = Plan.load(tmp_path / "some.acqplan").deviation
    assert found is not None
    assert found.is_within
    assert found.made_on == found.here


def test_the_image_isnt_empty_nor_the_noise_alone() -> None:
    for name in MODELS:
        plan = make_plan(name)
        readings = made_up_acquisition(plan).readings
        variance = plan.noise.variance(torch.from_numpy(np.array(readings))).numpy()
        assert np.linalg.norm(readings) > 3 * np.sqrt(variance.sum())


def test_it_has_the_coils_of_the_plan() -> None:
    plan = make_plan("points")
    plan = replace(plan, recipe=replace(plan.recipe, instrument=MRISettings(coils=3)))
    acquisition = made_up_acquisition(plan)
    assert acquisition.coil_maps is not None
    assert acquisition.coil_maps.shape == (3, 8, 6)
    assert acquisition.readings.shape == (plan.pattern.n_readings, 3)
    made = plan.with_vector()
    assert made.deviation is not None
    assert made.deviation.is_within


def test_it_leaves_the_identity_and_a_plan_with_another_part_has_none(plan: Plan) -> None:
    without = replace(plan)
    assert without.vector is None
    assert without.plan_id == plan.plan_id
    assert replace(plan, noise=type(plan.noise)(std=0.5)).vector is None


def test_an_earlier_plan_keeps_the_identity_of_its_texts(plan: Plan, tmp_path: Path) -> None:
    """Another version may write the same recipe in other words: the texts of the file are what was identified."""
    texts = {**plan._content.texts, "evidence": plan._content.texts["evidence"] + " "}
    plan.__dict__["_content"] = replace(plan._content, texts=texts, vector=None)
    plan.save(tmp_path / "earlier.acqplan")
    earlier = Plan.load(tmp_path / "earlier.acqplan")
    earlier.with_vector().save(tmp_path / "completed.acqplan")
    assert Plan.load(tmp_path / "completed.acqplan").plan_id == earlier.plan_id == plan.plan_id


def test_the_tolerance_is_the_plans_own_rounding_and_wider_elsewhere(plan: Plan) -> None:
    elsewhere = made_elsewhere(plan).vector
    assert plan.vector is not None
    assert elsewhere is not None
    assert 1e-6 <= plan.vector.rounding < 1e-4
    assert plan.vector.tolerance == pytest.approx(5 * plan.vector.rounding)
    assert elsewhere.tolerance == pytest.approx(10 * plan.vector.rounding)
    solver = make_plan("points", reconstructor="tv").with_vector().vector
    assert solver is not None
    assert solver.rounding >= 2e-4


def test_it_takes_at_most_64_kib(tmp_path: Path) -> None:
    plan = make_plan(mri("points", 160, 160))
    plan.save(tmp_path / "without.acqplan")
    plan.with_vector().save(tmp_path / "with.acqplan")
    added = (tmp_path / "with.acqplan").stat().st_size - (tmp_path / "without.acqplan").stat().st_size
    assert 0 < added < 64 * 1024


def test_sums_keep_small_arrays_and_the_norm_of_large_ones() -> None:
    random = np.random.default_rng(0)
    small = random.normal(size=(20, 30)).astype(np.float32)
    assert np.array_equal(sums(small), small.ravel())
    large = (random.normal(size=(300, 200)) + 1j * random.normal(size=(300, 200))).astype(np.complex64)
    assert sums(large).shape == (MOST_NUMBERS,)
    for nudge in (1e-3 * random.normal(size=large.shape), np.where(np.arange(large.size) == 777, 1, 0)):
        other = (large + nudge.reshape(large.shape)).astype(np.complex64)
        true = np.linalg.norm(other - large) / np.linalg.norm(large)
        assert relative(sums(other), sums(large)) == pytest.approx(true, rel=0.15)


def test_its_random_numbers_are_those_of_every_version() -> None:
    random = lasting_generator(0, "a name")
    assert random.randint(1000, size=4).tolist() == [165, 812, 461, 988]
    assert lasting_generator(1, "a name").randint(1000, size=4).tolist() != [165, 812, 461, 988]


def test_a_network_that_computes_otherwise_is_noticed(plan: Plan, coarse_convolution: None) -> None:
    found = plan.deviation
    assert found is not None
    assert not found.is_within
    assert found.image > found.tolerance > found.readings


def test_a_sensing_model_that_computes_otherwise_is_noticed(plan: Plan, monkeypatch: pytest.MonkeyPatch) -> None:
    forward: Callable[..., torch.Tensor] = type(plan.sensing).forward
    monkeypatch.setattr(type(plan.sensing), "forward", lambda self, image: forward(self, image).conj())
    found = plan.deviation
    assert found is not None
    assert found.readings > 0.1


def test_a_reconstruction_elsewhere_says_what_is_different(plan: Plan, coarse_convolution: None) -> None:
    made = made_elsewhere(plan)
    acquisition = plan.simulate(np.ones((16, 16)))
    warnings = [reconstruct(made, Scan([acquisition], "some")).warnings for _ in range(2)]
    assert warnings[0] == warnings[1]
    (warning,) = (each for each in warnings[0] if "test vector" in each)
    assert "torch 2.6.0" in warning
    assert made.deviation is not None
    assert f"{made.deviation.image:.1e}" in warning


def test_evidence_of_other_numbers_says_so(plan: Plan, coarse_convolution: None, tmp_path: Path) -> None:
    np.save(tmp_path / "images.npy", np.random.default_rng(0).random((3, 16, 16), dtype=np.float32))
    made, images = made_elsewhere(plan), tmp_path / "images.npy"
    told = [
        evaluate(made, images, name="theirs").warnings,
        compare({"ours": replace(plan), "theirs": made}, images).warnings,
    ]
    for warnings in told:
        (warning,) = (each for each in warnings if "test vector" in each)
        assert warning.startswith("theirs: ")


def test_the_same_numbers_elsewhere_are_no_news(plan: Plan) -> None:
    assert other_numbers(made_elsewhere(plan)) == []


def test_nothing_is_computed_where_the_plan_was_finished_and_once_elsewhere(
    plan: Plan, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[Plan] = []
    exact = plan_vector.made_up_acquisition
    monkeypatch.setattr(plan_vector, "made_up_acquisition", lambda plan: calls.append(plan) or exact(plan))
    other_numbers(plan)
    assert calls == []
    elsewhere = made_elsewhere(plan)
    for _ in range(3):
        other_numbers(elsewhere)
    assert calls == [elsewhere]


def test_a_network_whose_values_overflow_has_none_and_hinders_nothing() -> None:
    plan = make_plan("points", reconstructor="unrolled")
    with torch.no_grad():
        for parameter in plan.reconstructor.parameters():
            parameter.fill_(1e30)
    assert plan.with_vector().vector is None


def test_one_of_a_later_version_isnt_compared(plan: Plan) -> None:
    assert plan.vector is not None
    plan.__dict__["vector"] = replace(plan.vector, version=plan_vector.VERSION + 1)
    assert plan.deviation is None


@pytest.mark.parametrize(
    ("changed", "told"),
    [({"machine": "some"}, "indices"), ({"machine": {"torch": "2.6.0"}}, "system"), ({"rounding": 1e9}, "rounding")],
)
def test_facts_that_are_none_are_refused(plan: Plan, tmp_path: Path, changed: dict[str, Any], told: str) -> None:
    content = plan._content
    assert content.vector is not None
    facts = canonical_json(json.loads(content.vector.facts) | changed)
    plan.__dict__["_content"] = replace(content, vector=replace(content.vector, facts=facts))
    plan.save(tmp_path / "odd.acqplan")
    with pytest.raises(PlanFileError, match=told):
        Plan.load(tmp_path / "odd.acqplan")
