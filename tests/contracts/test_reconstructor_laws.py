"""Laws that every registered reconstructor obeys, for every kind of sensing model."""

from __future__ import annotations

import copy
import json

import pytest
import torch
from builders import batches
from builders.batches import for_images, make_counts, make_images, make_sensing
from builders.networks import make_reconstructor

from acqplan.core.registry import find, kinds
from acqplan.reconstructors.reconstructor import Reconstructor
from acqplan.sensing.measurement import measured
from acqplan.sensing.model import SensingModel

EVERYONE = pytest.mark.parametrize("kind", kinds("reconstructors"))
TRAINED = pytest.mark.parametrize("kind", [kind for kind, cls in kinds("reconstructors").items() if cls.is_trained])
EVERYWHERE = pytest.mark.parametrize("case", batches.SENSING)
SOMEWHERE = pytest.mark.parametrize("case", batches.VARIED)


def measure(sensing: SensingModel, images: torch.Tensor, counts: torch.Tensor) -> torch.Tensor:
    return measured(sensing.coefficients(images), counts, sensing)


def assert_alike(image: torch.Tensor, expected: torch.Tensor, tolerance: float = 1e-4) -> None:
    """Equal up to float32 rounding of the largest pixel."""
    assert image.shape == expected.shape
    largest = expected.detach().abs().max()
    assert (image - expected).detach().abs().max() <= tolerance * largest


@EVERYONE
@EVERYWHERE
def test_shape_and_type(kind: str, case: str) -> None:
    n = 3
    sensing = make_sensing(case, n)
    reconstruct = make_reconstructor(kind, sensing.is_complex)
    images = make_images(sensing, n)
    for counts in (make_counts(sensing, 1), make_counts(sensing, n)):
        image = reconstruct(measure(sensing, images, counts), counts, sensing)
        assert image.shape == (n, *sensing.image_shape)
        assert image.dtype == sensing.image_dtype
        assert torch.isfinite(torch.view_as_real(image) if sensing.is_complex else image).all()
        assert image.abs().max() > 0


@EVERYONE
@SOMEWHERE
def test_one_pattern_for_all_is_the_same_as_one_each(kind: str, case: str) -> None:
    sensing = make_sensing(case, 3)
    reconstruct = make_reconstructor(kind, sensing.is_complex)
    counts = make_counts(sensing)
    coefficients = measure(sensing, make_images(sensing, 3), counts)
    together = reconstruct(coefficients, counts, sensing)
    assert_alike(reconstruct(coefficients, counts.expand(3, -1), sensing), together, 1e-5)


@EVERYONE
@SOMEWHERE
def test_images_of_a_batch_do_not_touch_each_other(kind: str, case: str) -> None:
    sensing = make_sensing(case, 3)
    reconstruct = make_reconstructor(kind, sensing.is_complex)
    counts = make_counts(sensing, 3)
    counts[:, counts.sum(0) == 0] = 1
    images = make_images(sensing, 3) * torch.tensor([1.0, 100.0, 0.0])[:, None, None]
    coefficients = measure(sensing, images, counts)
    together = reconstruct(coefficients, counts, sensing)
    for i in range(2):
        one = for_images(sensing, slice(i, i + 1))
        alone = reconstruct(coefficients[i : i + 1], counts[i : i + 1], one)
        assert_alike(together[i : i + 1], alone)
    assert torch.isfinite(together.abs()).all()


@EVERYONE
@SOMEWHERE
@pytest.mark.parametrize("factor", [1e-3, 1e4])
def test_scaling_the_data_scales_the_image(kind: str, case: str, factor: float) -> None:
    sensing = make_sensing(case)
    reconstruct = make_reconstructor(kind, sensing.is_complex)
    counts = make_counts(sensing)
    coefficients = measure(sensing, make_images(sensing), counts)
    image = reconstruct(coefficients, counts, sensing)
    assert_alike(reconstruct(factor * coefficients, counts, sensing) / factor, image)


@EVERYONE
@SOMEWHERE
def test_nothing_measured_gives_a_finite_image(kind: str, case: str) -> None:
    sensing = make_sensing(case)
    reconstruct = make_reconstructor(kind, sensing.is_complex)
    zeros = torch.zeros_like(sensing.coefficients(make_images(sensing)))
    for counts in (make_counts(sensing), torch.zeros(1, sensing.n_units)):
        image = reconstruct(zeros, counts, sensing)
        assert torch.isfinite(image.abs()).all()
        assert image.abs().max() < 1e-15  # the scale of the data


@EVERYONE
@SOMEWHERE
def test_repeats_and_full_measurement_are_taken(kind: str, case: str) -> None:
    sensing = make_sensing(case)
    reconstruct = make_reconstructor(kind, sensing.is_complex)
    for repeats in (1.0, 50.0):
        counts = torch.full((1, sensing.n_units), repeats)
        image = reconstruct(measure(sensing, make_images(sensing), counts), counts, sensing)
        assert torch.isfinite(image.abs()).all()


