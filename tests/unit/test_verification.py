"""Every difference between a plan and what was acquired is found, and named with its severity."""

import ast
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from builders.plans import make_plan

import acqplan
from acqplan.core.errors import AcquisitionError, PatternMismatch
from acqplan.plan.verification import Finding, refuse_errors, verify
from acqplan.sensing.acquisition import Acquisition, Scan


@pytest.fixture(scope="module")
def plan():
    return make_plan()


@pytest.fixture
def acquisition(plan):
    rows, columns = plan.sensing.image_shape
    image = np.ones((rows, columns), np.complex64)
    return plan.simulate(image, seed=3)


def found(plan, acquisition, **options):
    return {(each.severity, each.subject) for each in verify(plan, Scan([acquisition], "scan"), **options)}


def test_what_was_planned_has_no_findings(plan, acquisition):
    assert found(plan, acquisition) == set()


def test_missing_units_are_a_warning_and_count_as_not_measured(plan, acquisition):
    kept = acquisition.order != acquisition.order[5]
    cut = replace(acquisition, readings=acquisition.readings[kept], order=acquisition.order[kept])
    assert found(plan, cut) == {("warning", "missing")}
    assert np.isfinite(plan.reconstruct(cut)).all()
    assert not np.array_equal(plan.reconstruct(cut), plan.reconstruct(acquisition))


def test_too_many_missing_units_are_an_error(plan, acquisition):
    half = acquisition.order.size // 2
    cut = replace(acquisition, readings=acquisition.readings[:half], order=acquisition.order[:half])
    assert found(plan, cut) == {("error", "pattern")}
    with pytest.raises(AcquisitionError, match="lacks"):
        plan.reconstruct(cut)


def test_a_unit_outside_the_pattern_is_an_error(plan, acquisition):
    order = acquisition.order.copy()
    order[0] = np.flatnonzero(~plan.pattern.mask)[0]
    with pytest.raises(PatternMismatch):
        plan.reconstruct(replace(acquisition, order=order))
    assert found(plan, replace(acquisition, order=order)) == {("error", "extra")}


def test_fewer_repeats_are_noted(plan, acquisition):
    repeat = np.flatnonzero(acquisition.order == np.flatnonzero(plan.pattern.counts == 2)[0])[-1]
    readings, order = (np.delete(each, repeat, axis=0) for each in (acquisition.readings, acquisition.order))
    assert found(plan, replace(acquisition, readings=readings, order=order)) == {("note", "fewer repeats")}


def test_repeats_are_averaged_and_noted(plan, acquisition):
    twice = replace(
        acquisition,
        readings=np.concatenate([acquisition.readings, acquisition.readings[:1]]),
        order=np.append(acquisition.order, acquisition.order[:1]),
    )
    assert found(plan, twice) == {("note", "repeated")}


def test_another_order_is_noted_and_changes_nothing(plan, acquisition):
    backwards = replace(acquisition, readings=acquisition.readings[::-1].copy(), order=acquisition.order[::-1].copy())
    assert found(plan, backwards) == {("note", "order")}
    np.testing.assert_allclose(plan.reconstruct(backwards), plan.reconstruct(acquisition), atol=1e-6)


def test_unstated_pattern_is_an_error_unless_assumed(plan, acquisition):
    bare = replace(acquisition, pattern_digest=None, order=None)
    assert found(plan, bare) == {("error", "unstated pattern")}
    assert found(plan, bare, assume_plan=True) == {("warning", "unstated pattern")}
    findings = verify(plan, Scan([bare], "bare"), assume_plan=True)
    assert "the image is wrong" in findings[0].remedy  # what it costs to go on


@pytest.mark.parametrize(("value", "subject"), [(np.nan, "not finite"), (0, "empty")])
def test_bad_readings_are_errors(plan, acquisition, value, subject):
    readings = acquisition.readings.copy()
    readings[...] = value
    assert ("error", subject) in found(plan, replace(acquisition, readings=readings))


def test_a_pattern_elsewhere_is_an_error(plan, acquisition):
    outside = np.flatnonzero(~plan.pattern.mask)[: acquisition.order.size].astype(np.int32)
    other = replace(acquisition, pattern_digest=None, order=outside)
    assert found(plan, other) == {("error", "pattern")}


