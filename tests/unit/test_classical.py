"""The classical reconstructors reach the minimum of what they say they minimise."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from scipy.optimize import minimize

from acqplan.core.errors import RecipeError
from acqplan.core.math.total_variation import divergence, gradient, magnitude, proximal_map, total_variation
from acqplan.core.registry import find
from acqplan.modalities.dmd.sensing import HadamardDMD
from acqplan.modalities.mri.sensing import CartesianMRI
from acqplan.reconstructors.classical import misfit
from acqplan.reconstructors.hqs import HQS
from acqplan.reconstructors.reconstructor import image_scale
from acqplan.reconstructors.sparsity import analyse, check_levels, detail_norm, shrink_details, synthesise
from acqplan.reconstructors.tv import TV
from acqplan.reconstructors.wavelet import Wavelet
from acqplan.sensing.measurement import measured
from acqplan.sensing.model import SensingModel

Array = npt.NDArray[Any]
needs_bart = pytest.mark.skipif(shutil.which("bart") is None, reason="BART isn't installed")
REAL_OR_COMPLEX = pytest.mark.parametrize("dtype", [torch.float64, torch.complex128], ids=["real", "complex"])


def random_array(shape: tuple[int, ...], dtype: torch.dtype, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, dtype=dtype, generator=torch.Generator().manual_seed(seed))


def coil_maps(n_coils: int, shape: tuple[int, int], *, normalised: bool = True) -> Array:
    y, x = np.meshgrid(*(np.linspace(-1, 1, side) for side in shape), indexing="ij")
    angles = 2 * np.pi * np.arange(n_coils) / n_coils
    maps = np.stack([np.exp(-((x - np.cos(a)) ** 2) - (y - np.sin(a)) ** 2 + 1j * a) for a in angles])
    return np.asarray((maps / np.sqrt((np.abs(maps) ** 2).sum(0)) if normalised else 2 * maps).astype(np.complex64))


SENSING: dict[str, SensingModel] = {
    "points": CartesianMRI((16, 16)),
    "lines": CartesianMRI((16, 24), "lines"),
    "coils": CartesianMRI((16, 16), "points", coil_maps(3, (16, 16))),
    "coils-uneven": CartesianMRI((16, 16), "points", coil_maps(3, (16, 16), normalised=False)),
    "hadamard": HadamardDMD((16, 16)),
}
EVERYWHERE = pytest.mark.parametrize("case", SENSING)


def blocks(sensing: SensingModel, n: int = 1) -> torch.Tensor:
    """Piecewise constant with an empty edge and a slight texture; a smooth phase where images are complex."""
    rows, columns = sensing.image_shape
    image = torch.zeros(n, rows, columns)
    image[:, rows // 4 : 3 * rows // 4, columns // 4 : 3 * columns // 4] = 1
    image[:, rows // 3 : rows // 2, columns // 3 : columns // 2] = 0.4
    image = image * (1 + 0.1 * random_array(tuple(image.shape), torch.float32))
    if sensing.is_complex:
        return torch.polar(image, torch.linspace(-1, 1, columns).expand_as(image))
    return image


def data_of(sensing: SensingModel, n: int = 1, repeats: tuple[int, ...] = (0, 1)) -> tuple[torch.Tensor, torch.Tensor]:
    """Noisy coefficients and counts; the centre is always measured."""
    chosen = np.random.default_rng(1).choice(repeats, (1, sensing.n_units))
    distance = sensing.distance()
    chosen[0, distance <= np.quantile(distance, 0.15)] = max(repeats)
    counts = torch.from_numpy(chosen.astype(np.float32))
    exact = sensing.coefficients(blocks(sensing, n))
    return measured(exact + 0.02 * random_array(tuple(exact.shape), exact.dtype), counts, sensing), counts


def objective(
    image: torch.Tensor,
    data: torch.Tensor,
    counts: torch.Tensor,
    sensing: SensingModel,
    w: float,
    tau: float,
    levels: int,
) -> float:
    scale = float(image_scale(sensing.adjoint(data)))
    regularisers = w * detail_norm(analyse(image, levels), levels) + tau * total_variation(image)
    return float(misfit(image, data, counts, sensing) + scale * regularisers)


# --- operators ---------------------------------------------------------------------------------------


@REAL_OR_COMPLEX
def test_divergence_is_minus_the_adjoint_of_the_gradient(dtype: torch.dtype) -> None:
    image, field = random_array((3, 5, 7), dtype), random_array((2, 3, 5, 7), dtype, 1)
    left = torch.vdot(gradient(image).flatten(), field.flatten())
    right = torch.vdot(image.flatten(), -divergence(field).flatten())
    torch.testing.assert_close(left, right)


def test_the_gradient_is_of_forward_differences_that_end_with_zero() -> None:
    image = torch.tensor([[[1.0, 2.0, 4.0], [8.0, 16.0, 32.0]]])
    down, across = gradient(image)[:, 0]
    assert down.tolist() == [[7.0, 14.0, 28.0], [0.0, 0.0, 0.0]]
    assert across.tolist() == [[1.0, 2.0, 0.0], [8.0, 16.0, 0.0]]


def test_total_variation_of_a_square_is_its_perimeter_but_for_the_corner() -> None:
    image = torch.zeros(2, 8, 8)
    image[0, 2:6, 2:6] = 3.0
    expected = 3 * (4 * 4 - 2 + 2**0.5)  # at one corner both differences meet in one pixel
    torch.testing.assert_close(total_variation(image), torch.tensor([expected, 0.0]))
    turned = torch.polar(image, torch.tensor(0.7))
    torch.testing.assert_close(total_variation(turned), total_variation(image))


@pytest.mark.parametrize("smooth", [0.0, 1e-2])
def test_the_gradient_of_total_variation_is_finite_and_right(smooth: float) -> None:
    flat = torch.ones(1, 6, 6, requires_grad=True)
    total_variation(flat, smooth).sum().backward()
    assert flat.grad is not None
    assert not flat.grad.any()
    image = random_array((1, 4, 5), torch.float64).requires_grad_()
    assert torch.autograd.gradcheck(lambda x: total_variation(x, smooth), image)


def test_smoothing_takes_away_what_a_flat_image_would_have() -> None:
    image = random_array((1, 6, 6), torch.float64)
    assert float(total_variation(torch.ones(1, 6, 6, dtype=torch.float64), 0.1)) == pytest.approx(0, abs=1e-9)
    assert float(total_variation(image, 1e-6)) == pytest.approx(float(total_variation(image)), rel=1e-5)


@REAL_OR_COMPLEX
def test_the_proximal_map_meets_its_optimality_condition(dtype: torch.dtype) -> None:
    """(image − u)/weight = −divergence(dual) with |dual| ≤ 1 and ⟨dual, gradient u⟩ = TV(u)."""
    image, weight = random_array((2, 8, 9), dtype), 0.3
    u, dual = proximal_map(image, weight, 2000)
    assert float(magnitude(dual).max()) <= 1 + 1e-12
    torch.testing.assert_close((image - u) / weight, -divergence(dual))
    aligned = (dual.conj() * gradient(u)).real.sum((0, 2, 3))
    torch.testing.assert_close(aligned, total_variation(u), rtol=1e-4, atol=0)


def test_the_proximal_map_goes_on_from_a_dual_field() -> None:
    image = random_array((1, 8, 8), torch.float64)
    exact, _ = proximal_map(image, 0.5, 3000)
    dual = None
    for _ in range(100):
        result, dual = proximal_map(image, 0.5, 5, dual)
    once, _ = proximal_map(image, 0.5, 5)
    assert (result - exact).abs().max() < 0.05 * (once - exact).abs().max()
    assert torch.equal(proximal_map(image, 0.0, 3)[0], image)


def test_wavelets_of_a_padded_image_keep_the_norm_and_have_their_adjoint() -> None:
    image = random_array((2, 9, 14), torch.complex128)
    spectrum = analyse(image, 2)
    assert spectrum.shape == (2, 12, 16)
    torch.testing.assert_close(spectrum.abs().square().sum(), image.abs().square().sum())
    torch.testing.assert_close(synthesise(spectrum, 2, image.shape), image)
    other = random_array((2, 12, 16), torch.complex128, 1)
    left = torch.vdot(spectrum.flatten(), other.flatten())
    torch.testing.assert_close(left, torch.vdot(image.flatten(), synthesise(other, 2, image.shape).flatten()))


def test_only_details_are_weighed_and_shrunk() -> None:
    spectrum = torch.full((1, 8, 8), -2.0)
    assert float(detail_norm(spectrum, 2)) == 2 * (64 - 4)
    shrunk = shrink_details(spectrum, 0.5, 2)
    assert (shrunk[0, :2, :2] == -2).all()
    assert float(shrunk.sum()) == pytest.approx(-2 * 4 - 1.5 * 60)


# --- the minimum -------------------------------------------------------------------------------------


def reference_minimum(data: torch.Tensor, counts: torch.Tensor, sensing: SensingModel, w: float, tau: float) -> Array:
    """By L-BFGS-B in float64 on dense matrices: positive and negative parts of each detail, TV smoothed by 1e-5."""
    n, levels, shape = sensing.n_units, 2, sensing.image_shape
    units = torch.eye(n).reshape(n, *shape)
    a = sensing.coefficients(units).numpy().T.astype(np.float64)
    psi = analyse(units.double(), levels).flatten(1).numpy().T
    differences = gradient(units.double()).flatten(2).permute(0, 2, 1).numpy()
    y, c = data[0].numpy().astype(np.float64), counts[0].numpy()
    scale = float(image_scale(sensing.adjoint(data)))
    is_detail = np.ones(shape, bool)
    is_detail[: shape[0] >> levels, : shape[1] >> levels] = False
    weights = scale * w * np.tile(is_detail.ravel(), 2)

    def value(parts: Array) -> tuple[float, Array]:
        x = psi.T @ (parts[:n] - parts[n:])
        residual = a @ x - y
        steps = differences @ x
        lengths = np.sqrt((steps**2).sum(0) + 1e-10)
        slope = 2 * a.T @ (c * residual)
        slope += scale * tau * np.einsum("dpn,dp->n", differences, steps / lengths)
        along = psi @ slope
        total = (c * residual**2).sum() + scale * tau * lengths.sum() + weights @ parts
        return float(total), np.concatenate([along, -along]) + weights

    start = psi @ (a.T @ y)
    parts = np.concatenate([start.clip(0), (-start).clip(0)])
    options = {"maxiter": 20000, "maxfun": 40000, "ftol": 1e-13, "gtol": 1e-9, "maxcor": 30}
    found = minimize(value, parts, jac=True, method="L-BFGS-B", bounds=[(0, None)] * (2 * n), options=options)
    return np.asarray(psi.T @ (found.x[:n] - found.x[n:])).reshape(1, *shape)


@pytest.mark.parametrize(("w", "tau"), [(0.1, 0.0), (0.0, 0.1), (0.05, 0.1)], ids=["wavelets", "tv", "both"])
def test_the_objective_is_that_of_an_independent_solver(w: float, tau: float) -> None:
    sensing = HadamardDMD((8, 8))
    data, counts = data_of(sensing, repeats=(0, 1, 3))
    reference = torch.from_numpy(reference_minimum(data, counts, sensing, w, tau)).float()
    lowest = objective(reference, data, counts, sensing, w, tau, 2)
    solvers: list[HQS | TV | Wavelet] = [HQS(w, tau, 2, 2000, 1e-6)]
    solvers += [TV(tau, 5000, 1e-6)] if not w else []
    solvers += [Wavelet(w / 2, 3000, 2, cycle_spinning=False, tolerance=1e-7)] if not tau else []
    for solver in solvers:
        solution = solver.solve(data, counts, sensing)
        reached = objective(solution.image, data, counts, sensing, w, tau, 2)
        assert reached == pytest.approx(lowest, rel=5e-4)
        assert bool(solution.converged)


@EVERYWHERE
def test_two_methods_agree(case: str) -> None:
    """Splitting, primal–dual and proximal gradients, with repeats: the same minimum from different directions."""
    sensing = SENSING[case]
    data, counts = data_of(sensing, repeats=(0, 0, 1, 4))
    smooth = HQS(0.0, 0.02).solve(data, counts, sensing)
    sparse = HQS(0.02, 0.0).solve(data, counts, sensing)
    assert bool(smooth.converged & sparse.converged)
    other = TV(0.02).solve(data, counts, sensing)
    assert float(smooth.objective[0, -1]) == pytest.approx(float(other.objective[0, -1]), rel=2e-3)
    plain = Wavelet(0.01, 2000, cycle_spinning=False, tolerance=1e-5).solve(data, counts, sensing)
    assert float(sparse.objective[0, -1]) == pytest.approx(2 * float(plain.objective[0, -1]), rel=2e-3)


@pytest.mark.parametrize("case", ["lines", "coils-uneven", "hadamard"])
@pytest.mark.parametrize(
    "solver", [HQS(0.01, 0.02), TV(0.02), Wavelet(0.01, 300, cycle_spinning=False)], ids=["hqs", "tv", "wavelet"]
)
def test_the_objective_is_reported_and_falls(case: str, solver: HQS | TV | Wavelet) -> None:
    sensing = SENSING[case]
    data, counts = data_of(sensing)
    solution = solver.solve(data, counts, sensing)
    values = solution.objective[0]
    assert solution.objective.dtype == torch.float64
    assert len(values) > 10
    assert (values[1:] <= values[:-1]).all()
    weights = {HQS: (0.01, 0.02, 1.0), TV: (0.0, 0.02, 1.0), Wavelet: (0.02, 0.0, 0.5)}[type(solver)]
    assert float(values[-1]) == pytest.approx(
        weights[2] * objective(solution.image, data, counts, sensing, *weights[:2], 3), rel=1e-4
    )
    zero_filled = weights[2] * objective(sensing.adjoint(data), data, counts, sensing, *weights[:2], 3)
    assert values[-1] < zero_filled
    torch.testing.assert_close(solver(data, counts, sensing), solution.image, rtol=0, atol=1e-3)


@pytest.mark.parametrize("solver", [HQS(0.01, 0.02), TV(0.02)], ids=["hqs", "tv"])
def test_no_small_change_lowers_the_objective(solver: HQS | TV) -> None:
    sensing = SENSING["coils"]
    data, counts = data_of(sensing)
    w = solver.wavelet_weight if isinstance(solver, HQS) else 0.0
    image = solver(data, counts, sensing)
    at_rest = objective(image, data, counts, sensing, w, 0.02, 3)
    for seed in range(5):
        change = random_array(tuple(image.shape), torch.complex64, seed)
        for size in (1e-3, 1e-2, 1e-1):
            assert objective(image + size * change, data, counts, sensing, w, 0.02, 3) > at_rest * (1 - 1e-3)


@pytest.mark.parametrize("solver", [HQS(0.0, 0.0), TV(0.0)], ids=["hqs", "tv"])
def test_without_weights_it_is_least_squares(solver: HQS | TV) -> None:
    unitary = SENSING["points"]
    data, counts = data_of(unitary, repeats=(0, 1, 3))
    torch.testing.assert_close(solver(data, counts, unitary), unitary.adjoint(data), rtol=0, atol=1e-4)
    for case in ("coils", "coils-uneven"):
        sensing = SENSING[case]
        data, counts = data_of(sensing, repeats=(1, 4))
        units = torch.eye(256, dtype=torch.complex64).reshape(256, 16, 16)
        root = sensing.per_unit(counts.sqrt())
        matrix = (root * sensing.coefficients(units)).flatten(1).T
        expected = torch.linalg.lstsq(matrix, (root * data).flatten()[:, None]).solution.reshape(1, 16, 16)
        assert (solver(data, counts, sensing) - expected).abs().max() < 2e-3


@pytest.mark.parametrize("kind", ["hqs", "tv"])
def test_units_of_the_data_scale_the_objective_with_their_square(kind: str) -> None:
    sensing = SENSING["points"]
    data, counts = data_of(sensing)
    solver = find("reconstructors", kind)(iterations=20)
    once, larger = (solver.solve(factor * data, counts, sensing) for factor in (1, 64))
    torch.testing.assert_close(larger.image, 64 * once.image)
    torch.testing.assert_close(larger.objective, 64**2 * once.objective)


# --- coming to rest ----------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["hqs", "tv"])
def test_it_says_whether_it_converged(kind: str) -> None:
    sensing = SENSING["points"]
    data, counts = data_of(sensing)
    cls = find("reconstructors", kind)
    short = cls(iterations=12, tolerance=1e-6).solve(data, counts, sensing)
    assert not short.converged.any()
    assert short.objective.shape == (1, 12)
    full = cls(iterations=1000).solve(data, counts, sensing)
    assert full.converged.all()
    assert 11 <= full.objective.shape[1] < 1000
    tight = cls(iterations=3000, tolerance=1e-6).solve(data, counts, sensing)
    assert float(full.objective[0, -1]) == pytest.approx(float(tight.objective[0, -1]), rel=1e-3)


@pytest.mark.parametrize("kind", ["hqs", "tv"])
def test_a_solved_image_waits_unchanged_for_the_others(kind: str) -> None:
    sensing = SENSING["points"]
    data, counts = data_of(sensing, 2)
    data[0] = sensing.coefficients(torch.ones(1, 16, 16, dtype=torch.complex64))[0] * counts[0, :, None]  # an easy one
    solver = find("reconstructors", kind)()
    together = solver.solve(data, counts, sensing)
    for i in range(2):
        alone = solver.solve(data[i : i + 1], counts, sensing)
        torch.testing.assert_close(together.image[i : i + 1], alone.image, rtol=0, atol=1e-5)
        assert float(together.objective[i, -1]) == pytest.approx(float(alone.objective[0, -1]), rel=1e-5, abs=1e-9)


# --- bad input ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["hqs", "wavelet"])
def test_too_many_levels_are_refused(kind: str) -> None:
    sensing = CartesianMRI((12, 40))
    data, counts = data_of(sensing)
    with pytest.raises(RecipeError, match=r"4 levels need 16 pixels .* has 12x40\. Give at most 3 levels"):
        find("reconstructors", kind)(levels=4)(data, counts, sensing)
    check_levels(3, (8, 100))


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("hqs", {"wavelet_weight": -1.0}),
        ("hqs", {"tv_weight": float("nan")}),
        ("hqs", {"levels": 0}),
        ("hqs", {"iterations": 0}),
        ("hqs", {"tolerance": -1e-3}),
        ("tv", {"weight": float("inf")}),
        ("tv", {"iterations": 0}),
        ("tv", {"tolerance": float("nan")}),
        ("wavelet", {"tolerance": -1.0}),
        ("wavelet", {"tolerance": 1e-4}),  # with cycle spinning
    ],
)
def test_impossible_options_are_refused(kind: str, options: dict[str, Any]) -> None:
    with pytest.raises(RecipeError, match=r"options are .*Give "):
        find("reconstructors", kind)(**options)


# --- BART --------------------------------------------------------------------------------------------


def mirrored(values: Array) -> Array:
    """values[…, H, W], even sides, with every position, or frequency, x at −x."""
    return np.roll(np.flip(values, (-2, -1)), (1, 1), (-2, -1))


def write_cfl(path: Path, values: Array) -> None:
    path.with_suffix(".hdr").write_text("# Dimensions\n" + " ".join(map(str, values.shape)) + "\n")
    values.astype("<c8").ravel(order="F").tofile(path.with_suffix(".cfl"))


@needs_bart
@pytest.mark.parametrize("n_coils", [1, 3])
def test_the_objective_is_no_higher_than_barts(n_coils: int, tmp_path: Path) -> None:
    """BART minimises half of it, with backward differences (hence the mirror) around a periodic image."""
    maps = coil_maps(n_coils, (32, 32)) if n_coils > 1 else np.ones((1, 32, 32), np.complex64)
    sensing = CartesianMRI((32, 32), "points", maps if n_coils > 1 else None)
    data, counts = data_of(sensing)
    tau = 0.02
    kspace = mirrored(sensing.to_grid(data)[0].numpy())
    write_cfl(tmp_path / "kspace", np.moveaxis(kspace, 0, -1)[None])
    write_cfl(tmp_path / "maps", np.moveaxis(mirrored(maps), 0, -1)[None])
    write_cfl(tmp_path / "pattern", mirrored(counts.reshape(1, 32, 32).numpy()))
    regulariser = f"T:6:0:{tau * float(image_scale(sensing.adjoint(data))) / 2}"
    command = ["bart", "pics", "-w", "1", "-i", "500", "-R", regulariser, "-p", "pattern", "kspace", "maps", "image"]
    subprocess.run(command, cwd=tmp_path, check=True, capture_output=True)
    theirs = mirrored(np.fromfile(tmp_path / "image.cfl", "<c8").reshape(32, 32, order="F")).copy()
    value = objective(torch.from_numpy(theirs)[None], data, counts, sensing, 0.0, tau, 3)
    for solver in (HQS(0.0, tau), TV(tau)):
        ours = solver.solve(data, counts, sensing)
        assert float(ours.objective[0, -1]) <= 1.01 * value
        assert float(ours.objective[0, -1]) >= 0.97 * value  # the same problem
        assert np.abs(ours.image[0].numpy() - theirs).max() < 0.05 * np.abs(theirs).max()
