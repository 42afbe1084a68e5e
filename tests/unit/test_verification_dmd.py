"""Faults of a detector's trace are named; traces without a fault aren't suspected."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from builders.microscopy import SIDE, low_plan, soft_spots

from acqplan.modalities.dmd.facts import FrameFacts, TraceFacts
from acqplan.plan.plan import Plan
from acqplan.plan.verification import verify
from acqplan.sensing.acquisition import Acquisition, Facts, Scan
from acqplan.sensing.budget import Budget
from acqplan.sensing.pattern import Pattern


@pytest.fixture(scope="module")
def plan() -> Plan:
    return low_plan()


def acquire(plan: Plan, lamp: Any = None, seed: int = 0, image: Any = None) -> Any:
    """float64[n, values] of noisy readings; ``lamp`` is the light's share at each reading."""
    image = torch.from_numpy(soft_spots(seed) if image is None else image)[None] * plan.noise.image_scale
    expected = plan.sensing(image)[0][torch.from_numpy(plan.pattern.order.astype(np.int64))]
    if lamp is not None:
        expected = expected * torch.from_numpy(np.asarray(lamp, dtype=np.float32)).reshape(-1, 1)
    generator = torch.Generator().manual_seed(seed)
    return plan.noise.sample(expected, generator=generator).numpy().astype(np.float64)


def found(plan: Plan, values: Any, facts: Facts | None = None, digest: bool = True) -> set[tuple[str, str]]:
    acquisition = Acquisition(values, plan.pattern.digest if digest else None, "trace")
    findings = verify(plan, Scan([acquisition], "trace", facts=facts or Facts()), assume_plan=True)
    return {(each.severity, each.subject) for each in findings if each.subject != "unstated pattern"}


@pytest.mark.parametrize("photons", [3.0, 30.0, 300.0, 30000.0])
@pytest.mark.parametrize("scheme", ["pairs", "two-detector", "dc", "s-matrix"])
def test_a_trace_without_fault_isnt_suspected(scheme: str, photons: float) -> None:
    plan = low_plan(scheme, photons)
    for seed in range(5):
        assert found(plan, acquire(plan, seed=seed)) == set()


def even_spectrum(kind: str, seed: int) -> Any:
    """Samples whose coefficients don't fall with sequency."""
    rng = np.random.default_rng(seed)
    if kind == "texture":
        return rng.uniform(0.3, 1, (SIDE, SIDE)).astype(np.float32)
    image = np.full((SIDE, SIDE), 0.001, np.float32)
    image[tuple(rng.integers(0, SIDE, (2, 3)))] = 1
    return image


@pytest.mark.parametrize("photons", [30.0, 30000.0])
@pytest.mark.parametrize("kind", ["points", "texture"])
@pytest.mark.parametrize("scheme", ["pairs", "two-detector", "dc", "s-matrix"])
def test_a_sample_with_an_even_spectrum_isnt_suspected(scheme: str, kind: str, photons: float) -> None:
    plan = low_plan(scheme, photons)
    for seed in range(10):
        assert found(plan, acquire(plan, seed=seed, image=even_spectrum(kind, seed))) == set(), seed


def test_rounded_values_and_offsets_dont_matter(plan: Plan) -> None:
    assert found(plan, np.round(acquire(plan))) == set()
    assert found(plan, acquire(plan) + 3e4) == {("warning", "background")}


@pytest.mark.parametrize("scheme", ["pairs", "dc"])
def test_drift_is_named(scheme: str) -> None:
    plan = low_plan(scheme)
    n = plan.pattern.n_readings
    assert ("warning", "drift") in found(plan, acquire(plan, np.linspace(1, 0.8, n)))


def test_drift_needs_to_exceed_the_noise() -> None:
    dim = low_plan(photons=1.0)
    assert found(dim, acquire(dim, np.linspace(1, 0.995, 128))) == set()


def test_lost_frames_are_named(plan: Plan) -> None:
    facts = TraceFacts(frames=FrameFacts(256, dropped=(4, 9), repeated=(30,), spurious_triggers=2))
    kinds = {("warning", "dropped"), ("warning", "repeated"), ("note", "spurious triggers")}
    assert found(plan, acquire(plan), facts) == kinds


def test_lost_calibration_units_are_told(plan: Plan) -> None:
    pattern = Pattern(plan.pattern.order, plan.sensing.n_units, [0, 1, SIDE, SIDE + 1])
    whole = replace(plan, pattern=pattern, budget=replace(plan.budget, n_calibration=4))
    values, kept = acquire(whole), whole.pattern.order != 1
    acquisition = Acquisition(values[kept], whole.pattern.digest, "trace", whole.pattern.order[kept])
    found = {(each.severity, each.subject) for each in verify(whole, Scan([acquisition], "trace"))}
    assert found == {("warning", "missing"), ("warning", "lowest missing")}


def test_the_clock_is_compared(plan: Plan) -> None:
    def of(interval_s: float, jitter_s: float) -> set[tuple[str, str]]:
        return found(plan, acquire(plan), TraceFacts(frames=FrameFacts(256, interval_s=interval_s, jitter_s=jitter_s)))

    assert of(5.01e-5, 1e-7) == set()  # the plan shows a frame for 50 µs
    assert of(6e-5, 1e-7) == {("warning", "clock")}
    assert of(5e-5, 5e-6) == {("warning", "jitter")}


