"""What one training step minimises: weighted losses of what the network makes of what was measured."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch.nn import functional

from acqplan.core import registry
from acqplan.learning.problem import Problem
from acqplan.reconstructors.losses import Target, loss_named
from acqplan.reconstructors.reconstructor import KnobReconstructor, Reconstructor

HELD_BACK = "held-back"
_NEIGHBOURS = 9  # units along each axis
_SUREST = 0.9
_RAREST = 0.25  # of the share


@dataclass(frozen=True, eq=False)
class Objective:
    """A weighted sum of losses.

    Parameters
    ----------
    weights
        Of each loss, by kind; losses of weight 0 aren't computed. For a reconstructor with knobs they multiply the
        shares that a setting gives, of losses over their typical size.
    calibration
        bool[K]: units that are never held back from the network.
    hold_back
        Share of the measured units that the loss ``held-back`` hides from the network.
    """

    weights: Mapping[str, float]
    calibration: torch.Tensor
    hold_back: float = 0.4

    @property
    def needs_truth(self) -> bool:
        """Whether any of the losses does."""
        return any(registry.find("losses", kind).needs_truth for kind, weight in self.weights.items() if weight)

    def __call__(self, network: Reconstructor, target: Target, generator: torch.Generator) -> torch.Tensor:
        """Scalar: mean over the batch. Whatever is random is drawn from ``generator`` (CPU)."""
        shown = target.coefficients
        if self.weights.get(HELD_BACK):
            hidden = self._hidden(target, generator)
            shown = shown * target.sensing.per_unit((~hidden).float()) + 0.0
            target = replace(target, counts=target.counts * ~hidden, held_back=target.counts * hidden)
        if isinstance(network, KnobReconstructor):
            return self._over_settings(network, shown, target, generator)
        image = network(shown, target.counts, target.sensing)
        total = torch.zeros((), device=image.device)
        for kind, weight in self.weights.items():
            if weight:
                total = total + weight * loss_named(kind)(image, target).mean()
        return total

    def _over_settings(
        self, network: KnobReconstructor, shown: torch.Tensor, target: Target, generator: torch.Generator
    ) -> torch.Tensor:
        """Each image at a setting of its own, drawn uniformly, judged by the losses that the setting stands for."""
        drawn = torch.rand((shown.shape[0], len(network.knobs)), generator=generator).to(shown.device)
        image = network.at(shown, target.counts, target.sensing, drawn)
        each = torch.zeros(shown.shape[0], device=image.device)
        for kind, share in network.loss_weights(drawn).items():
            loss = loss_named(kind)
            each = each + self.weights[kind] * share * loss(image, target) / loss.typical
        with torch.no_grad():
            chosen = network.chosen_for_training(loss_named("data-consistency")(image, target)).float()
        return (chosen * each).sum() / chosen.sum().clamp(min=1)

    def _hidden(self, target: Target, generator: torch.Generator) -> torch.Tensor:
        """bool[B, K]: units that the network isn't shown; among the measured ones about the share ``hold_back``.

        What is hidden lies where the pattern has its holes, so that what is learned from it is what is asked for later:
        a unit is hidden with a probability ∝ (1 − ρ)/ρ, ρ the share of measured units around it. A uniform choice hides
        mostly the densely measured centre, whose energy then is all that the loss sees.
        """
        counts = target.counts.detach().cpu()
        probability = hiding_probability(counts, ~self.calibration, target.sensing.grid_shape, self.hold_back)
        drawn = torch.rand(target.coefficients.shape[:2], generator=generator)
        return (drawn < probability).to(target.counts.device)


def build_objective(problem: Problem) -> Objective:
    """The recipe's losses, which never hide the calibration region."""
    settings = problem.recipe.training
    calibration = torch.zeros(problem.sensing.n_units, dtype=torch.bool)
    calibration[torch.from_numpy(problem.design.calibration.astype(np.int64))] = True
    return Objective(settings.loss, calibration, settings.hold_back)


def hiding_probability(
    counts: torch.Tensor, may_hide: torch.Tensor, grid_shape: tuple[int, ...], share: float
) -> torch.Tensor:
    """float32[B, K] of counts[B, K] on a catalogue's grid (see `Objective`); 0 where nothing is measured.

    Its mean over the units that are measured and that bool[K] ``may_hide`` allows is about ``share``. Single ones are
    at most 0.9, and at least a quarter of the share: what is never hidden is never judged, and drifts. Where the
    pattern has no holes, all are alike.
    """
    is_measured = (counts > 0).float()
    around = _mean_around(is_measured.reshape(-1, 1, *grid_shape)).reshape(counts.shape)
    candidates = is_measured * may_hide
    odds = candidates * (1 - around) / around.clamp(min=1e-6)
    total = odds.sum(1, keepdim=True)
    odds = torch.where(total > 1e-6, odds, candidates)
    mean = odds.sum(1, keepdim=True) / candidates.sum(1, keepdim=True).clamp(min=1)
    uneven = (share * odds / mean.clamp(min=1e-12)).clamp(max=_SUREST)
    return torch.maximum(uneven, _RAREST * share * candidates)


def _mean_around(values: torch.Tensor) -> torch.Tensor:
    """Mean of values[B, 1, *grid] over a neighbourhood of `_NEIGHBOURS` units along each axis, cut at the edges."""
    pool = functional.avg_pool1d if values.ndim == 3 else functional.avg_pool2d
    return pool(values, _NEIGHBOURS, stride=1, padding=_NEIGHBOURS // 2, count_include_pad=False)
