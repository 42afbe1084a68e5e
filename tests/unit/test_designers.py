"""What each designer promises beyond the laws that all of them obey."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from scipy.spatial import cKDTree

from acqplan.core import registry
from acqplan.core.errors import RecipeError
from acqplan.designers.csfm import Csfm
from acqplan.designers.designer import Designer, DesignProblem, FixedDesigner
from acqplan.designers.family import closeness
from acqplan.designers.fixed import best_shear
from acqplan.designers.loupe import Loupe
from acqplan.designers.poisson_disc import PoissonDisc, discs, stretches, throw_darts
from acqplan.designers.probability import apportion, draw_exactly, inclusion_probabilities, initial_logits, rescale
from acqplan.designers.tuned import TunedDesigner
from acqplan.designers.variable_density import POWERS, VariableDensity
from acqplan.modalities.dmd.sensing import HadamardDMD
from acqplan.modalities.mri.sensing import CartesianMRI
from acqplan.sensing.budget import Budget
from acqplan.sensing.model import SensingModel

LINES, POINTS, HADAMARD = CartesianMRI((64, 8), "lines"), CartesianMRI((32, 48), "points"), HadamardDMD((16, 32))
MODELS = pytest.mark.parametrize("sensing", [LINES, POINTS, HADAMARD], ids=["lines", "points", "hadamard"])


def problem_of(sensing: SensingModel, n_readings: int, width: int = 0, seed: int = 0) -> DesignProblem:
    calibration = sensing.calibration_units(width)
    budget = Budget(n_readings, sensing.n_units, calibration.size)
    energy = np.random.default_rng(seed).random(sensing.n_units)
    return DesignProblem(sensing, budget, calibration, energy, seed)


def units_of(kind: str, problem: DesignProblem, **options: Any) -> npt.NDArray[np.int64]:
    """The units that a designer's pattern holds outside the calibration region, ascending."""
    designer = registry.find("designers", kind)(problem, **options)
    pattern = designer.freeze(torch.Generator())
    return np.setdiff1d(pattern.order, problem.calibration).astype(np.int64)


# --- fixed patterns ---------------------------------------------------------------------------


@MODELS
@pytest.mark.parametrize("kind", ["low-pass", "low-sequency"])
def test_low_pass_takes_the_nearest(sensing: SensingModel, kind: str) -> None:
    problem = problem_of(sensing, 40, width=2)
    taken = units_of(kind, problem)
    left = np.setdiff1d(problem.free_units, taken)
    distance = sensing.distance()
    assert distance[taken].max() <= distance[left].min()
    tied = distance == distance[taken].max()  # of equals, the first in the catalogue
    assert taken[tied[taken]].max(initial=-1) < left[tied[left]].min(initial=sensing.n_units)


def test_low_pass_of_lines_is_the_central_block() -> None:
    assert units_of("low-pass", problem_of(LINES, 9)).tolist() == list(range(28, 37))


def test_low_sequency_fills_a_square() -> None:
    assert units_of("low-sequency", problem_of(HadamardDMD((8, 8)), 9)).tolist() == [0, 1, 2, 8, 9, 10, 16, 17, 18]


@MODELS
def test_half_half(sensing: SensingModel) -> None:
    problem = problem_of(sensing, 41)
    lowest = units_of("low-pass", problem_of(sensing, 21))
    taken = units_of("half-half", problem)
    assert np.isin(lowest, taken).all()
    rest = np.setdiff1d(taken, lowest)
    reach = np.argsort(np.argsort(sensing.distance(), kind="stable"), kind="stable")[rest].mean()
    assert reach > 0.3 * sensing.n_units  # spread over all the rest, not only its near end


def test_half_half_counts_calibration_as_lowest() -> None:
    problem = problem_of(LINES, 20, width=6)
    lowest = units_of("low-pass", problem_of(LINES, 10))
    assert np.isin(lowest, np.union1d(units_of("half-half", problem), problem.calibration)).all()
    all_random = [units_of("half-half", problem_of(LINES, 20, 12, seed)).tolist() for seed in range(60)]
    assert len({unit for units in all_random for unit in units}) == 52  # every line outside the 12