def test_references_that_change_are_told(plan: Plan) -> None:
    assert found(plan, acquire(plan), TraceFacts(reference_change=0.2)) == {("warning", "drift")}
    assert found(plan, acquire(plan), TraceFacts(reference_change=0.2, drift_corrected="references")) == {
        ("note", "drift")
    }


def test_another_order_is_an_error(plan: Plan) -> None:
    values = acquire(plan)
    for seed in range(20):
        shuffled = values[np.random.default_rng(seed).permutation(len(values))]
        assert ("error", "order") in found(plan, shuffled), seed
        assert ("error", "order") in found(plan, shuffled, digest=False), seed
    assert ("error", "order") in found(plan, values[::-1])
    assert ("error", "order") in found(plan, np.roll(values, 1, axis=0))


def test_another_order_without_all_mirrors_on_is_likely(plan: Plan) -> None:
    order = plan.pattern.order[1:]
    budget = Budget(order.size, plan.sensing.n_units, 0, reading_time_s=1e-4)
    without = replace(plan, pattern=Pattern(order, plan.sensing.n_units), budget=budget)
    values = acquire(without)
    assert found(without, values) == set()
    warned = sum(
        ("warning", "order") in found(without, values[np.random.default_rng(seed).permutation(len(values))])
        for seed in range(20)
    )
    assert warned >= 18  # by chance, a shuffled order can look right


def test_a_trace_that_is_shifted_by_a_frame_is_an_error(plan: Plan) -> None:
    for shift in (1, -1):
        values = np.roll(acquire(plan).ravel(), shift).reshape(-1, 2)
        assert ("error", "order") in found(plan, values)


def test_exchanged_signs_are_an_error(plan: Plan) -> None:
    assert found(plan, acquire(plan)[:, ::-1]) == {("error", "signs")}


def test_another_order_of_single_frames_is_an_error() -> None:
    plan = low_plan("dc")
    values = acquire(plan)
    assert ("error", "order") in found(plan, np.roll(values, 3, axis=0))


@pytest.mark.parametrize("scheme", ["dc", "s-matrix"])
def test_the_opposite_order_is_likely(scheme: str) -> None:
    """All mirrors on come as often from the end as from the beginning, but for the very first."""
    plan = low_plan(scheme)
    middle = plan.pattern.order == 0
    for seed in range(10):
        values = acquire(plan, seed=seed)
        assert ("warning", "order") in found(plan, values[::-1])
        values[~middle] = values[~middle][::-1]
        assert ("warning", "order") in found(plan, values)


def test_zeros_and_nan_are_errors(plan: Plan) -> None:
    assert found(plan, np.zeros((128, 2))) == {("error", "empty")}
    values = acquire(plan)
    values[3, 1] = np.nan
    assert found(plan, values) == {("error", "not finite")}


def test_a_clipped_trace_is_named(plan: Plan) -> None:
    values = np.round(acquire(plan))
    level = np.sort(values.ravel())[-12]
    assert ("warning", "clipped") in found(plan, np.minimum(values, level))
    level = np.sort(values.ravel())[-60]
    assert ("error", "clipped") in found(plan, np.minimum(values, level))


def test_readings_that_repeat_are_named(plan: Plan) -> None:
    values = acquire(plan)
    values.ravel()[40:44] = values.ravel()[40]
    assert ("warning", "stuck") in found(plan, values)


def test_a_disturbed_reading_is_named(plan: Plan) -> None:
    values = acquire(plan)
    values[50, 0] *= 1.8
    assert found(plan, values) == {("warning", "outliers")}
    values[50, 0] *= 1000  # says nothing of the detector's gain
    assert found(plan, values) == {("warning", "outliers")}


def test_darkness_is_an_error(plan: Plan) -> None:
    assert ("error", "no light") in found(plan, acquire(plan) - 1e5)


def test_data_of_another_catalogue_are_told_as_such(plan: Plan) -> None:
    """A catalogue of 32 × 32 for a plan of 16 × 16."""
    order = np.arange(4 * plan.sensing.n_units, dtype=np.int32)
    other = Acquisition(np.random.default_rng(0).uniform(1, 2, (order.size, 2)), None, "trace", order)
    assert {each.severity for each in verify(plan, Scan([other], "trace"), assume_plan=True)} == {"error"}
    elsewhere = order[plan.sensing.n_units :][: plan.pattern.n_readings]
    other = Acquisition(np.ones((elsewhere.size, 2)), None, "trace", elsewhere)
    assert ("error", "pattern") in {(e.severity, e.subject) for e in verify(plan, Scan([other], "trace"))}


@pytest.mark.parametrize("gain", [1e-6, 0.2, 3.8, 100])
def test_numbers_that_are_no_photo_electrons_are_named(plan: Plan, gain: float) -> None:
    assert found(plan, acquire(plan) * gain, digest=False) == {("warning", "units")}


