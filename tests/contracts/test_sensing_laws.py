"""Laws that every registered sensing model obeys: adjointness, isometry, shapes, purity, rebuilding."""

from __future__ import annotations

import copy
import itertools

import numpy as np
import pytest
import torch

from acqplan.core import registry
from acqplan.core.errors import AcquisitionError, RecipeError
from acqplan.modalities.dmd.sensing import HadamardDMD
from acqplan.modalities.mri.sensing import CartesianMRI
from acqplan.sensing.acquisition import Acquisition
from acqplan.sensing.model import SensingModel

TOLERANCE = 1e-5  # relative, in float32


BATCH = 3


def coil_maps(n_coils: int, shape: tuple[int, int], *, normalised: bool, batched: bool = False) -> torch.Tensor:
    random = np.random.default_rng(n_coils)
    whole = (BATCH, n_coils, *shape) if batched else (n_coils, *shape)
    maps = random.standard_normal(whole) + 1j * random.standard_normal(whole)
    if normalised:
        maps /= np.linalg.norm(maps, axis=-3, keepdims=True)
    return torch.from_numpy(maps).to(torch.complex64)


MODELS: dict[str, SensingModel] = {
    "lines": CartesianMRI((16, 12), "lines"),
    "lines, odd": CartesianMRI((7, 9), "lines"),
    "points": CartesianMRI((12, 16), "points"),
    "points, odd": CartesianMRI((9, 5), "points"),
    "points, smallest": CartesianMRI((2, 2), "points"),
    "lines, 4 coils": CartesianMRI((10, 14), "lines", coil_maps(4, (10, 14), normalised=True)),
    "points, 3 coils": CartesianMRI((9, 8), "points", coil_maps(3, (9, 8), normalised=True)),
    "points, 1 coil": CartesianMRI((6, 8), "points", coil_maps(1, (6, 8), normalised=True)),
    "points, scaled coils": CartesianMRI((8, 8), "points", coil_maps(3, (8, 8), normalised=False)),
    "lines, 2 coils each": CartesianMRI((9, 8), "lines", coil_maps(2, (9, 8), normalised=True, batched=True)),
    "points, 3 coils each": CartesianMRI((8, 7), "points", coil_maps(3, (8, 7), normalised=True, batched=True)),
    "points, scaled coils each": CartesianMRI((6, 8), "points", coil_maps(2, (6, 8), normalised=False, batched=True)),
    "hadamard": HadamardDMD((16, 16)),
    "hadamard, wide": HadamardDMD((4, 32)),
    "hadamard, tall": HadamardDMD((64, 2)),
    "hadamard, two detectors": HadamardDMD((8, 16), "two-detector"),
    "hadamard, dc": HadamardDMD((8, 8), "dc"),
    "hadamard, dc, wide": HadamardDMD((2, 16), "dc"),
    "hadamard, s-matrix": HadamardDMD((8, 8), "s-matrix"),
    "hadamard, s-matrix, tall": HadamardDMD((16, 4), "s-matrix"),
}
EVERY = pytest.mark.parametrize("model", MODELS.values(), ids=MODELS.keys())
MRI = pytest.mark.parametrize("model", [m for m in MODELS.values() if isinstance(m, CartesianMRI)], ids=str)
HADAMARD = pytest.mark.parametrize("model", [m for m in MODELS.values() if isinstance(m, HadamardDMD)], ids=str)


def one_of(model: SensingModel, b: int) -> SensingModel:
    """The model that image b of a batch has."""
    maps = getattr(model, "coil_maps", None)
    return model if maps is None or maps.ndim == 3 else model.with_coil_maps(maps[b : b + 1])


def normal(shape: tuple[int, ...], dtype: torch.dtype, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, dtype=dtype, generator=torch.Generator().manual_seed(seed))


def image_of(model: SensingModel, seed: int = 0) -> torch.Tensor:
    return normal((BATCH, *model.image_shape), model.image_dtype, seed)


def coefficients_of(model: SensingModel, seed: int = 1) -> torch.Tensor:
    shape = (BATCH, model.n_units, *model.coefficient_shape)
    return normal(shape, torch.complex64 if model.is_complex else torch.float32, seed)


def inner(a: torch.Tensor, b: torch.Tensor) -> complex:
    """⟨a, b⟩ accumulated in double precision."""
    return complex((a.to(torch.complex128).conj() * b.to(torch.complex128)).sum())


def relative_error(result: torch.Tensor, expected: torch.Tensor) -> float:
    return float((result - expected).norm() / expected.norm())


def test_every_registered_model_is_tested() -> None:
    assert {type(model) for model in MODELS.values()} == set(registry.kinds("sensing").values())