def test_variance_ordered_takes_the_most_energy() -> None:
    problem = problem_of(HADAMARD, 40, width=3)
    energy = problem.energy
    taken = units_of("variance-ordered", problem)
    assert energy[taken].min() > energy[np.setdiff1d(problem.free_units, taken)].max()


def test_variance_ordered_breaks_ties_in_catalogue_order() -> None:
    budget = Budget(4, 64)
    energy = np.zeros(64)
    energy[50] = 1
    problem = DesignProblem(LINES, budget, LINES.calibration_units(0), energy)
    assert units_of("variance-ordered", problem).tolist() == [0, 1, 2, 50]


def test_uniform_is_uniform() -> None:
    share = np.zeros(64)
    for seed in range(600):
        share[units_of("uniform", problem_of(LINES, 20, 4, seed))] += 1 / 600
    free = problem_of(LINES, 20, 4).free_units
    assert share.sum() == pytest.approx(16)
    assert abs(share[free] - 16 / 60).max() < 5 * np.sqrt(0.27 * 0.73 / 600)


# --- equispaced -------------------------------------------------------------------------------


@pytest.mark.parametrize("n_readings", [1, 7, 16, 21, 40, 63, 64])
@pytest.mark.parametrize("width", [0, 5])
def test_equispaced_gaps_differ_by_at_most_one(n_readings: int, width: int) -> None:
    problem = problem_of(LINES, max(n_readings, width + 1), width)
    for offset in (None, 0, 2, 2.5, 1000):
        taken = units_of("equispaced", problem, offset=offset)
        places = np.searchsorted(problem.free_units, taken)
        n_free_lines = problem.free_units.size
        gaps = np.diff(places, append=places[0] + n_free_lines)  # around the end
        assert gaps.max() - gaps.min() <= 1
        assert gaps.sum() == n_free_lines


def test_equispaced_offset_is_the_first_line() -> None:
    for offset in range(4):
        assert units_of("equispaced", problem_of(LINES, 16), offset=offset).tolist() == list(range(offset, 64, 4))
    random = {units_of("equispaced", problem_of(LINES, 16, seed=seed))[0] for seed in range(40)}
    assert random == {0, 1, 2, 3}


def test_equispaced_hadamard_is_regular_in_distance() -> None:
    taken = units_of("equispaced", problem_of(HADAMARD, 64), offset=3)
    by_distance = np.argsort(HADAMARD.distance(), kind="stable")
    assert sorted(by_distance[3::8]) == taken.tolist()