@pytest.mark.parametrize("gain", [1e-6, 0.05, 20])
@pytest.mark.parametrize("scheme", ["dc", "s-matrix"])
def test_numbers_of_one_detector_that_are_no_photo_electrons_are_named(scheme: str, gain: float) -> None:
    plan = low_plan(scheme, n=240)
    assert ("warning", "units") in found(plan, acquire(plan) * gain)
    wild = acquire(plan)
    wild[np.flatnonzero(plan.pattern.order == 0)[5]] *= 30
    assert ("warning", "units") not in found(plan, wild)


@pytest.mark.parametrize("scheme", ["pairs", "dc", "s-matrix"])
@pytest.mark.parametrize(("size", "phase"), [(0.2, 1.5), (0.2, 3.1), (0.05, 6.3)])
def test_a_lamp_that_drifts_is_not_taken_for_another_unit(scheme: str, size: float, phase: float) -> None:
    plan = low_plan(scheme, 30000, n=240)
    course = 1 + size * np.sin(np.linspace(0, phase, plan.pattern.n_readings))
    for seed in range(10):
        told = {subject for _, subject in found(plan, acquire(plan, course, seed))}
        assert "drift" in told
        assert "units" not in told


def test_a_trace_that_says_its_unit_is_believed(plan: Plan) -> None:
    stated = TraceFacts(other_unit="ADU")
    assert found(plan, acquire(plan), stated) == {("warning", "units")}
    one = low_plan("dc")
    traces = [Acquisition(acquire(one), one.pattern.digest, "trace", facts=TraceFacts())]
    told = [Scan(traces, "trace", facts=facts) for facts in (Facts(), TraceFacts(), TraceFacts(in_electrons=True))]
    assert [one.modality.image_facts(one, scan) == {} for scan in told] == [True, False, True]


@pytest.mark.parametrize(("digest", "gain", "is_told"), [(True, 1, True), (False, 1, True), (False, 3.8, False)])
def test_the_unit_of_an_image_is_named_where_it_is_known(plan: Plan, digest: bool, gain: float, is_told: bool) -> None:
    acquisition = Acquisition(acquire(plan) * gain, plan.pattern.digest if digest else None, "trace")
    assert (plan.modality.image_facts(plan, Scan([acquisition], "trace")) == {}) is is_told


def test_far_too_little_light_is_named(plan: Plan) -> None:
    electrons = float(soft_spots().sum()) * plan.noise.image_scale
    cost = {"photo_electrons": 128 * electrons, "light_frames": 128}
    lit = replace(plan, evidence={"exposure": cost})
    assert found(lit, acquire(lit)) == set()
    assert found(lit, acquire(lit, np.full(128, 0.2))) == set()
    assert ("warning", "light") in found(lit, acquire(lit, np.full(128, 0.005)))


@pytest.mark.parametrize("scheme", ["pairs", "dc"])
def test_the_light_of_a_sample_that_fills_the_field_is_told_too(scheme: str) -> None:
    """Its sum alone is within a factor of 50 of other samples'."""
    plan = low_plan(scheme, 3000)
    dense, n = even_spectrum("texture", 0), plan.pattern.n_readings
    for light, is_told in ((1 / 200, True), (1 / 5, False), (1, False), (5, False), (200, True)):
        subjects = {subject for _, subject in found(plan, acquire(plan, np.full(n, light), image=dense))}
        assert subjects == ({"light"} if is_told else set()), light


def test_a_scan_in_the_dark_is_refused(plan: Plan) -> None:
    noise = np.random.default_rng(0).normal(0.05, 2, (128, 2))
    assert ("error", "no light") in found(plan, noise)


def test_advice_suits_the_cause(plan: Plan) -> None:
    """Pairs cancel an offset that drifts; stray light may be a settling time; a given detector is not asked for."""

    def remedies(values: Any, facts: TraceFacts) -> str:
        findings = verify(plan, Scan([Acquisition(values, plan.pattern.digest, "trace")], "trace", facts=facts))
        return " ".join(each.remedy for each in findings)

    offset = acquire(plan) + np.linspace(0, 0.2, 128)[:, None] * acquire(plan).sum(1).mean()
    assert "If the detector's offset does" in remedies(offset, TraceFacts())
    stray = acquire(plan) + 0.2 * acquire(plan).sum(1).mean()
    cut = TraceFacts(frames=FrameFacts(256, samples=10), in_electrons=True)
    assert "settling_us" in remedies(stray, cut)
    assert "detector's file" not in remedies(stray, cut)
    assert "detector's file" in remedies(stray, TraceFacts())
    dim = acquire(plan, np.full(128, 0.005))
    assert "more light" in remedies(dim, TraceFacts(in_electrons=True))
    assert "detector's file" not in remedies(dim, TraceFacts(in_electrons=True))
    assert "detector's file" in remedies(dim, TraceFacts())


def test_what_is_true_of_several_images_is_said_once(plan: Plan) -> None:
    numbers = Acquisition(acquire(plan) * 3.8, plan.pattern.digest, "trace")
    findings = verify(plan, Scan([numbers, numbers], "trace"))
    assert [each.subject for each in findings] == ["units"]
