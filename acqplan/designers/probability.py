"""Probabilities under a budget: the rescaled map of LOUPE, and sampling with an exact count."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch

LOGIT_SLOPE = 5.0  # t of LOUPE's p = σ(t·θ)
FloatArray = npt.NDArray[np.float64]


def initial_logits(n: int, generator: torch.Generator) -> torch.Tensor:
    """θ float32[n] such that σ(t·θ) is uniform on [0.01, 0.99] (LOUPE's initialisation)."""
    probability = 0.01 + 0.98 * torch.rand(n, generator=generator, dtype=torch.float64)
    return (torch.logit(probability) / LOGIT_SLOPE).float()


def rescale(probability: torch.Tensor, mean: float) -> torch.Tensor:
    """The map p[n] moved to the mean α, within [0, 1] and differentiable.

    With p̄ the mean of p: p·α/p̄ where p̄ ≥ α, otherwise 1 − (1 − p)(1 − α)/(1 − p̄) (Bahadir et al.,
    IEEE TCI 2020, arXiv 1907.11374, equation 6). The identity for a map that is all 0 or all 1
    already at the mean asked for.
    """
    if probability.numel() == 0:
        return probability
    present = probability.mean()
    if present > mean:
        return probability * (mean / present)
    if present < mean:
        return 1 - (1 - probability) * ((1 - mean) / (1 - present))
    return probability


def inclusion_probabilities(weights: FloatArray, n: int) -> FloatArray:
    """π_i = min(1, c·w_i) with the c for which they sum to n; positive weights[K], 0 ≤ n ≤ K."""
    assert weights.size >= n >= 0
    assert bool((weights > 0).all()), "weights must be positive"
    descending = np.argsort(-weights, kind="stable")
    ordered = weights[descending]
    rest = np.cumsum(ordered[::-1])[::-1]  # sum of the weights from each rank on
    # The first s units are certain; s is the smallest number for which the next one isn't above 1.
    ranks = np.arange(weights.size)
    fits = (n - ranks) * ordered <= rest
    n_certain = int(np.argmax(fits)) if weights.size else 0
    result = np.ones(weights.size)
    uncertain = descending[n_certain:]
    result[uncertain] = np.minimum(1.0, (n - n_certain) * (ordered[n_certain:] / rest[n_certain : n_certain + 1]))
    return result


def pareto_keys(inclusion: FloatArray, uniform: FloatArray) -> FloatArray:
    """Keys u(1 − π)/(π(1 − u)), whose n smallest are an exact sample with the inclusion probabilities π (sum n).

    Pareto sampling (Rosén, J. Statist. Plann. Inference 62:159, 1997): the probabilities are met almost exactly.
    ``uniform`` may be the levels of blue noise: the sample is then spread evenly.
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(uniform * (1 - inclusion) / (inclusion * (1 - uniform)))


def draw_exactly(inclusion: FloatArray, n: int, random: np.random.Generator) -> npt.NDArray[np.int64]:
    """n distinct indices, ascending; index i is drawn with probability ``inclusion[i]``, which sum to n."""
    return np.sort(np.argsort(pareto_keys(inclusion, random.random(inclusion.size)), kind="stable")[:n])


def apportion(expected: FloatArray, n: int, most: int) -> npt.NDArray[np.int64]:
    """Whole numbers[K] from 0 to ``most`` that sum to n: largest remainders of ``expected``, ties by index."""
    assert n <= most * expected.size
    share = np.clip(expected, 0, most)
    whole = np.floor(share).astype(np.int64)
    while (missing := n - int(whole.sum())) != 0:
        step = 1 if missing > 0 else -1
        remainder = step * (share - whole)
        movable = whole < most if step > 0 else whole > 0
        nearest = np.argsort(np.where(movable, -remainder, np.inf), kind="stable")
        whole[nearest[: min(abs(missing), int(movable.sum()))]] += step
    return whole