@EVERY
def test_shapes_and_types_are_as_declared(model: SensingModel) -> None:
    readings = model(image_of(model))
    assert readings.shape == (BATCH, model.n_units, *model.reading_shape)
    assert readings.dtype == model.reading_dtype
    coefficients = model.decode(readings)
    assert coefficients.shape == (BATCH, model.n_units, *model.coefficient_shape)
    assert coefficients.dtype == model.image_dtype
    image = model.adjoint(coefficients)
    assert image.shape == (BATCH, *model.image_shape)
    assert image.dtype == model.image_dtype
    assert model.n_units == np.prod(model.grid_shape)
    assert model.coordinates().shape == (model.n_units, len(model.grid_shape))
    assert model.distance().shape == (model.n_units,)
    assert model.coordinates().dtype == model.distance().dtype == np.float64
    assert model.per_unit(torch.ones(1, model.n_units)).shape == (
        1,
        model.n_units,
        *(1,) * len(model.coefficient_shape),
    )
    assert not list(model.parameters())


@EVERY
def test_adjoint(model: SensingModel) -> None:
    """⟨A x, y⟩ = ⟨x, Aᴴ y⟩."""
    image = image_of(model)
    coefficients = coefficients_of(model) + model.coefficients(image)
    left = inner(model.coefficients(image), coefficients)
    right = inner(image, model.adjoint(coefficients))
    scale = float(model.coefficients(image).norm() * coefficients.norm())
    assert abs(left - right) <= TOLERANCE * scale
    assert abs(left) > 0.3 * scale  # not both zero


@EVERY
def test_linear(model: SensingModel) -> None:
    one, other = image_of(model, 2), image_of(model, 3)
    combined = model.coefficients(2 * one - 3 * other)
    assert relative_error(combined, 2 * model.coefficients(one) - 3 * model.coefficients(other)) <= TOLERANCE


@EVERY
def test_images_of_a_batch_are_independent(model: SensingModel) -> None:
    image, coefficients = image_of(model), coefficients_of(model)
    for b in range(BATCH):
        assert relative_error(one_of(model, b)(image[b : b + 1])[0], model(image)[b]) <= TOLERANCE
        alone = one_of(model, b).adjoint(coefficients[b : b + 1])[0]
        assert relative_error(alone, model.adjoint(coefficients)[b]) <= TOLERANCE


@EVERY
def test_gram_is_the_adjoint_of_weighted_coefficients(model: SensingModel) -> None:
    """One pattern for all images and one each, where gradients are taken and where none are."""
    for n_patterns, learning in itertools.product([1, BATCH], [False, True]):
        image = image_of(model)
        weights = torch.rand((n_patterns, model.n_units), generator=torch.Generator().manual_seed(4))
        weights.requires_grad_(learning)
        given = image.clone(), weights.detach().clone()
        expected = model.adjoint(model.per_unit(weights) * model.coefficients(image))
        with torch.set_grad_enabled(learning):
            assert relative_error(model.gram(image, weights).detach(), expected.detach()) <= TOLERANCE
        assert torch.equal(image, given[0])
        assert torch.equal(weights, given[1])


@EVERY
def test_the_gain_bound_holds_for_each_image(model: SensingModel) -> None:
    bound = model.gain_bound
    assert bound.shape in ((), (BATCH, 1, 1))
    image, ones = image_of(model), torch.ones(1, model.n_units)
    for _ in range(30):  # power iterations reach the largest eigenvalue from below
        image = model.gram(image, ones)
        image = image / image.abs().square().sum((-2, -1), keepdim=True).sqrt()
    largest = (image.conj() * model.gram(image, ones)).real.sum((-2, -1), keepdim=True)
    assert (largest <= bound * (1 + TOLERANCE)).all()
    assert (largest >= 0.7 * bound).all()


@EVERY
def test_isometry_where_claimed_and_only_there(model: SensingModel) -> None:
    image = image_of(model)
    coefficients = model.coefficients(image)
    keeps_norm = abs(float(coefficients.norm() / image.norm()) - 1) <= TOLERANCE
    returns = relative_error(model.adjoint(coefficients), image) <= TOLERANCE
    assert keeps_norm == returns == model.is_isometry


@EVERY
def test_unitary_both_ways_where_claimed(model: SensingModel) -> None:
    coefficients = coefficients_of(model)
    returns = relative_error(model.coefficients(model.adjoint(coefficients)), coefficients) <= TOLERANCE
    if model.is_unitary:
        assert model.is_isometry
        assert returns
    elif len(model.reading_shape) and model.reading_shape[0] > 1:  # redundant: more coefficients than pixels
        assert not returns