def fully_sampled(plan, image):
    """All units of the catalogue, as a scan without a plan has them."""
    units = plan.sensing(torch.from_numpy(image)[None])[0].numpy()
    return Acquisition(units, None, "full", np.arange(plan.sensing.n_units, dtype=np.int32))


def test_of_a_fully_sampled_scan_the_planned_units_can_be_taken(plan):
    rows, columns = plan.sensing.image_shape
    image = np.random.default_rng(0).normal(size=(rows, columns)).astype(np.complex64)
    full = fully_sampled(plan, image)
    assert found(plan, full) == {("error", "extra")}
    with pytest.raises(PatternMismatch):
        plan.reconstruct(full)
    part = plan.planned_only(full)
    assert set(part.order) == set(plan.pattern.order)
    assert ("error", "extra") not in found(plan, part)
    units = np.flatnonzero(plan.pattern.mask).astype(np.int32)
    once = Acquisition(full.readings[units], None, "once", units)
    assert np.array_equal(plan.reconstruct(part), plan.reconstruct(once))
    assert plan.planned_only(once) is once


def test_without_an_order_nothing_can_be_taken(plan, acquisition):
    with pytest.raises(PatternMismatch, match="doesn't say which"):
        plan.planned_only(replace(acquisition, order=None))


def test_a_finding_of_several_images_is_told_once(plan, acquisition):
    kept = acquisition.order != acquisition.order[5]
    cut = replace(acquisition, readings=acquisition.readings[kept], order=acquisition.order[kept])
    everywhere = verify(plan, Scan([cut] * 12, "scan"))
    assert [each.subject for each in everywhere] == ["missing"]
    assert everywhere[0].text.startswith("scan lacks 1 of")
    some = verify(plan, Scan([acquisition, cut, acquisition, cut], "scan"))
    assert some[0].text.startswith("scan, in 2 of 4 images (1, 3), lacks 1 of")


def test_an_empty_image_among_others_is_no_error(plan, acquisition):
    zero = replace(acquisition, readings=np.zeros_like(acquisition.readings))
    findings = verify(plan, Scan([acquisition, zero], "scan"))
    assert {(each.severity, each.subject) for each in findings} == {("note", "empty")}
    (image,) = plan.reconstruct_scan(Scan([zero], "scan"))
    assert np.abs(image).max() < 1e-6


def test_readings_of_another_shape_are_an_error(plan, acquisition):
    cut = replace(acquisition, readings=acquisition.readings[:-3])
    assert found(plan, cut) == {("error", "shape")}


def test_one_error_names_all(plan, acquisition):
    bad = replace(acquisition, readings=np.full_like(acquisition.readings, np.nan), pattern_digest=None, order=None)
    with pytest.raises(AcquisitionError, match="NaN") as caught:
        refuse_errors(verify(plan, Scan([bad], "scan")))
    assert "doesn't say which pattern" in caught.value.problem
    assert "--assume-plan" in caught.value.remedy
    refuse_errors(verify(plan, Scan([acquisition], "scan")))


def test_a_scan_is_reconstructed_image_by_image(plan, acquisition):
    twice = replace(acquisition, readings=2 * acquisition.readings)
    asked = []

    def double(one):
        asked.append(one)
        return replace(one, readings=2 * one.readings)

    images = plan.reconstruct_scan(Scan([acquisition, twice], "scan").mapped(double))
    np.testing.assert_allclose(next(images), 2 * plan.reconstruct(acquisition), atol=1e-5)
    assert len(asked) == 1
    np.testing.assert_allclose(next(images), 4 * plan.reconstruct(acquisition), atol=1e-5)
    assert next(images, None) is None


@pytest.mark.parametrize("severity", ["warning", "error"])
def test_what_harms_says_what_to_do(severity):
    with pytest.raises(ValueError, match="no remedy"):
        Finding(severity, "missing", "lacks 3 lines.")
    assert Finding("note", "order", "in another order.").remedy == ""


def test_every_finding_in_the_source_that_harms_has_a_remedy():
    calls = []
    for path in sorted(Path(acqplan.__file__).parent.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "Finding":
                calls.append((f"{path.name}:{node.lineno}", node))
    assert len(calls) > 30
    for where, call in calls:
        is_note = isinstance(call.args[0], ast.Constant) and call.args[0].value == "note"
        remedy = call.args[3] if len(call.args) > 3 else None
        assert is_note or (remedy is not None and not (isinstance(remedy, ast.Constant) and not remedy.value)), where