@EVERYONE
@SOMEWHERE
def test_calls_change_neither_arguments_nor_the_module(kind: str, case: str) -> None:
    sensing = make_sensing(case)
    reconstruct = make_reconstructor(kind, sensing.is_complex)
    counts = make_counts(sensing)
    coefficients = measure(sensing, make_images(sensing), counts)
    before = coefficients.clone(), counts.clone()
    state = copy.deepcopy(reconstruct.state_dict())
    held = set(vars(reconstruct))
    maps = getattr(sensing, "coil_maps", None)
    maps_before = None if maps is None else maps.clone()
    first = reconstruct(coefficients, counts, sensing)
    second = reconstruct(coefficients, counts, sensing)
    assert torch.equal(first, second)
    assert torch.equal(coefficients, before[0])
    assert torch.equal(counts, before[1])
    assert maps_before is None or torch.equal(maps, maps_before)  # type: ignore[arg-type]
    assert set(vars(reconstruct)) == held
    assert reconstruct.state_dict().keys() == state.keys()
    for name, value in reconstruct.state_dict().items():
        assert torch.equal(value, state[name]), name


@EVERYONE
@pytest.mark.parametrize("case", ["points-odd", "lines-odd", "hadamard"])
def test_no_pattern_is_stored(kind: str, case: str) -> None:
    """One module, two patterns, another size in between: each call depends on its arguments only."""
    sensing = make_sensing(case)
    reconstruct = make_reconstructor(kind, sensing.is_complex)
    images = make_images(sensing)
    patterns = [make_counts(sensing, seed=seed) for seed in (0, 1)]
    first, second = (reconstruct(measure(sensing, images, counts), counts, sensing) for counts in patterns)
    assert not torch.allclose(first, second)
    other = make_sensing("points" if sensing.is_complex else "hadamard-oblong")
    counts = make_counts(other)
    reconstruct(measure(other, make_images(other), counts), counts, other)
    again = reconstruct(measure(sensing, images, patterns[0]), patterns[0], sensing)
    assert torch.equal(again, first)
    if case == "points-odd":  # 143 units: no weight of a small network has that size by chance
        stored = [*reconstruct.state_dict().values(), *reconstruct.buffers()]
        assert not [value.shape for value in stored if sensing.n_units in (value.numel(), *value.shape)]


@EVERYONE
@pytest.mark.parametrize("case", ["points-odd", "hadamard"])
def test_the_spec_builds_it_again(kind: str, case: str) -> None:
    sensing = make_sensing(case)
    made = make_reconstructor(kind, sensing.is_complex)
    spec = json.loads(json.dumps(made.spec()))
    assert spec == made.spec()
    again: Reconstructor = find("reconstructors", made.kind)(**spec)
    assert again.spec() == spec
    again.load_state_dict(made.state_dict(), strict=True)
    counts = make_counts(sensing)
    coefficients = measure(sensing, make_images(sensing), counts)
    assert torch.equal(again(coefficients, counts, sensing), made(coefficients, counts, sensing))


@EVERYONE
def test_the_spec_is_a_copy(kind: str) -> None:
    made = make_reconstructor(kind, True)
    made.spec()["stages"] = -1
    assert made.spec().get("stages") != -1


@EVERYONE
def test_it_says_what_it_is(kind: str) -> None:
    cls = find("reconstructors", kind)
    assert cls.kind == kind
    assert cls.summary
    assert cls.reference
    made = make_reconstructor(kind, True)
    assert (made.n_parameters > 0) == cls.is_trained
    buffers = sum(value.numel() for value in made.buffers())  # a knob's table, say
    assert buffers <= 0.05 * made.n_parameters
    assert made.n_parameters + buffers == sum(value.numel() for value in made.state_dict().values())


@EVERYONE
def test_making_one_with_a_seed_gives_the_same_weights(kind: str) -> None:
    first, second = (make_reconstructor(kind, True).state_dict() for _ in range(2))
    assert all(torch.equal(first[name], second[name]) for name in first)


@TRAINED
@SOMEWHERE
@pytest.mark.parametrize("nudged", [False, True])
def test_gradients_are_finite(kind: str, case: str, nudged: bool) -> None:
    sensing = make_sensing(case)
    reconstruct = make_reconstructor(kind, sensing.is_complex, spread=0.1 * nudged)
    counts = (make_counts(sensing) / 2).requires_grad_()  # 0, ½ and 1½
    images = make_images(sensing)
    for scale in (1.0, 0.0):
        reconstruct.zero_grad()
        counts.grad = None
        coefficients = measure(sensing, images * scale, counts)
        error = reconstruct(coefficients, counts, sensing) - images
        error.abs().square().sum().backward()
        gradients = {"counts": counts.grad} | {name: p.grad for name, p in reconstruct.named_parameters()}
        for name, gradient in gradients.items():
            assert gradient is not None, name
            assert torch.isfinite(gradient).all(), name
            assert gradient.any() or not (scale and nudged), name


@TRAINED
@pytest.mark.parametrize("case", ["points", "lines-coils", "lines-coils-each", "hadamard"])
def test_training_lowers_the_loss(kind: str, case: str) -> None:
    sensing = make_sensing(case, 2)
    reconstruct = make_reconstructor(kind, sensing.is_complex)
    images, counts = make_images(sensing, 2), make_counts(sensing)
    coefficients = measure(sensing, images, counts)
    optimiser = torch.optim.Adam(reconstruct.parameters(), 0.01)
    losses = []
    for _ in range(30):
        optimiser.zero_grad()
        loss = (reconstruct(coefficients, counts, sensing) - images).abs().square().mean()
        loss.backward()
        optimiser.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < 0.95 * losses[0]