@EVERY
def test_nothing_is_mutated(model: SensingModel) -> None:
    state = copy.deepcopy(dict(model.named_buffers()))
    image, coefficients = image_of(model), coefficients_of(model)
    readings = model(image).clone()
    given = [tensor.clone() for tensor in (image, coefficients, readings)]
    model(image)
    model.decode(readings)
    model.adjoint(coefficients)
    model.coordinates()[:] = 0  # results are the caller's own
    model.distance()[:] = 0
    model.calibration_units(1)[:] = 0
    for tensor, before in zip((image, coefficients, readings), given, strict=True):
        assert torch.equal(tensor, before)
    for name, buffer in model.named_buffers():
        assert torch.equal(buffer, state[name])
    assert model.distance().any()
    assert torch.equal(model(image), readings)


@EVERY
def test_spec_rebuilds_the_model(model: SensingModel) -> None:
    rebuilt = registry.find("sensing", model.kind)(**model.spec())
    assert rebuilt.spec() == model.spec()
    for name in ("image_shape", "grid_shape", "unit_name", "frames_per_unit", "is_complex", "reference_unit"):
        assert getattr(rebuilt, name) == getattr(model, name)
    maps = getattr(model, "coil_maps", None)
    calibrated = rebuilt.for_scan(
        Acquisition(np.zeros(0), None, "scan.h5", coil_maps=None if maps is None else maps.numpy())
    )
    assert torch.equal(calibrated(image_of(model)), model(image_of(model)))


@EVERY
def test_gradients_flow(model: SensingModel) -> None:
    image = image_of(model).requires_grad_()
    (gradient,) = torch.autograd.grad(model.coefficients(image).abs().square().sum(), image)
    assert relative_error(gradient, 2 * model.adjoint(model.coefficients(image.detach()))) <= TOLERANCE


@EVERY
def test_calibration_is_the_central_square(model: SensingModel) -> None:
    side = min(model.grid_shape)
    grid = np.stack(np.unravel_index(np.arange(model.n_units), model.grid_shape), axis=-1)
    centre = np.array(np.unravel_index(int(model.distance().argmin()), model.grid_shape))
    assert (model.coordinates()[model.distance().argmin()] == 0).all()
    inner_units: set[int] = set()
    for width in range(side + 1):
        units = model.calibration_units(width)
        assert units.dtype == np.int32
        assert units.tolist() == sorted(set(units.tolist()))
        assert units.size == width ** len(model.grid_shape)
        if width:
            box = grid[units]
            assert (box.max(0) - box.min(0) == width - 1).all()
            assert (box.min(0) <= centre).all()
            assert (centre <= box.max(0)).all()
        if isinstance(model, CartesianMRI) and width:  # as nearly symmetric as the width allows
            assert (np.abs((centre - box.min(0)) - (box.max(0) - centre)) <= 1).all()
        assert inner_units <= set(units.tolist())
        assert model.measured_width(units) == width
        if width:
            lacking = np.setdiff1d(units, min(set(units.tolist()) - inner_units))
            assert model.measured_width(np.r_[lacking, lacking[:1], -1, model.n_units]) == width - 1
        inner_units = set(units.tolist())
    for width in (-1, side + 1):
        with pytest.raises(RecipeError, match=str(width)):
            model.calibration_units(width)


@EVERY
def test_coordinates_and_distance(model: SensingModel) -> None:
    coordinates, distance = model.coordinates(), model.distance()
    assert np.abs(coordinates).max() <= 1
    assert len({tuple(row) for row in coordinates}) == model.n_units
    assert distance.min() == 0
    # Never nearer by moving outwards along one axis.
    order = np.argsort(np.abs(coordinates).sum(-1))
    outward = np.abs(coordinates[order])
    inside = (outward[:, None] <= outward[None]).all(-1)
    assert (distance[order][:, None] <= distance[order][None] + 1e-12)[inside].all()


# --- Cartesian MRI ----------------------------------------------------------------------------


