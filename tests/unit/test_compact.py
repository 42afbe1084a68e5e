"""Weights in half precision."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from builders.trainings import make_recipe

from acqplan.learning.training import design
from acqplan.plan import file as plan_file
from acqplan.plan.compact import rounded, stored
from acqplan.plan.plan import Plan


@pytest.fixture(scope="module")
def plans(scans: Path) -> tuple[Plan, Plan]:
    return design(make_recipe(scans)), design(make_recipe(scans, compact=True))


def test_a_compact_plan_is_the_rounded_one(plans: tuple[Plan, Plan], tmp_path: Path) -> None:
    full, compact = plans
    compact.save(tmp_path / "compact")
    held = plan_file.read(tmp_path / "compact").weights.values()
    assert {array.dtype for array in held} == {np.dtype(np.float16)}
    weights = {name: value.numpy() for name, value in full.reconstructor.state_dict().items()}
    nearest = rounded(weights)
    for name, value in compact.reconstructor.state_dict().items():
        np.testing.assert_array_equal(value.numpy(), nearest[name])
    assert any(not np.array_equal(weights[name], nearest[name]) for name in weights)


def test_it_is_the_same_plan_after_it_was_saved(plans: tuple[Plan, Plan], tmp_path: Path) -> None:
    compact = plans[1]
    compact.save(tmp_path / "compact")
    again = Plan.load(tmp_path / "compact")
    assert again.plan_id == compact.plan_id
    for name, value in compact.reconstructor.state_dict().items():
        np.testing.assert_array_equal(again.reconstructor.state_dict()[name].numpy(), value.numpy())


def test_a_plan_is_hardly_worse_for_it(plans: tuple[Plan, Plan]) -> None:
    full, compact = (plan.evidence["held_out"]["mean"]["plan"]["psnr_db"] for plan in plans)
    assert compact == pytest.approx(full, abs=0.02)


def test_values_too_large_for_half_precision_stay() -> None:
    weights = {"large": np.array([1e5, 0.1], np.float32), "small": np.array([0.1], np.float32), "n": np.array([3])}
    near = rounded(weights)
    np.testing.assert_array_equal(near["large"], weights["large"])
    assert near["small"] == np.float32(np.float16(0.1))
    assert {name: array.dtype for name, array in stored(near).items()} == {
        "large": np.float32,
        "small": np.float16,
        "n": weights["n"].dtype,
    }


def test_what_would_lose_something_is_stored_as_it_is() -> None:
    weights = {"w": np.array([0.1], np.float32)}
    assert stored(weights)["w"].dtype == np.float32
