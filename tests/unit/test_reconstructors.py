"""What each reconstructor promises beyond the laws that all of them obey, and the step that they share."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch

from acqplan.core.errors import RecipeError
from acqplan.core.math.metrics import psnr
from acqplan.core.registry import find
from acqplan.modalities.dmd.sensing import HadamardDMD
from acqplan.modalities.mri.sensing import CartesianMRI
from acqplan.reconstructors.data_consistency import DataConsistency, conjugate_gradient, enforce_data
from acqplan.reconstructors.pixels import spread_pixels
from acqplan.reconstructors.reconstructor import from_channels, image_scale, to_channels
from acqplan.reconstructors.unet import UNet
from acqplan.reconstructors.unrolled import Coarser, Unrolled
from acqplan.reconstructors.wavelet import Wavelet
from acqplan.reconstructors.zero_filled import ZeroFilled
from acqplan.sensing.measurement import measured
from acqplan.sensing.model import SensingModel

UNITARY: list[SensingModel] = [CartesianMRI((9, 7), "lines"), CartesianMRI((8, 6), "points"), HadamardDMD((4, 8))]
EVERY_UNITARY = pytest.mark.parametrize("sensing", UNITARY, ids=["lines", "points", "hadamard"])


def image_of(sensing: SensingModel, n: int = 1, seed: int = 0) -> torch.Tensor:
    random = np.random.default_rng(seed)
    image: npt.NDArray[Any] = random.normal(size=(n, *sensing.image_shape))
    if sensing.is_complex:
        image = image + 1j * random.normal(size=image.shape)
    return torch.from_numpy(image).to(sensing.image_dtype)


def counts_of(sensing: SensingModel, n: int = 1, seed: int = 0) -> torch.Tensor:
    repeats = np.random.default_rng(seed).choice([0, 1, 2, 5], (n, sensing.n_units))
    repeats[:, :4] = [0, 1, 2, 5]
    return torch.from_numpy(repeats.astype(np.float32))


def two_coils(encoding: str) -> CartesianMRI:
    random = np.random.default_rng(3)
    maps = random.normal(size=(2, 4, 5)) + 1j * random.normal(size=(2, 4, 5))
    maps /= np.sqrt((np.abs(maps) ** 2).sum(0))
    return CartesianMRI((4, 5), encoding, maps.astype(np.complex64))


# --- data consistency ------------------------------------------------------------------------


@EVERY_UNITARY
def test_without_penalty_the_measurement_is_met_exactly(sensing: SensingModel) -> None:
    counts, data = counts_of(sensing, 2), sensing.coefficients(image_of(sensing, 2, 1))
    image = image_of(sensing, 2)
    result = enforce_data(image, measured(data, counts, sensing), counts, torch.tensor(1e-9), sensing)
    is_measured = sensing.per_unit(counts > 0).expand(data.shape)
    coefficients = sensing.coefficients(result)
    torch.testing.assert_close(coefficients[is_measured], data[is_measured], rtol=0, atol=1e-5)
    before = sensing.coefficients(image)
    torch.testing.assert_close(coefficients[~is_measured], before[~is_measured], rtol=0, atol=1e-5)


@EVERY_UNITARY
@pytest.mark.parametrize("penalty", [0.3, 4.0])
def test_a_unit_measured_n_times_moves_the_share_n_over_n_plus_penalty(sensing: SensingModel, penalty: float) -> None:
    counts, data = counts_of(sensing), sensing.coefficients(image_of(sensing, 1, 1))
    image = image_of(sensing)
    result = enforce_data(image, measured(data, counts, sensing), counts, torch.tensor(penalty), sensing)
    share = sensing.per_unit(counts / (counts + penalty))
    before = sensing.coefficients(image)
    torch.testing.assert_close(sensing.coefficients(result), before + share * (data - before), rtol=0, atol=1e-5)


@EVERY_UNITARY
def test_the_truth_stays_where_it_is(sensing: SensingModel) -> None:
    truth, counts = image_of(sensing), counts_of(sensing)
    data = measured(sensing.coefficients(truth), counts, sensing)
    torch.testing.assert_close(enforce_data(truth, data, counts, torch.tensor(0.1), sensing), truth)


def dense(sensing: SensingModel) -> npt.NDArray[np.complex128]:
    """The matrix of the sensing model: coefficients (flat) by pixels."""
    n_pixels = int(np.prod(sensing.image_shape))
    basis = torch.eye(n_pixels, dtype=sensing.image_dtype).reshape(n_pixels, *sensing.image_shape)
    return sensing.coefficients(basis).flatten(1).T.numpy().astype(np.complex128)


@pytest.mark.parametrize("encoding", ["points", "lines"])
def test_several_coils_are_solved_like_a_dense_system(encoding: str) -> None:
    sensing, penalty = two_coils(encoding), 2.0
    counts = counts_of(sensing, 2)
    image, data = image_of(sensing, 2), sensing.coefficients(image_of(sensing, 2, 1))
    data = measured(data + 0.1 * image_of(sensing, 2, 2).mean(), counts, sensing)  # not consistent
    result = enforce_data(image, data, counts, torch.tensor(penalty), sensing)
    matrix = dense(sensing)
    for b in range(2):
        weight = sensing.per_unit(counts[b]).expand(data[b].shape).flatten().numpy()
        normal = matrix.conj().T @ (weight[:, None] * matrix) + penalty * np.eye(20)
        right = matrix.conj().T @ (weight * data[b].flatten().numpy()) + penalty * image[b].flatten().numpy()
        exact = np.linalg.solve(normal, right).reshape(4, 5)
        np.testing.assert_allclose(result[b].numpy(), exact, atol=2e-3 * np.abs(exact).max())


def test_one_uniform_coil_is_the_same_solved_either_way() -> None:
    direct, iterative = CartesianMRI((4, 5)), CartesianMRI((4, 5), "points", np.ones((1, 4, 5), np.complex64))
    assert direct.is_unitary
    assert not iterative.is_unitary
    counts, image = counts_of(direct).clamp(max=1), image_of(direct)
    data = measured(direct.coefficients(image_of(direct, 1, 1)), counts, direct)
    results = [enforce_data(image, data, counts, torch.tensor(0.5), sensing) for sensing in (direct, iterative)]
    torch.testing.assert_close(results[1], results[0], rtol=0, atol=1e-4)


EVERY_KIND = [*UNITARY, two_coils("points"), two_coils("lines")]


@pytest.mark.parametrize("most", [1, 5])
@pytest.mark.parametrize("sensing", EVERY_KIND, ids=lambda s: f"{s.kind}-{s.reading_shape}")
def test_data_over_a_scale_are_met_as_scaled_data_at_each_images_penalty(sensing: SensingModel, most: int) -> None:
    counts = counts_of(sensing, 2).clamp(max=most)
    image, scale, penalty = image_of(sensing, 2), torch.tensor([0.1, 30.0])[:, None, None], torch.tensor([0.02, 0.7])
    data = measured(sensing.coefficients(image_of(sensing, 2, 1)), counts, sensing)
    step = DataConsistency(data, counts, sensing, scale, sensing.adjoint(data))
    result = step(image, penalty)
    for b in range(2):
        alone = enforce_data(image[b][None], data[b][None] / scale[b], counts[b][None], penalty[b], sensing)
        torch.testing.assert_close(result[b], alone[0], rtol=0, atol=float(2e-3 * alone.abs().max()))


@pytest.mark.parametrize("sensing", [*UNITARY, two_coils("points")], ids=["lines", "points", "hadamard", "coils"])
def test_penalty_image_and_data_get_gradients(sensing: SensingModel) -> None:
    counts, penalty = counts_of(sensing), torch.tensor(0.5, requires_grad=True)
    image = image_of(sensing).requires_grad_()
    data = measured(sensing.coefficients(image_of(sensing, 1, 1)), counts, sensing).requires_grad_()
    enforce_data(image, data, counts, penalty, sensing).abs().square().sum().backward()
    for tensor in (image, data, penalty):
        assert tensor.grad is not None
        assert torch.isfinite(tensor.grad.abs()).all()
        assert tensor.grad.abs().max() > 0


@pytest.mark.parametrize("encoding", ["lines", "points"])
def test_several_coils_have_the_gradient_of_the_exact_solution(encoding: str) -> None:
    """Against a dense solution, which autograd takes apart by itself."""
    sensing = two_coils(encoding)
    data = sensing.coefficients(image_of(sensing, 2, 1))
    unit = torch.eye(20, dtype=torch.complex64).reshape(20, 4, 5)
    matrix = sensing.coefficients(unit).flatten(1).T  # [readings, pixels]
    target = image_of(sensing, 2, 5)
    gradients = []
    for dense in (False, True):
        image = image_of(sensing, 2).requires_grad_()
        counts = (counts_of(sensing) / 5).requires_grad_()  # grey, as where a pattern is being learned
        penalty = torch.tensor(0.3, requires_grad=True)
        given = measured(data, counts, sensing)
        if dense:
            repeats = sensing.per_unit(counts.clamp(max=1)).expand(1, *data.shape[1:]).flatten(1)
            normal = matrix.mH @ (repeats[0][:, None] * matrix) + penalty * torch.eye(20)
            right = given.flatten(1) @ matrix.conj() + penalty * image.flatten(1)
            result = torch.linalg.solve(normal, right.T).T.reshape(image.shape)
        else:
            result = enforce_data(image, given, counts, penalty, sensing)
        (result - target).abs().square().sum().backward()
        gradients.append([image.grad, counts.grad, penalty.grad])
    for found, exact in zip(*gradients, strict=True):
        assert found is not None
        assert exact is not None
        assert (found - exact).abs().max() <= 0.01 * exact.abs().max()


def test_conjugate_gradients_solve_a_small_system_in_as_many_steps_as_unknowns() -> None:
    random = np.random.default_rng(0)
    root = random.normal(size=(6, 6)) + 1j * random.normal(size=(6, 6))
    matrix = torch.from_numpy(root @ root.conj().T + np.eye(6))
    right = torch.from_numpy(random.normal(size=(3, 2, 3)) + 1j * random.normal(size=(3, 2, 3)))
    right[1] *= 1e6  # each item of a batch takes its own steps

    def operator(x: torch.Tensor) -> torch.Tensor:
        return (x.flatten(1) @ matrix.T).reshape(x.shape)

    exact = torch.linalg.solve(matrix, right.flatten(1).T).T.reshape(right.shape)
    torch.testing.assert_close(conjugate_gradient(operator, right, 6), exact, rtol=1e-6, atol=1e-6)
    solved_early = conjugate_gradient(operator, right, 20)  # nothing left to do, and nothing breaks
    torch.testing.assert_close(solved_early, exact, rtol=1e-6, atol=1e-6)
    zero = torch.zeros_like(right)
    assert torch.equal(conjugate_gradient(operator, zero, 5), zero)


# --- helpers -----------------------------------------------------------------------------------


@pytest.mark.parametrize("is_complex", [True, False])
def test_channels_are_real_and_imaginary_part(is_complex: bool) -> None:
    sensing: SensingModel = CartesianMRI((3, 4)) if is_complex else HadamardDMD((2, 4))
    image = image_of(sensing, 2)
    channels = to_channels(image)
    assert channels.shape == (2, 1 + is_complex, *sensing.image_shape)
    assert channels.dtype == torch.float32
    assert torch.equal(channels[:, 0], image.real if is_complex else image)
    assert torch.equal(from_channels(channels, is_complex), image)


def test_the_scale_is_the_root_mean_square_and_never_zero() -> None:
    images = torch.stack([torch.full((4, 4), -3.0), torch.zeros(4, 4)]).to(torch.complex64)
    scale = image_scale(images)
    assert scale.shape == (2, 1, 1)
    assert float(scale[0]) == pytest.approx(3.0)
    assert 0 < float(scale[1]) < 1e-15


# --- one by one ----------------------------------------------------------------------------------


@EVERY_UNITARY
def test_zero_filled_is_the_adjoint(sensing: SensingModel) -> None:
    counts = counts_of(sensing)
    data = measured(sensing.coefficients(image_of(sensing)), counts, sensing)
    assert torch.equal(ZeroFilled()(data, counts, sensing), sensing.adjoint(data))


@EVERY_UNITARY
def test_an_untrained_unet_gives_the_zero_filled_image(sensing: SensingModel) -> None:
    counts = counts_of(sensing)
    data = measured(sensing.coefficients(image_of(sensing)), counts, sensing)
    network = UNet(sensing.is_complex, channels=2, levels=2)
    assert torch.equal(network(data, counts, sensing), sensing.adjoint(data))


@EVERY_UNITARY
def test_an_unrolled_network_keeps_close_to_the_data(sensing: SensingModel) -> None:
    """Its last step is a data-consistency step, whatever its weights say."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = Unrolled(sensing.is_complex, stages=1, channels=4)
        with torch.no_grad():
            for parameter in network.denoisers.parameters():
                parameter.add_(torch.randn(parameter.shape))
    counts = counts_of(sensing).clamp(max=1) * 100  # hardly any noise
    truth = sensing.coefficients(image_of(sensing))
    image = network(measured(truth, counts, sensing), counts, sensing)
    error = (sensing.coefficients(image) - truth).abs()
    is_measured = sensing.per_unit(counts > 0).expand(truth.shape)
    assert error[is_measured].mean() < 0.02 * error[~is_measured].mean()


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("unet", {"is_complex": True, "channels": 0}),
        ("unet", {"is_complex": True, "levels": 0}),
        ("unrolled", {"is_complex": True, "stages": 0}),
        ("unrolled", {"is_complex": True, "channels": 0}),
        ("wavelet", {"weight": -1.0}),
        ("wavelet", {"weight": float("nan")}),
        ("wavelet", {"iterations": 0}),
        ("wavelet", {"levels": 0}),
    ],
)
def test_impossible_options_are_refused(kind: str, options: dict[str, Any]) -> None:
    with pytest.raises(RecipeError, match=r"options.* (are|make) "):
        find("reconstructors", kind)(**options)