@MRI
def test_a_reading_is_the_fourier_integral(model: CartesianMRI) -> None:
    """Σ S(r) image(r) exp(−2πi k·r)/√N with positions and frequencies counted from the centre."""
    rows, columns = model.image_shape
    image = image_of(model)
    maps = torch.ones(1, rows, columns) if model.coil_maps is None else model.coil_maps
    maps = maps if maps.ndim == 3 else maps[0]
    weighted = (maps * image[0]).numpy().astype(np.complex128)
    waves = []
    for n in (rows, columns):
        position = np.arange(n) - n // 2
        waves.append(np.exp(-2j * np.pi * np.outer(position, position) / n) / np.sqrt(n))
    kspace = waves[0] @ weighted @ waves[1].T
    readings = model(image)[0].numpy()
    for unit in range(model.n_units):
        if model.encoding == "lines":
            expected = kspace[:, unit]
        else:
            expected = kspace[:, unit // columns, unit % columns]
        np.testing.assert_allclose(readings[unit], expected, atol=2e-5)
    assert torch.equal(model.from_grid(model.to_grid(model(image))), model(image))


def test_coil_maps_are_copied_from_numpy() -> None:
    maps = coil_maps(2, (4, 4), normalised=True).numpy().copy()
    model = CartesianMRI((4, 4), "points", maps)
    before = model(image_of(model)).clone()
    maps[:] = 0
    assert torch.equal(model(image_of(model)), before)
    maps.setflags(write=False)  # a read-only file is fine
    CartesianMRI((4, 4), "points", maps)


def test_calibration_leaves_the_model_as_it_was() -> None:
    model = CartesianMRI((4, 6), "lines")
    maps = coil_maps(3, (4, 6), normalised=True).numpy()
    calibrated = model.for_scan(Acquisition(np.zeros(0), None, "scan.h5", coil_maps=maps))
    assert model.coil_maps is None
    assert model.reading_shape == (1, 6)
    assert calibrated.reading_shape == (3, 6)
    assert model.for_scan(Acquisition(np.zeros(0), None, "scan.h5")) is model


def test_impossible_mri_is_refused() -> None:
    with pytest.raises(RecipeError, match="spiral"):
        CartesianMRI((8, 8), "spiral")
    with pytest.raises(RecipeError, match="1x8"):
        CartesianMRI((1, 8))
    with pytest.raises(ValueError, match="hadamard_dmd has no coils"):
        HadamardDMD((8, 8)).with_coil_maps(coil_maps(2, (8, 8), normalised=True))
    with pytest.raises(AcquisitionError, match=r"\(8, 8\), expected"):
        CartesianMRI((8, 8), "points", coil_maps(2, (8, 8), normalised=True)[0])
    with pytest.raises(AcquisitionError, match=r"\(2, 8, 9\), expected \(coils, 8, 8\)"):
        CartesianMRI((8, 8), "points", coil_maps(2, (8, 9), normalised=True))


# --- Hadamard behind a DMD --------------------------------------------------------------------


@HADAMARD
def test_frames_seen_by_the_detector_are_the_readings(model: HadamardDMD) -> None:
    image = image_of(model).abs() * 100
    readings = model(image).numpy()
    frames = np.stack([model.frames(unit) for unit in range(model.n_units)])
    assert frames.dtype == np.bool_
    assert frames.shape == (model.n_units, model.frames_per_unit, *model.image_shape)
    if model.frames_per_unit == 2:
        assert (frames[:, 0] != frames[:, 1]).all()  # complementary
    assert frames[0, 0].sum() == model.n_units - (model.scheme == "s-matrix")  # unit 0: all mirrors on
    on = np.einsum("kfyx,byx->bkf", frames.astype(np.float64), image.numpy().astype(np.float64))
    for b in range(BATCH):
        expected = model.readings_seen(torch.from_numpy(on[b]), image[b].double().sum()).numpy()
        assert expected.shape == (model.n_units, *model.reading_shape)
        np.testing.assert_allclose(readings[b], expected, rtol=1e-5, atol=1e-5 * expected.max())


@HADAMARD
def test_a_frame_names_its_unit(model: HadamardDMD) -> None:
    for unit in range(model.n_units):
        for number, frame in enumerate(model.frames(unit)):
            assert model.unit_of(frame) == (unit, number)


@HADAMARD
def test_units_are_decoded_from_their_own_reading_and_the_reference(model: HadamardDMD) -> None:
    image = image_of(model).abs()
    readings, coefficients = model(image), model.coefficients(image)
    for unit in range(0, model.n_units, 3):
        alone = torch.zeros_like(readings)
        kept = [unit] if model.reference_unit is None else [unit, model.reference_unit]
        alone[:, kept] = readings[:, kept]
        torch.testing.assert_close(model.decode(alone)[:, unit], coefficients[:, unit])


@HADAMARD
def test_frames_have_the_sequencies_of_their_unit(model: HadamardDMD) -> None:
    rows, columns = model.image_shape
    for unit in range(model.n_units):
        positive = model.frames(unit)[0].astype(int)
        if model.scheme == "s-matrix" and unit == 0:
            continue  # all on but pixel 0
        u, v = divmod(unit, columns)
        assert np.abs(np.diff(positive[:, 0])).sum() == u
        assert np.abs(np.diff(positive[0])).sum() == v
    assert rows * columns == model.n_units


def test_low_sequency_order_grows_in_squares() -> None:
    order = np.argsort(HadamardDMD((8, 8)).distance(), kind="stable")
    for side in range(1, 9):
        u, v = np.divmod(order[: side**2], 8)
        assert u.max() == v.max() == side - 1


@pytest.mark.parametrize(("shape", "nearest"), [((12, 16), 16), ((16, 1), 2), ((100, 64), 128)])
def test_sides_that_are_no_powers_of_two_are_refused(shape: tuple[int, int], nearest: int) -> None:
    with pytest.raises(RecipeError, match=f"the nearest is {nearest}"):
        HadamardDMD(shape)
