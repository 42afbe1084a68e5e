"""The size of an error from reconstructions that each lack a group of readings."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from builders.plans import make_plan
from builders.sensing import random_image

from acqplan.plan.plan import Plan
from acqplan.reconstructors.jackknife import Jackknife
from acqplan.reconstructors.reconstructor import Reconstructor
from acqplan.sensing.model import SensingModel
from acqplan.sensing.pattern import Pattern

HOW = Jackknife()


class Deaf(Reconstructor):
    """The same image whatever was measured."""

    kind, is_trained = "deaf", False

    def forward(self, coefficients: torch.Tensor, counts: torch.Tensor, sensing: SensingModel) -> torch.Tensor:
        return torch.ones((coefficients.shape[0], *sensing.image_shape)).to(sensing.image_dtype)


def sized(plan: Plan, how: Jackknife = HOW, reconstructor: Reconstructor | None = None, scale: float = 1.0) -> Any:
    """The size of the error of a random image that was measured without noise."""
    network = reconstructor or plan.reconstructor
    counts = torch.from_numpy(plan.pattern.counts.astype(np.float32))[None]
    coefficients = scale * plan.sensing.coefficients(random_image(plan.sensing, 0)[None])
    coefficients = coefficients * plan.sensing.per_unit(counts.clamp(max=1))
    image = network(coefficients, counts, plan.sensing)
    return how.error_size(
        network, image, coefficients, counts, plan.sensing, plan.pattern.fixed(plan.sensing.reference_unit)
    )


def test_what_doesnt_hang_on_the_readings_has_no_spread() -> None:
    plan = make_plan("points")
    size = sized(plan, reconstructor=Deaf())
    assert np.allclose(size, HOW.floor)  # the root mean square of ones is 1
    assert size.dtype == np.float32


@pytest.mark.parametrize("name", ["lines", "points", "hadamard"])
def test_what_does_has_a_spread_everywhere(name: str) -> None:
    plan = make_plan(name)
    with_floor, without = sized(plan), sized(plan, Jackknife(floor=0))
    assert (without > 0).all()
    assert (with_floor > without).all()


def test_it_is_the_jackknife_of_its_groups() -> None:
    """Zero-filled images are linear: without a group's readings they lack its part."""
    plan = make_plan("hadamard")
    counts = torch.from_numpy(plan.pattern.counts.astype(np.float32))[None]
    coefficients = plan.sensing.coefficients(random_image(plan.sensing, 0)[None]) * (counts > 0)
    parts = HOW.without_groups(counts, plan.pattern.fixed(plan.sensing.reference_unit))
    images = np.stack([plan.sensing.adjoint(coefficients * (fewer > 0))[0].numpy() for fewer in parts])
    expected = np.sqrt(4 / 5 * ((images - images.mean(0)) ** 2).sum(0))
    assert np.allclose(sized(plan, Jackknife(floor=0, smoothing=0))[0], expected, rtol=1e-4, atol=1e-6)


def test_groups_share_the_measured_units_but_for_those_that_stay() -> None:
    plan = make_plan("points")
    units = np.unique(plan.pattern.order)
    kept = units[:3]
    counts = torch.from_numpy(plan.pattern.counts.astype(np.float32))[None]
    parts = HOW.without_groups(counts, kept)
    lost = [np.flatnonzero((counts[0] > 0).numpy() & (fewer[0] == 0).numpy()) for fewer in parts]
    assert len(lost) == HOW.groups
    assert np.array_equal(np.sort(np.concatenate(lost)), units[3:])
    assert max(map(len, lost)) - min(map(len, lost)) <= 1
    other = Jackknife(seed=1).without_groups(counts, kept)
    assert any(not torch.equal(a, b) for a, b in zip(parts, other, strict=True))
    assert all(torch.equal(a, b) for a, b in zip(parts, HOW.without_groups(counts, kept), strict=True))


@pytest.mark.parametrize(("free", "n_groups"), [(0, 0), (1, 0), (3, 3), (9, 5)])
def test_few_units_make_few_groups(free: int, n_groups: int) -> None:
    counts = torch.zeros(1, 40)
    counts[0, : 4 + free] = 1
    assert len(HOW.without_groups(counts, np.arange(4))) == n_groups


def test_twice_the_signal_has_twice_the_error() -> None:
    plan = make_plan("points")
    assert np.allclose(sized(plan, scale=2.0), 2 * sized(plan), rtol=1e-5)


def test_an_empty_image_has_a_size_above_zero() -> None:
    assert (sized(make_plan("points"), scale=0.0) > 0).all()


def test_calibration_and_reference_stay() -> None:
    pattern = Pattern([5, 3, 8, 9], 16, [8, 9])
    assert pattern.fixed(None).tolist() == [8, 9]
    assert pattern.fixed(3).tolist() == [3, 8, 9]
