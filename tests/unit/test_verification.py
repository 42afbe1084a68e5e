"""Every difference between a plan and what was acquired is found, and named with its severity."""

from dataclasses import replace

import numpy as np
import pytest
from test_plan import make_plan

from acqplan.acquisition import Scan
from acqplan.errors import AcquisitionError, PatternMismatch
from acqplan.verification import verify


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
    assert found(plan, replace(acquisition, order=order)) == {("error", "pattern")}


def test_fewer_repeats_are_noted(plan, acquisition):
    cut = replace(acquisition, readings=acquisition.readings[:-1], order=acquisition.order[:-1])
    assert found(plan, cut) == {("note", "fewer repeats")}


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


@pytest.mark.parametrize(("value", "subject"), [(np.nan, "not finite"), (0, "empty")])
def test_bad_readings_are_errors(plan, acquisition, value, subject):
    readings = acquisition.readings.copy()
    readings[...] = value
    assert ("error", subject) in found(plan, replace(acquisition, readings=readings))