# --- wavelets ------------------------------------------------------------------------------------


def phantom(side: int) -> npt.NDArray[np.float64]:
    """Piecewise smooth: ellipses with a gentle slope."""
    y, x = np.mgrid[-1 : 1 : side * 1j, -1 : 1 : side * 1j]
    image = np.where(x**2 / 0.6 + y**2 / 0.8 < 1, 0.6 + 0.2 * x, 0.0)
    image += np.where((x - 0.2) ** 2 + (y + 0.3) ** 2 < 0.06, 0.4, 0.0)
    image -= np.where((x + 0.3) ** 2 / 0.02 + (y - 0.1) ** 2 / 0.15 < 1, 0.3 + 0.1 * y, 0.0)
    return np.asarray(image)


def undersampled(sensing: SensingModel, share: float) -> torch.Tensor:
    """0/1 counts[1, K]: all of the centre, the rest at random."""
    distance = torch.from_numpy(sensing.distance())
    random = torch.rand(sensing.n_units, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    key = torch.where(distance <= distance.quantile(share / 3), -1.0, random * (0.2 + distance))
    counts = torch.zeros(1, sensing.n_units)
    counts[0, torch.argsort(key)[: int(share * sensing.n_units)]] = 1
    return counts


@pytest.mark.parametrize(
    ("sensing", "gain_db"),
    [(CartesianMRI((32, 32), "points"), 2.0), (CartesianMRI((32, 32), "lines"), 1.0), (HadamardDMD((32, 32)), 2.0)],
    ids=["points", "lines", "hadamard"],
)
def test_wavelets_improve_a_piecewise_smooth_image(sensing: SensingModel, gain_db: float) -> None:
    truth = phantom(32)
    phase = np.exp(0.5j * np.linspace(-1, 1, 32)) if sensing.is_complex else 1
    image = torch.from_numpy(truth * phase)[None].to(sensing.image_dtype)
    counts = undersampled(sensing, 0.4)
    data = measured(sensing.coefficients(image), counts, sensing)
    results = [made(data, counts, sensing)[0].numpy() for made in (ZeroFilled(), Wavelet())]
    zero_filled, wavelet = (psnr(result, truth, 1.0) for result in results)
    assert wavelet > zero_filled + gain_db


def test_wavelets_with_several_coils_improve_too() -> None:
    y, x = np.mgrid[-1:1:32j, -1:1:32j]
    maps = np.stack([np.exp(-((x - cx) ** 2 + y**2)) for cx in (-1, 0, 1)]).astype(np.complex64)
    sensing = CartesianMRI((32, 32), "points", maps / np.sqrt((np.abs(maps) ** 2).sum(0)))
    truth = phantom(32)
    counts = undersampled(sensing, 0.3)
    data = measured(sensing.coefficients(torch.from_numpy(truth)[None].to(torch.complex64)), counts, sensing)
    zero_filled, wavelet = (
        psnr(made(data, counts, sensing)[0].numpy(), truth, 1.0) for made in (ZeroFilled(), Wavelet())
    )
    assert wavelet > zero_filled + 3


def test_wavelets_without_weight_solve_least_squares() -> None:
    """Everything measured and nothing to trade off: the image comes back."""
    sensing = CartesianMRI((16, 16), "points")
    image = image_of(sensing)
    counts = torch.ones(1, 256)
    result = Wavelet(weight=0.0, iterations=5, levels=2)(sensing.coefficients(image), counts, sensing)
    torch.testing.assert_close(result, image, rtol=0, atol=1e-4)


def test_a_larger_weight_smooths_more() -> None:
    sensing = HadamardDMD((16, 16))
    image = image_of(sensing)
    counts = torch.ones(1, 256)
    data = sensing.coefficients(image)
    energies = [float(Wavelet(w, 20, 2)(data, counts, sensing).square().sum()) for w in (0.0, 0.3, 1.0, 3.0)]
    assert energies == sorted(energies, reverse=True)
    assert energies[-1] < 0.5 * energies[0]


def test_the_coarse_part_is_never_shrunk() -> None:
    sensing = HadamardDMD((16, 16))
    flat = torch.full((1, 16, 16), 7.0)
    result = Wavelet(10.0, 5, 2)(sensing.coefficients(flat), torch.ones(1, 256), sensing)
    torch.testing.assert_close(result, flat)


def test_what_coarser_grids_say_is_spread_over_squares_of_pixels() -> None:
    torch.manual_seed(0)
    part = Coarser(6, 12, 1)
    coarse = torch.randn(2, 12, 3, 5)
    torch.testing.assert_close(part._spread(coarse), spread_pixels(part.up(coarse), 2))
