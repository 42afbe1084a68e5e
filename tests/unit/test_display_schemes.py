"""Display schemes: exact decodes, noise by Monte Carlo against the formulas, and the recommendation."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
import torch
from scipy.linalg import hadamard

from acqplan.core.errors import AcquisitionError, RecipeError
from acqplan.modalities.dmd.display_schemes import SCHEMES, best_reference_repeats
from acqplan.modalities.dmd.noise import PoissonGaussian
from acqplan.modalities.dmd.scheme_choice import pixel_variance, recommend_scheme
from acqplan.modalities.dmd.sensing import HadamardDMD
from acqplan.reconstructors.unrolled import Unrolled
from acqplan.sensing.acquisition import Acquisition
from acqplan.sensing.measurement import coefficients_of, measure
from acqplan.sensing.pattern import Pattern

ROWS, COLUMNS = 4, 8
N = ROWS * COLUMNS
DRAWS = 60_000
MONTE_CARLO = 0.03


def picture(seed: int = 0, corner: float = 0.0) -> npt.NDArray[np.float32]:
    image = np.random.default_rng(seed).gamma(1.0, 20.0, (ROWS, COLUMNS)).astype(np.float32)
    image[0, 0] = corner
    return image


def draws(sensing: HadamardDMD, image: npt.NDArray[np.float32], noise: PoissonGaussian, counts: npt.NDArray[np.int64]):
    """coefficients[DRAWS, K] of one image, every draw with its own noise."""
    many = torch.from_numpy(image)[None].expand(DRAWS, -1, -1)
    generator = torch.Generator().manual_seed(1)
    return measure(many, torch.from_numpy(counts).float()[None], sensing, noise, generator)[0]


@pytest.mark.parametrize("noise", [(3.0, 0.0), (40.0, 0.0), (2.0, 200.0)], ids=["shot", "read", "background"])
@pytest.mark.parametrize("scheme", SCHEMES)
def test_pixels_have_the_variance_of_the_formula(scheme: str, noise: tuple[float, float]) -> None:
    image = picture(corner=0.0 if scheme == "s-matrix" else 30.0)
    sensing = HadamardDMD((ROWS, COLUMNS), scheme)
    repeats = 5 if sensing.reference_unit is not None else 1
    counts = np.ones(N, dtype=np.int64)
    counts[0] = repeats
    model = PoissonGaussian(1.0, read_noise_e=noise[0], dark_e=noise[1])
    images = sensing.adjoint(draws(sensing, image, model, counts))
    expected = pixel_variance(scheme, image, read_noise_e=noise[0], background_e=noise[1], reference_repeats=repeats)
    measured = images.double().var(0).numpy()
    rest = np.s_[1:]
    assert measured.flat[rest].mean() == pytest.approx(expected.flat[rest].mean(), rel=MONTE_CARLO)
    assert (np.abs(measured.flat[rest] / expected.flat[rest] - 1) < 2 * MONTE_CARLO).all()  # single pixels scatter more
    assert measured.flat[0] == pytest.approx(expected.flat[0], rel=MONTE_CARLO)
    error = images.double().mean(0).numpy() - image
    assert (np.abs(error) < 5 * np.sqrt(expected / DRAWS) + 1e-3).all()  # unbiased


@pytest.mark.parametrize("scheme", SCHEMES)
def test_coefficients_have_the_variance_of_the_formula(scheme: str) -> None:
    image = picture()
    sensing = HadamardDMD((ROWS, COLUMNS), scheme)
    counts = np.random.default_rng(1).integers(1, 5, N)
    noise = PoissonGaussian(1.0, read_noise_e=8.0, dark_e=30.0)
    sampled = draws(sensing, image, noise, counts).double()
    averaged = noise.variance(sensing(torch.from_numpy(image)[None])) / torch.from_numpy(counts)[:, None]
    expected = sensing.decoded_variance(averaged)[0].double()
    assert (sampled.var(0) / expected - 1).abs().max() < MONTE_CARLO
    correlation = torch.corrcoef(sampled.T)
    off_diagonal = correlation[~torch.eye(N, dtype=torch.bool)]
    if sensing.reference_unit is None:
        assert off_diagonal.abs().max() < 0.03
        return
    # The reference's noise is in every coefficient: cov = ±var(y_0)/(n_0 N).
    shared = float(averaged[0, 0, 0]) / N
    covariance = torch.cov(sampled.T)
    assert covariance[1:, 1:][~torch.eye(N - 1, dtype=torch.bool)].mean() == pytest.approx(shared, rel=MONTE_CARLO)
    sign = -1 if scheme == "dc" else 1
    assert covariance[0, 1:].mean() == pytest.approx(sign * shared, rel=MONTE_CARLO)


def test_s_matrix_is_that_of_the_textbook_and_inverted_exactly() -> None:
    sensing = HadamardDMD((ROWS, COLUMNS), "s-matrix")
    frames = np.stack([sensing.frames(unit)[0].ravel() for unit in range(N)]).astype(int)
    assert not frames[:, 0].any()  # pixel 0 is never lit
    s = frames[1:, 1:]
    assert (s.sum(1) == N // 2).all()
    np.testing.assert_array_equal(s @ s.T, N // 4 * (np.eye(N - 1, dtype=int) + 1))  # an S-matrix
    textbook = (1 - hadamard(N)[1:, 1:]) // 2
    assert {tuple(row) for row in s} == {tuple(row) for row in textbook}
    # Of the full set, the image is S⁻¹ y = (2/N)(2Sᵀ − 1) y, whatever unit 0 reads.
    readings = torch.rand((1, N, 1), generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    inverse = 2 / N * (2 * s.T - 1)
    np.testing.assert_allclose(inverse @ s, np.eye(N - 1), atol=1e-12)
    image = sensing.adjoint(sensing.decode(readings))[0].numpy().ravel()
    np.testing.assert_allclose(image[1:], inverse @ readings[0, 1:, 0].numpy(), atol=1e-12)
    assert image[0] == 0


@pytest.mark.parametrize(
    ("scheme", "others", "corner"),
    [("pairs", 0.0, 0.0), ("two-detector", 0.0, 0.0), ("dc", 0.0, 1.0), ("s-matrix", 2 / N, 0.0)],
)
def test_what_an_unknown_background_leaves(scheme: str, others: float, corner: float) -> None:
    sensing, background = HadamardDMD((ROWS, COLUMNS), scheme), 7.0
    readings = sensing(torch.zeros(1, ROWS, COLUMNS)) + background
    image = sensing.adjoint(sensing.decode(readings))[0].numpy().ravel()
    np.testing.assert_allclose(image[1:], background * others, atol=1e-5)
    assert image[0] == pytest.approx(background * corner, abs=1e-5)


@pytest.mark.parametrize("scheme", SCHEMES)
def test_part_of_the_catalogue_decodes_to_the_true_coefficients(scheme: str) -> None:
    """As acquired: repeats averaged, zeros where nothing was measured."""
    sensing, image = HadamardDMD((ROWS, COLUMNS), scheme), picture()
    order = np.array([0, 0, 0, 5, 9, 9, 2, 0, 31], dtype=np.int32)
    expected = sensing(torch.from_numpy(image)[None])[0].numpy()
    acquisition = Acquisition(expected[order], None, "trace.csv")
    coefficients, counts = coefficients_of(acquisition, Pattern(order, N), sensing)
    truth = sensing.coefficients(torch.from_numpy(image)[None])
    torch.testing.assert_close(coefficients, truth * (counts > 0))
    assert counts[0, 0] == 4


@pytest.mark.parametrize("scheme", ["dc", "s-matrix"])
def test_data_without_the_reference_are_refused(scheme: str) -> None:
    sensing = HadamardDMD((ROWS, COLUMNS), scheme)
    acquisition = Acquisition(np.ones((2, 1), np.float32), None, "trace.csv", order=np.array([3, 4], dtype=np.int32))
    with pytest.raises(AcquisitionError, match=r"trace.csv has no reading of coefficient 0"):
        coefficients_of(acquisition, Pattern([0, 3, 4], N), sensing)


@pytest.mark.parametrize("scheme", SCHEMES)
def test_the_default_network_takes_every_scheme(scheme: str) -> None:
    """Untrained, without noise, all measured: data consistency gives the image back."""
    sensing, image = HadamardDMD((16, 16), scheme), torch.rand(1, 16, 16, generator=torch.Generator().manual_seed(0))
    network = Unrolled(is_complex=False, stages=2, channels=2, depth=0, penalty=1e-4)
    with torch.no_grad():
        back = network(sensing.coefficients(image), torch.ones(1, 256), sensing)
    seen = np.s_[0, 1:] if scheme == "s-matrix" else np.s_[0]  # pixel 0 isn't measured
    assert float((back.flatten(1)[seen] - image.flatten(1)[seen]).norm() / image.norm()) < 1e-3


def test_the_best_number_of_reference_readings() -> None:
    for n in (16, 256, 4096):
        cost = {m: (n + m) * (4 + 1 / m) for m in range(1, 200)}
        assert cost[best_reference_repeats(n)] == pytest.approx(min(cost.values()), rel=1e-4)
    assert best_reference_repeats(1) == 1


def recommended(**changed: float) -> object:
    given = {"n_pixels": 4096, "n_patterns": 512, "electrons": 1e5, "read_noise_e": 2.0, "background_e": 0.0}
    return recommend_scheme(scheme="pairs", **{**given, **changed})  # type: ignore[arg-type]


def test_pairs_suit_bright_light_and_one_frame_schemes_dark_noisy_detectors() -> None:
    bright = recommended()
    assert bright.scheme == "pairs"
    assert bright.schemes["two-detector"].noise == pytest.approx(bright.schemes["pairs"].noise / np.sqrt(2), rel=0.01)
    dark = recommended(electrons=100.0, read_noise_e=50.0)
    assert dark.scheme in ("dc", "s-matrix")
    assert dark.scheme in dark.text
    # Limited by reading: half the frames, four times the signal squared, twice the variance.
    assert dark.schemes["dc"].noise == pytest.approx(dark.schemes["pairs"].noise / np.sqrt(2), rel=0.05)
    glowing = recommended(electrons=100.0, read_noise_e=200.0, background_e=1e4)
    assert glowing.scheme == "pairs"
    assert "background does to them" in glowing.text
    # Of the whole catalogue the S-matrix needs no repeated reference, and spreads the background evenly.
    whole = recommended(electrons=100.0, read_noise_e=200.0, background_e=1e4, n_patterns=4096)
    assert whole.scheme == "s-matrix"
    assert whole.schemes["s-matrix"].background < 0.1 * whole.schemes["dc"].background


def test_recommended_noise_is_that_of_the_pixels() -> None:
    """The table's root mean square is that of `pixel_variance`, of the whole catalogue at the exposure it tells."""
    image = np.ones((16, 16))
    found = recommend_scheme(
        n_pixels=256, n_patterns=256, scheme="pairs", electrons=256.0, read_noise_e=9.0, background_e=3.0
    )
    for kind, each in found.schemes.items():
        variance = pixel_variance(
            kind,
            image * each.exposure,
            read_noise_e=9.0,
            background_e=3.0 * each.exposure,
            reference_repeats=best_reference_repeats(256) if kind == "dc" else 1,
        )
        rms = np.sqrt(variance.mean()) / each.exposure
        assert each.noise == pytest.approx(rms, rel=0.01), kind


def test_an_unknown_scheme_is_refused() -> None:
    with pytest.raises(RecipeError, match=r"no display scheme 'raster'.*pairs, two-detector, dc, s-matrix"):
        HadamardDMD((4, 4), "raster")
