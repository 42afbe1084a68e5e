"""How the learned designer learns: the gradient of the k best, and the worth of units that weren't measured."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
import torch
from scipy.optimize import brentq

from acqplan.designers.designer import DesignProblem
from acqplan.designers.learned import Learned, exact_top_k
from acqplan.modalities.mri.sensing import CartesianMRI
from acqplan.sensing.budget import Budget

N_LINES = 96
EVERY = 4  # of the lines one is measured
SLOPE = 0.25 * 0.75  # p(1 − p)/T of every line: p = 1/4, T = 1
LEFT, RIGHT = slice(0, 32), slice(64, 96)  # beyond the reach of each other's smoothing, which is 2 × 8 lines


def gradient_of(z: list[float], k: int, temperature: float, worth: list[float]) -> torch.Tensor:
    scores = torch.tensor(z, dtype=torch.float64, requires_grad=True)
    exact_top_k(scores, k, temperature).backward(torch.tensor(worth, dtype=torch.float64))
    assert scores.grad is not None
    return scores.grad


def relaxed(z: npt.NDArray[np.float64], k: int, temperature: float) -> npt.NDArray[np.float64]:
    """p = σ((z − τ)/T) with Σp = k."""

    def p(tau: float) -> npt.NDArray[np.float64]:
        return 1 / (1 + np.exp(-(z - tau) / temperature))

    return p(brentq(lambda tau: p(tau).sum() - k, z.min() - 50, z.max() + 50, xtol=1e-14))


# --- the k best -------------------------------------------------------------------------------


def test_of_two_units_one_is_measured() -> None:
    """Σp = 1 gives p = σ((a − b)/2T), and ∂p/∂a = p(1 − p)/2T."""
    a, b, temperature = 0.3, -0.5, 0.7
    p = 1 / (1 + np.exp(-(a - b) / (2 * temperature)))
    slope = p * (1 - p) / (2 * temperature)
    assert gradient_of([a, b], 1, temperature, [1, 0]).tolist() == pytest.approx([slope, -slope], rel=1e-12)
    assert gradient_of([a, b], 1, temperature, [0, 1]).tolist() == pytest.approx([-slope, slope], rel=1e-12)


@pytest.mark.parametrize("k", [1, 3, 6])
@pytest.mark.parametrize("temperature", [0.2, 1.0])
def test_the_gradient_is_that_of_the_relaxed_choice(k: int, temperature: float) -> None:
    random = np.random.default_rng(k)
    z, worth, step = random.normal(size=7), random.normal(size=7), 1e-5
    expected = [
        worth @ (relaxed(z + shift, k, temperature) - relaxed(z - shift, k, temperature)) / (2 * step)
        for shift in step * np.eye(7)
    ]
    assert gradient_of(z.tolist(), k, temperature, worth.tolist()).tolist() == pytest.approx(expected, abs=1e-8)


def test_the_budget_is_exact_so_no_gradient_asks_for_more_of_all() -> None:
    z, worth = [0.4, -1.0, 2.0, 0.1, 0.0], [3.0, -1.0, 5.0, 0.5, 2.0]
    assert gradient_of(z, 2, 0.5, worth).sum() == pytest.approx(0, abs=1e-12)
    assert gradient_of(z, 2, 0.5, [7.0] * 5).tolist() == pytest.approx([0] * 5, abs=1e-12)
    shifted = [value + 7 for value in worth]
    assert gradient_of(z, 2, 0.5, shifted).tolist() == pytest.approx(gradient_of(z, 2, 0.5, worth).tolist(), abs=1e-12)


# --- what is worth measuring --------------------------------------------------------------------


def designer_of() -> Learned:
    """Lines whose scores are equal but for a trifle, by which every fourth is measured; nothing is random."""
    sensing = CartesianMRI((N_LINES, 4), "lines")
    budget = Budget(N_LINES // EVERY, N_LINES, 0)
    problem = DesignProblem(sensing, budget, sensing.calibration_units(0), np.ones(N_LINES))
    designer = Learned(problem, exploration=0.0, temperature=1.0)
    with torch.no_grad():
        designer.scores.zero_()
        designer.scores[EVERY // 2 :: EVERY] = 1e-6
    return designer


def score_gradient(designer: Learned, worth: torch.Tensor) -> torch.Tensor:
    """Of the scores, when measuring a line lowers the loss by its ``worth``[N_LINES]."""
    counts = designer.relaxed(torch.Generator())
    assert torch.equal(counts.detach().nonzero().flatten(), torch.arange(EVERY // 2, N_LINES, EVERY))
    designer.scores.grad = None
    counts.backward(-worth)
    assert designer.scores.grad is not None
    return designer.scores.grad


def two_worths(left: float, right: float) -> torch.Tensor:
    return torch.cat([torch.full((N_LINES // 2,), left), torch.full((N_LINES // 2,), right)])


def test_scores_differ_by_the_logarithm_of_worth() -> None:
    gradient = score_gradient(designer_of(), two_worths(0.01, 0.08))
    difference = gradient[LEFT] - gradient[RIGHT].flip(0)
    torch.testing.assert_close(difference, torch.full((32,), SLOPE * np.log(8.0)), rtol=1e-4, atol=0)


def test_what_is_worth_more_rises_at_the_cost_of_the_rest() -> None:
    """The gradient is centred: the scores' mean stays."""
    designer = designer_of()
    before = designer.scores.detach().clone()
    optimiser = designer.optimiser(1e-3)
    gradient = score_gradient(designer, two_worths(0.01, 0.08))
    assert gradient.sum().item() == pytest.approx(0, abs=1e-4)
    optimiser.step()
    moved = designer.scores.detach() - before
    assert (moved[LEFT] < -0.04).all()
    assert (moved[RIGHT] > 0.04).all()


@pytest.mark.parametrize("level", [1e-3, 1.0, 40.0])
def test_where_worth_is_level_scores_stay(level: float) -> None:
    gradient = score_gradient(designer_of(), torch.full((N_LINES,), level))
    torch.testing.assert_close(gradient, torch.zeros(N_LINES), rtol=0, atol=1e-5)


@pytest.mark.parametrize("seemingly", [-5.0, 0.0, 5.0])
def test_measured_units_do_not_say_what_they_are_worth(seemingly: float) -> None:
    """The loss is flat in a unit that is known: only units left out count, and stand in for those measured."""
    worth, altered = two_worths(0.01, 0.08), two_worths(0.01, 0.08)
    altered[EVERY // 2 :: EVERY] = seemingly
    assert torch.equal(score_gradient(designer_of(), altered), score_gradient(designer_of(), worth))


def test_every_unit_left_out_counts() -> None:
    worth = two_worths(0.01, 0.01)
    plain = score_gradient(designer_of(), worth)
    worth[80] = 1.0
    telling = score_gradient(designer_of(), worth) - plain
    assert int(telling.argmin()) == 80  # descends, so that its score rises most


def test_worth_is_remembered_while_others_are_left_out() -> None:
    """A mean over the steps, not the last step's alone: 0.01, then three times that."""
    designer = designer_of()
    designer.every = 1
    score_gradient(designer, two_worths(0.01, 0.01))
    gradient = score_gradient(designer, two_worths(0.01, 0.03))
    mean = (0.97 * 0.01 + 0.03) / 1.97
    assert float(gradient[10] - gradient[85]) == pytest.approx(SLOPE * np.log(mean / 0.01), rel=1e-3)
