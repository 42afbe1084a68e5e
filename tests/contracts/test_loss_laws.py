"""Laws that every registered loss obeys, for every kind of sensing model."""

from __future__ import annotations

import pytest
import torch
from builders import batches
from builders.batches import make_counts, make_images, make_sensing

from acqplan.core.registry import find, kinds
from acqplan.reconstructors.losses import Loss, Target
from acqplan.sensing.measurement import measured

EVERYWHERE = pytest.mark.parametrize("case", batches.SENSING)
SOMEWHERE = pytest.mark.parametrize("case", batches.VARIED)
EVERY_LOSS = pytest.mark.parametrize("kind", kinds("losses"))


def make_target(case: str, *, scale: float = 1.0, with_truth: bool = True) -> Target:
    sensing = make_sensing(case)
    truth = make_images(sensing, 3) * scale
    counts = make_counts(sensing, 3)
    hidden = torch.arange(sensing.n_units) % 2 == 0
    coefficients = measured(sensing.coefficients(truth), counts, sensing)
    return Target(coefficients, counts * ~hidden, sensing, truth if with_truth else None, counts * hidden)


def make_image(case: str, *, scale: float = 1.0) -> torch.Tensor:
    return make_images(make_sensing(case), 3, seed=1) * scale


def value(kind: str, image: torch.Tensor, target: Target) -> torch.Tensor:
    loss: Loss = find("losses", kind)()
    return loss(image, target)


@EVERY_LOSS
@EVERYWHERE
def test_one_number_per_image_at_least_zero(kind: str, case: str) -> None:
    found = value(kind, make_image(case), make_target(case))
    assert found.shape == (3,)
    assert found.dtype == torch.float32
    assert bool((found >= 0).all())


@EVERY_LOSS
@SOMEWHERE
def test_the_unit_of_the_data_changes_nothing(kind: str, case: str) -> None:
    found = value(kind, make_image(case, scale=250.0), make_target(case, scale=250.0))
    torch.testing.assert_close(found, value(kind, make_image(case), make_target(case)), rtol=1e-4, atol=1e-6)


@EVERY_LOSS
@SOMEWHERE
def test_the_gradient_leads_down(kind: str, case: str) -> None:
    image = make_image(case).requires_grad_()
    before = value(kind, image, make_target(case))
    (slope,) = torch.autograd.grad(before.sum(), image)
    assert bool(torch.isfinite(slope.abs()).all())
    step = 1e-3 * slope * image.detach().norm() / slope.norm()
    after = value(kind, image.detach() - step, make_target(case))
    assert float(after.sum()) < float(before.detach().sum())


@EVERY_LOSS
@SOMEWHERE
def test_an_image_is_judged_on_its_own(kind: str, case: str) -> None:
    target, image = make_target(case), make_image(case)
    alone = Target(
        target.coefficients[1:2],
        target.counts[1:2],
        target.sensing,
        None if target.truth is None else target.truth[1:2],
        None if target.held_back is None else target.held_back[1:2],
    )
    torch.testing.assert_close(value(kind, image[1:2], alone), value(kind, image, target)[1:2], rtol=1e-4, atol=1e-6)


@EVERY_LOSS
def test_the_truth_is_seen_exactly_where_it_is_said(kind: str) -> None:
    image, blind = make_image("points"), make_target("points", with_truth=False)
    if find("losses", kind).needs_truth:
        with pytest.raises(ValueError, match="truth"):
            value(kind, image, blind)
    else:
        torch.testing.assert_close(value(kind, image, blind), value(kind, image, make_target("points")))


@EVERY_LOSS
def test_an_empty_image_gives_finite_losses_and_slopes(kind: str) -> None:
    sensing = make_sensing("points")
    image = torch.zeros((1, *sensing.image_shape), dtype=sensing.image_dtype, requires_grad=True)
    counts = make_counts(sensing)
    target = Target(sensing.coefficients(image.detach()), counts, sensing, image.detach(), counts)
    found = value(kind, image, target)
    (slope,) = torch.autograd.grad(found.sum(), image)
    assert bool(torch.isfinite(found).all())
    assert bool(torch.isfinite(slope.abs()).all())