@pytest.mark.parametrize(("acceleration", "shortest"), [(2, 2), (3, 2), (4, 4), (5, 5), (8, 8), (16, 16)])
def test_equispaced_points_form_a_caipi_lattice(acceleration: int, shortest: float) -> None:
    """Every point has its neighbours at the same offsets; the nearest are as far as shearing allows."""
    side = 16 * acceleration if acceleration in (3, 5) else 32
    sensing = CartesianMRI((side, side))
    taken = units_of("equispaced", problem_of(sensing, sensing.n_units // acceleration), offset=1)
    mask = np.zeros((side, side), dtype=bool)
    mask.ravel()[taken] = True
    assert (mask.sum(1) == side // acceleration).all()
    periodic = np.fft.ifft2(np.abs(np.fft.fft2(mask)) ** 2).real  # cyclic autocorrelation
    assert set(np.round(periodic.ravel() / mask.sum(), 6)) == {0.0, 1.0}
    y, x = np.divmod(np.flatnonzero(periodic.ravel() > 0.5)[1:], side)
    squared = np.minimum(y, side - y) ** 2 + np.minimum(x, side - x) ** 2
    assert squared.min() == shortest


def test_equispaced_points_between_whole_accelerations() -> None:
    problem = problem_of(CartesianMRI((48, 48)), 500, width=6)
    taken = units_of("equispaced", problem)
    y, x = np.divmod(taken, 48)
    nearest = cKDTree(np.stack([y, x], 1)).query(np.stack([y, x], 1), k=2)[0][:, 1]
    assert (nearest >= np.sqrt(2)).mean() > 0.97  # 4.9x: only repaired borders touch
    thirds = np.histogram2d(y, x, bins=(3, 1), range=((0, 48), (0, 48)))[0].ravel()
    assert abs(thirds / thirds.sum() - [0.335, 0.33, 0.335]).max() < 0.03


@pytest.mark.parametrize("spacing", [1.0, 2.0, 3.0, 4.0, 5.0, 7.3, 12.0, 16.0, 65536.0])
def test_best_shear_is_near_the_hexagonal_bound(spacing: float) -> None:
    shear = best_shear(spacing)
    y = np.arange(1, 2000)
    across = np.abs(np.remainder(shear * y + spacing / 2, spacing) - spacing / 2)
    shortest = min(spacing, float(np.hypot(y, across).min()))
    assert shortest >= 0.75 * np.sqrt(2 / np.sqrt(3) * spacing)


# --- densities --------------------------------------------------------------------------------


@pytest.mark.parametrize("n", [0, 1, 5, 99, 100])
@pytest.mark.parametrize("power", [0, 1, 8, 30])
def test_inclusion_probabilities_are_capped_and_sum_to_the_count(n: int, power: float) -> None:
    weights = np.random.default_rng(0).permutation(np.linspace(0.01, 1, 100) ** power)
    inclusion = inclusion_probabilities(weights, n)
    assert inclusion.sum() == pytest.approx(n)
    assert inclusion.min() >= 0
    assert inclusion.max() <= 1
    below = inclusion < 1
    if below.any():
        ratio = inclusion[below] / weights[below]
        np.testing.assert_allclose(ratio, ratio[0], rtol=1e-9)  # proportional to the weight below the cap
        assert (weights[~below] * ratio[0] >= 1 - 1e-9).all()


def test_exact_draw_meets_the_probabilities() -> None:
    inclusion = inclusion_probabilities(np.linspace(0.05, 1, 30) ** 2, 10)
    random = np.random.default_rng(1)
    share = np.zeros(30)
    n_draws = 4000
    for _ in range(n_draws):
        drawn = draw_exactly(inclusion, 10, random)
        assert np.unique(drawn).size == 10
        share[drawn] += 1 / n_draws
    assert abs(share - inclusion).max() < 5 * 0.5 / np.sqrt(n_draws)
    assert (share[inclusion == 1] == pytest.approx(1)) or not (inclusion == 1).any()


@MODELS
@pytest.mark.parametrize("kind", ["variable-density", "poisson-disc"])
def test_density_falls_from_the_centre(sensing: SensingModel, kind: str) -> None:
    problem = problem_of(sensing, sensing.n_units // 4)
    near_first = np.argsort(sensing.distance(), kind="stable")
    taken = np.zeros(sensing.n_units)
    for seed in range(8):
        taken[units_of(kind, problem_of(sensing, sensing.n_units // 4, seed=seed), power=5.0)] += 1 / 8
    share = [part.mean() for part in np.array_split(taken[near_first], 4)]
    assert (np.diff(share) < 0.01).all()
    core = near_first[: int(problem.budget.n_readings / 4)]
    assert (taken[core] == 1).all()  # a fully measured core
    assert share[3] < 0.1


@MODELS
@pytest.mark.parametrize("kind", ["variable-density", "poisson-disc"])
def test_power_zero_is_even(sensing: SensingModel, kind: str) -> None:
    near_first = np.argsort(sensing.distance(), kind="stable")
    share = np.zeros(4)
    for seed in range(8):
        taken = np.zeros(sensing.n_units)
        taken[units_of(kind, problem_of(sensing, sensing.n_units // 4, seed=seed), power=0)] = 1
        share += [part.mean() / 8 for part in np.array_split(taken[near_first], 4)]
    assert share == pytest.approx([0.25] * 4, abs=0.08)


class LikesPower:
    """A critic that likes patterns whose readings lie as far out as those of a density of one power."""

    def __init__(self, problem: DesignProblem, power: float) -> None:
        self.distance = problem.sensing.distance()
        inclusion = inclusion_probabilities(closeness(problem)[problem.free_units] ** power, problem.n_free)
        self.wanted = float(inclusion @ self.distance[problem.free_units])

    def quality(self, counts: npt.NDArray[np.int64], n_images: int | None = None) -> npt.NDArray[np.float64]:
        return -abs(counts @ self.distance - self.wanted)

    guard = quality

    def guard_measures(self, counts: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
        return np.repeat(self.guard(counts)[:, None], 2, axis=1)

    def worth(self, counts: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
        return 0 * self.distance


@MODELS
@pytest.mark.parametrize("kind", ["variable-density", "poisson-disc"])
def test_the_power_is_tuned(sensing: SensingModel, kind: str) -> None:
    problem = problem_of(sensing, sensing.n_units // 3)
    for power in (0.7, 2.0, 5.0):
        designer = registry.find("designers", kind)(problem)
        assert isinstance(designer, TunedDesigner)
        assert designer.present == 2.5
        while designer.search_round(LikesPower(problem, power)):
            pass
        near = POWERS.index(power)
        if kind == "variable-density":
            assert designer.present in POWERS[max(0, near - 1) : near + 2]
        assert designer.pattern == registry.find("designers", kind)(problem, power=designer.present).pattern


class Likes:
    """A critic that likes patterns that are like one."""

    def __init__(self, wanted: npt.NDArray[np.integer]) -> None:
        self.wanted = wanted

    def quality(self, counts: npt.NDArray[np.int64], n_images: int | None = None) -> npt.NDArray[np.float64]:
        return -np.abs(counts - self.wanted).sum(1).astype(np.float64)

    guard = quality

    def guard_measures(self, counts: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
        return np.repeat(self.guard(counts)[:, None], 2, axis=1)

    def worth(self, counts: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
        return np.asarray(self.wanted - counts, dtype=np.float64)


@MODELS
@pytest.mark.parametrize(
    ("kind", "option", "values"),
    [
        ("half-half", "share", (0.25, 0.6, 0.9)),
        ("low-pass", "shape", ("square", "disc", "triangle")),
        ("uniform-repeats", "times", (1, 3, 4)),
    ],
)
def test_the_only_option_of_a_fixed_pattern_is_tuned(
    sensing: SensingModel, kind: str, option: str, values: tuple[float | str, ...]
) -> None:
    problem, cls = problem_of(sensing, sensing.n_units // 3), registry.find("designers", kind)
    for value in values:
        if kind == "low-pass" and len(sensing.grid_shape) == 1:
            assert cls(problem).n_rounds == 0
            continue
        designer, given = cls(problem), cls(problem, **{option: value})
        while designer.search_round(Likes(given.pattern.counts)):
            pass
        assert designer.found()[option] == value
        assert designer.pattern == given.pattern
        assert given.n_rounds == 0


def test_low_pass_has_three_shapes() -> None:
    sensing = HadamardDMD((16, 16))
    problem = problem_of(sensing, 48)
    u, v = np.divmod(np.arange(256), 16)
    for shape, size in (("square", np.maximum(u, v)), ("disc", np.hypot(u, v)), ("triangle", u + v)):
        taken = np.zeros(256, dtype=bool)
        taken[units_of("low-pass", problem, shape=shape)] = True
        assert size[taken].max() <= size[~taken].min()


def nearest_neighbours(units: npt.NDArray[np.int64], sensing: SensingModel) -> npt.NDArray[np.float64]:
    """Distance in grid units from each unit to the nearest other one."""
    places = np.stack(np.unravel_index(units, sensing.grid_shape), axis=-1)
    return np.asarray(cKDTree(places).query(places, k=2)[0][:, 1])


@MODELS
@pytest.mark.parametrize("power", [0, 1])
def test_poisson_disc_keeps_points_apart(sensing: SensingModel, power: float) -> None:
    n = sensing.n_units // 6
    poisson, random = (
        np.concatenate(
            [nearest_neighbours(units_of(kind, problem_of(sensing, n, seed=s), power=power), sensing) for s in range(4)]
        )
        for kind in ("poisson-disc", "variable-density")
    )
    assert np.quantile(poisson, 0.05) > np.quantile(random, 0.05)
    assert poisson.min() > 1 == random.min()  # neighbours touch in a random pattern, never in this one


def test_poisson_disc_keeps_apart_from_the_calibration_region() -> None:
    problem = problem_of(POINTS, 200, width=8)
    taken = units_of("poisson-disc", problem, power=0)
    calibration = np.stack(np.unravel_index(problem.calibration, POINTS.grid_shape), axis=-1)
    to_calibration = cKDTree(calibration).query(np.stack(np.unravel_index(taken, POINTS.grid_shape), axis=-1))[0]
    assert to_calibration.min() > 1.5


def test_throw_darts_keeps_the_spacing_of_the_earlier_point() -> None:
    random = np.random.default_rng(0)
    spacing = 2 + 3 * random.random((24, 30))
    order = random.permutation(spacing.size)
    taken = throw_darts(np.zeros(spacing.shape, dtype=bool), order, order.size, discs(spacing))
    rank = np.empty(order.size, dtype=np.int64)
    rank[order] = np.arange(order.size)
    units = np.flatnonzero(taken)
    units = units[np.argsort(rank[units])]
    places = np.stack(np.divmod(units, 30), axis=-1)
    apart = np.linalg.norm(places[:, None] - places, axis=-1)
    for later in range(1, units.size):
        assert (apart[later, :later] >= spacing.ravel()[units[:later]]).all()
    # Maximal: every unit left out is kept away by a taken one.
    out = np.stack(np.divmod(np.flatnonzero(~taken), 30), axis=-1)
    to_taken = np.linalg.norm(out[:, None] - places, axis=-1)
    assert (to_taken < spacing.ravel()[units]).any(1).all()


def test_throw_darts_on_a_line_keeps_one_length_of_cumulated_density() -> None:
    density = np.array([1, 1, 1, 0.5, 0.5, 0.5, 0.5, 0.25, 0.25, 0.25, 0.25])
    middle = np.array([0.5, 1.5, 2.5, 3.25, 3.75, 4.25, 4.75, 5.125, 5.375, 5.625, 5.875])
    for seed in range(20):
        order = np.random.default_rng(seed).permutation(11)
        taken = throw_darts(np.zeros((1, 11), dtype=bool), order, 11, stretches(density, 1.0))
        at = middle[taken[0]]
        assert np.diff(at).min() >= 1
        assert (abs(middle[~taken[0], None] - at) < 1).any(1).all()
    limited = throw_darts(np.zeros((1, 11), dtype=bool), np.arange(11), 2, stretches(density, 1.0))
    assert np.flatnonzero(limited).tolist() == [0, 1]


@pytest.mark.parametrize("power", [None, 0, 2, 30])
def test_poisson_disc_takes_bounded_time(power: float | None) -> None:
    sensing = CartesianMRI((256, 256))
    start = time.process_time()
    pattern = PoissonDisc(problem_of(sensing, 256 * 64, 24), power).pattern
    assert pattern.n_readings == 256 * 64
    assert time.process_time() - start < 10  # about 0.5 s on one core; the bound is for busy machines


# --- learned maps -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("probability", "mean", "expected"),
    [
        ([0.2, 0.6], 0.2, [0.1, 0.3]),  # p̄ = 0.4 ≥ α: p·α/p̄
        ([0.2, 0.6], 0.7, [0.6, 0.8]),  # p̄ < α: 1 − (1 − p)(1 − α)/(1 − p̄)
        ([0.2, 0.6], 0.4, [0.2, 0.6]),
        ([0.2, 0.6], 0.0, [0.0, 0.0]),
        ([0.2, 0.6], 1.0, [1.0, 1.0]),
        ([0.0, 0.0], 0.0, [0.0, 0.0]),
        ([1.0, 1.0], 1.0, [1.0, 1.0]),
        ([0.0, 0.0], 0.25, [0.25, 0.25]),
        ([1.0, 1.0], 0.25, [0.25, 0.25]),
        ([], 0.5, []),
    ],
)
def test_rescale(probability: list[float], mean: float, expected: list[float]) -> None:
    torch.testing.assert_close(rescale(torch.tensor(probability), mean), torch.tensor(expected))


def test_rescale_keeps_bounds_and_mean() -> None:
    generator = torch.Generator().manual_seed(0)
    for mean in torch.rand(50, generator=generator).tolist():
        rescaled = rescale(torch.rand(40, generator=generator, dtype=torch.float64) ** 3, mean)
        assert rescaled.mean().item() == pytest.approx(mean)
        assert rescaled.min() >= 0
        assert rescaled.max() <= 1


def test_initial_map_is_uniform() -> None:
    p = torch.sigmoid(5 * initial_logits(20_000, torch.Generator().manual_seed(1)))
    assert 0.01 - 1e-6 <= p.min() < 0.011
    assert 0.989 < p.max() <= 0.99 + 1e-6
    assert p.mean().item() == pytest.approx(0.5, abs=0.01)
    assert p.var().item() == pytest.approx(0.98**2 / 12, rel=0.03)


@pytest.mark.parametrize("n_readings", [16, 32, 56])
def test_loupe_expects_the_count(n_readings: int) -> None:
    problem = problem_of(LINES, n_readings, width=4)
    designer = Loupe(problem, slope=2000.0)  # nearly binary: the mean of a grey mask is biased
    assert designer.probability().sum().item() == pytest.approx(n_readings - 4, rel=1e-5)
    generator = torch.Generator().manual_seed(2)
    draws = torch.stack([designer.relaxed(generator).detach() for _ in range(1500)])
    assert draws.sum(1).mean().item() == pytest.approx(n_readings, rel=0.02)
    assert (draws[:, problem.calibration] == 1).all()
    free = torch.from_numpy(problem.free_units)
    torch.testing.assert_close(draws[:, free].mean(0), designer.probability().detach(), rtol=0, atol=0.07)


def test_loupe_mask_is_grey_at_the_slope_of_the_code() -> None:
    grey = Loupe(problem_of(LINES, 16)).relaxed(torch.Generator().manual_seed(3)).detach()
    assert ((grey > 0.05) & (grey < 0.95)).float().mean() > 0.2
    # σ(s·(p − u)) exactly, for the same u.
    designer = Loupe(problem_of(LINES, 16), slope=7.0)
    u = torch.rand(64, generator=torch.Generator().manual_seed(4))
    expected = torch.sigmoid(7 * (designer.probability() - u))
    torch.testing.assert_close(designer.relaxed(torch.Generator().manual_seed(4)), expected)


def test_loupe_freezes_the_most_probable_with_stable_ties() -> None:
    designer = Loupe(problem_of(LINES, 12, width=4))
    free = designer.problem.free_units
    with torch.no_grad():
        designer.theta.zero_()
        designer.theta[[7, 50]] = 9.0  # p saturates at 1 for both
        designer.theta[20] = -1.0
    taken = np.setdiff1d(designer.freeze(torch.Generator()).order, designer.problem.calibration)
    assert taken.tolist() == sorted(free[[7, 50, 0, 1, 2, 3, 4, 5]])


def test_csfm_counts_are_whole_and_the_gradient_is_soft() -> None:
    problem = problem_of(LINES, 32, width=4)
    designer = Csfm(problem, captures=3)
    counts = designer.relaxed(torch.Generator().manual_seed(5))
    values = counts.detach()
    assert torch.equal(values, values.round())
    assert set(values.tolist()) <= {0.0, 1.0, 2.0, 3.0}
    assert (values[problem.calibration] == 1).all()
    weights = torch.randn(64, generator=torch.Generator().manual_seed(6))
    (counts * weights).sum().backward()
    gradient = designer.theta.grad
    assert gradient is not None
    assert (gradient != 0).float().mean() > 0.9
    # Raising a unit's θ where counts are wanted raises the soft objective: ascent along the gradient.
    before = (designer.expected_repeats() * weights[torch.from_numpy(problem.free_units)]).sum()
    with torch.no_grad():
        designer.theta.add_(gradient / gradient.norm(), alpha=0.05)
    after = (designer.expected_repeats() * weights[torch.from_numpy(problem.free_units)]).sum()
    assert after > before


@pytest.mark.parametrize("captures", [1, 4])
def test_csfm_expects_the_repeats(captures: int) -> None:
    problem = problem_of(LINES, 40, width=4)
    designer = Csfm(problem, captures=captures)
    expected = designer.expected_repeats().detach()
    assert expected.sum().item() == pytest.approx(36, rel=1e-5)
    assert expected.max() <= captures
    generator = torch.Generator().manual_seed(7)
    draws = torch.stack([designer.relaxed(generator).detach() for _ in range(2000)])
    free = torch.from_numpy(problem.free_units)
    torch.testing.assert_close(draws[:, free].mean(0), expected, rtol=0, atol=0.1)


def test_csfm_freezes_repeats() -> None:
    problem = problem_of(LINES, 13, width=4)
    designer = Csfm(problem, captures=3)
    with torch.no_grad():
        designer.theta.fill_(-3.0)
        designer.theta[[10, 11]] = 3.0  # expected repeats near 3 each
        designer.theta[12:16] = -0.2  # below 1 each
    pattern = designer.freeze(torch.Generator())
    counts = pattern.counts[problem.free_units]
    assert counts[[10, 11]].tolist() == [3, 3]
    assert counts[12:16].tolist() == [1, 1, 1, 0]
    assert counts.sum() == 9
    assert (pattern.counts[problem.calibration] == 1).all()


@pytest.mark.parametrize(
    ("expected", "n", "most", "whole"),
    [
        ([1.4, 0.9, 0.7, 0.0], 3, 4, [1, 1, 1, 0]),
        ([0.5, 0.5, 0.5, 0.5], 2, 4, [1, 1, 0, 0]),
        ([2.6, 0.4], 3, 2, [2, 1]),
        ([5.0, 5.0, 0.0], 5, 2, [2, 2, 1]),
        ([2.0, 1.0], 1, 2, [1, 0]),
        ([0.0, 0.0], 0, 3, [0, 0]),
        ([], 0, 3, []),
    ],
)
def test_apportion(expected: list[float], n: int, most: int, whole: list[int]) -> None:
    assert apportion(np.array(expected), n, most).tolist() == whole


# --- options ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("equispaced", {"offset": -1}),
        ("equispaced", {"offset": "2"}),
        ("variable-density", {"power": -0.5}),
        ("variable-density", {"power": float("nan")}),
        ("variable-density", {"power": "high"}),
        ("variable-density", {"power": True}),
        ("poisson-disc", {"power": float("inf")}),
        ("loupe", {"slope": 0}),
        ("half-half", {"share": 1.5}),
        ("low-pass", {"shape": "hexagon"}),
        ("csfm", {"captures": 0}),
        ("csfm", {"captures": 2.5}),
        ("csfm", {"captures": True}),
        ("csfm", {"temperature": 0.0}),
    ],
)
def test_bad_options_are_refused_by_name(kind: str, options: dict[str, Any]) -> None:
    ((name, value),) = options.items()
    with pytest.raises(RecipeError) as caught:
        registry.find("designers", kind)(problem_of(LINES, 16), **options)
    assert name in caught.value.problem
    assert repr(value) in caught.value.problem
    assert kind in caught.value.problem


def test_options_reach_the_pattern() -> None:
    problem = problem_of(POINTS, 300)
    assert not np.array_equal(units_of("variable-density", problem, power=1), units_of("variable-density", problem))
    assert VariableDensity(problem, power=2).power == 2


@pytest.mark.parametrize("kind", ["uniform", "variable-density", "poisson-disc", "half-half", "equispaced"])
def test_random_patterns_differ_between_seeds(kind: str) -> None:
    digests = set()
    for seed in range(5):
        designer = registry.find("designers", kind)(problem_of(POINTS, 200, 4, seed))
        assert isinstance(designer, FixedDesigner | Designer)
        digests.add(designer.freeze(torch.Generator()).digest)
    assert len(digests) == 5
