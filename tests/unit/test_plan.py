"""A plan: pattern and network stay together, through the file and against acquired data."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import FrozenInstanceError, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from builders.plans import make_plan
from builders.sensing import drawn_pattern, make_sensing, random_image

from acqplan.core.errors import AcquisitionError, OutputError, PatternMismatch, PlanFileError
from acqplan.core.registry import find
from acqplan.modalities.mri.noise import ComplexGaussian
from acqplan.plan import file as plan_file
from acqplan.plan.file import PlanContent, canonical_json
from acqplan.plan.plan import Plan
from acqplan.sensing.acquisition import Acquisition, Geometry
from acqplan.sensing.pattern import Pattern


def everything_measured(case: str) -> Plan:
    sensing = make_sensing(case)
    return make_plan(sensing, drawn_pattern(sensing, share=1))


@pytest.mark.parametrize("network", ["zero-filled", "unet", "unrolled"])
@pytest.mark.parametrize("case", ["lines-odd", "points", "hadamard"])
def test_a_saved_plan_loads_as_it_was(case: str, network: str, tmp_path: Path) -> None:
    plan = make_plan(case, reconstructor=network)
    plan.save(tmp_path / "some.acqplan")
    back = Plan.load(str(tmp_path / "some.acqplan"))
    assert back.plan_id == plan.plan_id
    assert len(plan.plan_id) == 64
    assert back.pattern == plan.pattern
    assert (back.budget, back.noise, back.recipe, back.evidence) == (
        plan.budget,
        plan.noise,
        plan.recipe,
        plan.evidence,
    )
    assert type(back.sensing) is type(plan.sensing)
    assert back.sensing.spec() == plan.sensing.spec()
    assert back.reconstructor.spec() == plan.reconstructor.spec()
    weights = plan.reconstructor.state_dict()
    assert back.reconstructor.state_dict().keys() == weights.keys()
    for name, value in back.reconstructor.state_dict().items():
        assert torch.equal(value, weights[name]), name
    acquisition = plan.simulate(random_image(plan.sensing).numpy())
    assert np.array_equal(back.reconstruct(acquisition), plan.reconstruct(acquisition))
    back.save(tmp_path / "again.acqplan")
    assert (tmp_path / "again.acqplan").read_bytes() == (tmp_path / "some.acqplan").read_bytes()


def test_every_part_counts_in_the_identity() -> None:
    plan = make_plan(reconstructor="unrolled")
    other = make_plan(seed=1, reconstructor="unrolled")
    elsewhere = np.setdiff1d(plan.pattern.order, plan.pattern.calibration)[: plan.pattern.calibration.size]
    parts: list[dict[str, Any]] = [
        {},
        {"pattern": Pattern(plan.pattern.order[::-1].copy(), 48, plan.pattern.calibration)},
        {"pattern": Pattern(plan.pattern.order, 48, elsewhere)},
        {"noise": ComplexGaussian(0.02)},
        {"reconstructor": other.reconstructor},
        {"recipe": replace(plan.recipe, seed=9)},
        {"evidence": {}},
        {"budget": replace(plan.budget, reading_time_s=None)},
        {"sensing": find("sensing", "cartesian_mri")([6, 8])},
    ]
    assert len({replace(plan, **part).plan_id for part in parts}) == len(parts)


def test_a_plan_is_immutable() -> None:
    plan = make_plan(reconstructor="unrolled")
    with pytest.raises(FrozenInstanceError):
        plan.pattern = make_plan(seed=1, reconstructor="unrolled").pattern  # type: ignore[misc]
    assert not plan.reconstructor.training
    assert not any(parameter.requires_grad for parameter in plan.reconstructor.parameters())


def test_parts_that_do_not_fit_are_refused() -> None:
    plan = make_plan(reconstructor="unrolled")
    for pattern in (Pattern(plan.pattern.order[1:], 48), Pattern(plan.pattern.order, 49)):
        with pytest.raises(ValueError, match="don't fit"):
            replace(plan, pattern=pattern)
    with pytest.raises(ValueError, match="don't fit"):
        replace(plan, budget=replace(plan.budget, n_units=49))


def test_the_budget_counts_the_calibration_region_that_the_pattern_has() -> None:
    plan = make_plan()
    assert plan.budget.n_calibration == plan.pattern.calibration.size == 4
    for n_calibration in (0, 3, 5):
        with pytest.raises(ValueError, match="isn't the budget's"):
            replace(plan, budget=replace(plan.budget, n_calibration=n_calibration))
    with pytest.raises(ValueError, match="isn't the budget's"):
        replace(plan, pattern=Pattern(plan.pattern.order, 48))


def test_the_budget_counts_repeats_of_the_reference_unit() -> None:
    plan, sensing = make_plan("hadamard"), find("sensing", "hadamard_dmd")([8, 16], "dc")
    assert sensing.reference_unit == 0
    others = np.arange(1, plan.pattern.n_readings - 2)
    pattern = Pattern(np.r_[0, 0, others, 0], sensing.n_units, [0, 1])
    for n_calibration in range(plan.pattern.n_readings):
        budget = replace(plan.budget, n_calibration=n_calibration)
        if n_calibration in (2, 3, 4):
            replace(plan, sensing=sensing, pattern=pattern, budget=budget)
        else:
            with pytest.raises(ValueError, match="isn't the budget's"):
                replace(plan, sensing=sensing, pattern=pattern, budget=budget)


def test_an_existing_file_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "some.acqplan"
    make_plan(reconstructor="unrolled").save(path)
    with pytest.raises(OutputError, match="exists already"):
        make_plan(seed=1, reconstructor="unrolled").save(path)
    assert Plan.load(path).plan_id == make_plan(reconstructor="unrolled").plan_id
    make_plan(seed=1, reconstructor="unrolled").save(path, overwrite=True)
    assert Plan.load(path).plan_id == make_plan(seed=1, reconstructor="unrolled").plan_id


# --- files that are sound but can't be right -----------------------------------------------


def content_of(plan: Plan, tmp_path: Path) -> PlanContent:
    plan.save(tmp_path / "some.acqplan")
    return plan_file.read(tmp_path / "some.acqplan")


Forge = Callable[[PlanContent], PlanContent]


def with_text(name: str, change: Callable[[Any], Any]) -> Forge:
    def forge(content: PlanContent) -> PlanContent:
        text = canonical_json(change(json.loads(content.texts[name])))
        return replace(content, texts={**content.texts, name: text})

    return forge


def with_evidence(text: str) -> Forge:
    text = text.replace("ONE", '{"psnr_db": 1, "ssim": 0.5, "nrmse": 1}')
    return lambda content: replace(content, texts={**content.texts, "evidence": text})


def without_weight(content: PlanContent) -> PlanContent:
    return replace(content, weights={name: content.weights[name] for name in sorted(content.weights)[1:]})


def reshaped_weight(content: PlanContent) -> PlanContent:
    first = min(content.weights)
    return replace(content, weights={**content.weights, first: content.weights[first][..., :1]})


@pytest.mark.parametrize(
    ("forge", "message"),
    [
        (lambda c: replace(c, order=c.order[::-1].copy()), "trained on another pattern"),
        (lambda c: replace(c, calibration=c.calibration[:1]), "trained on another pattern"),
        (lambda c: replace(c, order=np.full_like(c.order, 48)), "outside a catalogue"),
        (without_weight, "Missing key"),
        (lambda c: replace(c, weights={**c.weights, "extra": np.zeros(1)}), "Unexpected key"),
        (reshaped_weight, "size mismatch"),
        (with_text("reconstructor", lambda t: {**t, "kind": "unroled"}), "Did you mean 'unrolled'"),
        (with_text("sensing", lambda t: {**t, "kind": "pet"}), "no sensing model kind 'pet'"),
        (with_text("sensing", lambda t: {**t, "arguments": {"image_shape": [8, 6], "coils": 2}}), "coils"),
        (with_text("reconstructor", lambda t: {**t, "arguments": {**t["arguments"], "depth": 10**6}}), "at most 10000"),
        (with_text("noise", lambda t: {"kind": t["kind"]}), "arguments"),
        (with_text("noise", lambda t: [t]), "list indices"),
        (with_text("budget", lambda t: {**t, "n_readings": 7}), "don't fit"),
        (with_text("budget", lambda t: {**t, "n_readings": 0}), "no reading at all"),
        (lambda c: replace(c, texts={**c.texts, "recipe": "modality = 3"}), "modality"),
        (lambda c: replace(c, texts={**c.texts, "evidence": "{"}), "Expecting"),
        (with_evidence("[1, 2]"), "Expected `object`, got `array`"),
        (with_evidence("null"), "Expected `object`, got `null`"),
        (with_evidence('{"held_out": 3}'), "evidence of held_out can't be read"),
        (with_evidence('{"held_out": {"mean": {"plan": {"psnr_db": "x"}}}}'), "psnr_db"),
        (with_evidence('{"warnings": 5}'), "evidence of warnings"),
        (with_evidence('{"n_test": "many"}'), "evidence of n_test"),
        (with_evidence('{"search": {"tries": 3, "rounds": 1, "power": "x"}}'), "power"),
        (with_evidence('{"coils": [1]}'), "evidence of coils"),
        (with_evidence('{"held_out": {"mean": {"plan": ONE, "zero_filled": ONE}}}'), "how many images were held out"),
    ],
)
def test_impossible_content_with_the_right_identity_is_refused(tmp_path: Path, forge: Forge, message: str) -> None:
    path = tmp_path / "forged.acqplan"
    plan_file.write(forge(content_of(make_plan(reconstructor="unrolled"), tmp_path)), path, {})
    with pytest.raises(PlanFileError, match=message) as caught:
        Plan.load(path)
    assert str(path) in caught.value.problem


def test_a_flipped_bit_in_a_trained_weight_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "some.acqplan"
    plan = make_plan(reconstructor="unrolled")
    plan.save(path)
    value = plan.reconstructor.state_dict()["raw_penalty"].numpy().tobytes()
    content = path.read_bytes()
    assert content.count(value) == 1
    for needle in (value, plan.pattern.order.tobytes()):
        damaged = bytearray(content)
        damaged[content.index(needle)] ^= 1
        path.write_bytes(damaged)
        with pytest.raises(PlanFileError, match="was changed after it was written"):
            Plan.load(path)


# --- acquired data ---------------------------------------------------------------------------

PLAN = make_plan(reconstructor="unrolled")
DIGEST, ORDER = PLAN.pattern.digest, PLAN.pattern.order
IMAGE = random_image(PLAN.sensing).numpy()
OTHER = make_plan(seed=1, reconstructor="unrolled").pattern
OTHER_UNIT = np.flatnonzero(~PLAN.pattern.mask)[0]


@pytest.mark.parametrize("assume_plan", [False, True])
@pytest.mark.parametrize(
    ("digest", "order", "message"),
    [
        (DIGEST, None, None),
        (DIGEST, ORDER, None),
        (None, ORDER, None),
        (None, ORDER.astype(np.int64), None),
        (OTHER.digest, None, "with pattern"),
        (OTHER.digest, ORDER, "with pattern"),
        (None, OTHER.order, "at other positions"),
        (None, np.append(ORDER[:-1], OTHER_UNIT), "at other positions"),
    ],
)
def test_what_a_file_says_of_its_pattern_decides(
    digest: str | None, order: Any, message: str | None, assume_plan: bool
) -> None:
    readings = PLAN.simulate(IMAGE).readings
    acquisition = Acquisition(readings, digest, "scan.h5", order)
    if message is None:
        PLAN.check_acquisition(acquisition, assume_plan=assume_plan)
        assert PLAN.reconstruct(acquisition, assume_plan=assume_plan).shape == (8, 6)
        return
    for method in (PLAN.check_acquisition, PLAN.reconstruct):
        with pytest.raises(PatternMismatch, match=rf"^scan\.h5 was acquired {message}"):
            method(acquisition, assume_plan=assume_plan)


def test_a_file_that_says_nothing_needs_to_be_vouched_for() -> None:
    acquisition = Acquisition(PLAN.simulate(IMAGE).readings, None, "scan.npy")
    with pytest.raises(PatternMismatch, match=r"doesn't say which pattern.*--assume-plan"):
        PLAN.reconstruct(acquisition)
    known = replace(acquisition, pattern_digest=DIGEST)
    assert np.array_equal(PLAN.reconstruct(acquisition, assume_plan=True), PLAN.reconstruct(known))


def test_readings_of_another_length_are_refused() -> None:
    readings = PLAN.simulate(IMAGE).readings
    with pytest.raises(AcquisitionError, match=r"shape \(17, 1\).*pattern gives \(22, 1\)"):
        PLAN.reconstruct(Acquisition(readings[:17], DIGEST, "scan.h5"))


# --- simulate and reconstruct ----------------------------------------------------------------


@pytest.mark.parametrize("case", ["lines-odd", "points", "hadamard"])
def test_a_simulation_is_an_acquisition_of_the_pattern(case: str) -> None:
    plan = make_plan(case)
    geometry = Geometry(np.eye(4))
    image = random_image(plan.sensing).numpy()
    before = image.copy()
    acquisition = plan.simulate(image, seed=3, geometry=geometry, source="phantom")
    assert np.array_equal(image, before)
    assert acquisition.readings.shape == (plan.pattern.n_readings, *plan.sensing.reading_shape)
    assert acquisition.readings.dtype == (np.complex64 if plan.sensing.is_complex else np.float32)
    assert acquisition.pattern_digest == plan.pattern.digest
    assert acquisition.order is not None
    assert np.array_equal(acquisition.order, plan.pattern.order)
    assert (acquisition.source, acquisition.geometry) == ("phantom", geometry)
    assert np.array_equal(plan.simulate(image, seed=3).readings, acquisition.readings)
    assert not np.array_equal(plan.simulate(image, seed=4).readings, acquisition.readings)


def test_repeats_are_measured_anew() -> None:
    repeated = np.flatnonzero(PLAN.pattern.counts == 2)[0]
    first, again = np.flatnonzero(PLAN.pattern.order == repeated).tolist()
    readings = PLAN.simulate(IMAGE).readings
    assert readings[first] != readings[again]
    clean = PLAN.simulate(IMAGE, noise=ComplexGaussian(0.0)).readings
    assert clean[first] == clean[again]


@pytest.mark.parametrize("case", ["lines-odd", "points", "hadamard"])
def test_everything_measured_without_noise_gives_the_image_back(case: str) -> None:
    plan = everything_measured(case)
    assert plan.pattern.mask.all()
    image = random_image(plan.sensing).numpy()
    coefficients = plan.sensing(torch.from_numpy(image)[None])[0].numpy()
    acquisition = Acquisition(coefficients[plan.pattern.order], plan.pattern.digest, "exact")
    back = plan.reconstruct(acquisition)
    assert back.dtype == (np.complex64 if plan.sensing.is_complex else np.float32)
    np.testing.assert_allclose(back, image, rtol=1e-4, atol=1e-4 * np.abs(image).max())


def test_coil_maps_of_the_scan_are_used() -> None:
    random = np.random.default_rng(5)
    maps = random.normal(size=(3, 8, 6)) + 1j * random.normal(size=(3, 8, 6))
    maps = (maps / np.sqrt((np.abs(maps) ** 2).sum(0))).astype(np.complex64)
    plan = everything_measured("points")
    image = random_image(plan.sensing).numpy()
    acquisition = plan.simulate(image, noise=ComplexGaussian(0.0), coil_maps=maps)
    assert acquisition.readings.shape == (48, 3)
    np.testing.assert_allclose(plan.reconstruct(acquisition), image, atol=1e-5)
    assert plan.sensing.reading_shape == (1,)  # the plan itself stays as it is
    with pytest.raises(AcquisitionError, match=r"several coils, .* centre of points is 6 wide; .* at least 8"):
        plan.reconstruct(replace(acquisition, coil_maps=None))


def test_images_of_another_size_are_refused() -> None:
    with pytest.raises(AcquisitionError, match=r"\(6, 8\), the plan is for \(8, 6\)"):
        PLAN.simulate(np.zeros((6, 8), np.complex64))


def test_reconstructing_changes_nothing() -> None:
    acquisition = PLAN.simulate(IMAGE)
    before = acquisition.readings.copy(), PLAN.plan_id
    state = torch.get_rng_state()
    first = PLAN.reconstruct(acquisition)
    assert np.array_equal(PLAN.reconstruct(acquisition), first)
    assert np.array_equal(acquisition.readings, before[0])
    assert replace(PLAN).plan_id == before[1]  # computed anew
    assert torch.equal(torch.get_rng_state(), state)
