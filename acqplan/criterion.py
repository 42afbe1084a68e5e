"""What one training step minimises: weighted losses of what the network makes of what was measured."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import torch

from acqplan import registry
from acqplan.losses.base import Loss, Target
from acqplan.reconstructors.base import KnobReconstructor, Reconstructor

HELD_BACK = "held-back"


@dataclass(frozen=True, eq=False)
class Criterion:
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
                total = total + weight * _loss(kind)(image, target).mean()
        return total

    def _over_settings(
        self, network: KnobReconstructor, shown: torch.Tensor, target: Target, generator: torch.Generator
    ) -> torch.Tensor:
        """Each image at a setting of its own, drawn uniformly, judged by the losses that the setting stands for."""
        drawn = torch.rand((shown.shape[0], len(network.knobs)), generator=generator).to(shown.device)
        image = network.at(shown, target.counts, target.sensing, drawn)
        each = torch.zeros(shown.shape[0], device=image.device)
        for kind, share in network.loss_weights(drawn).items():
            loss = _loss(kind)
            each = each + self.weights[kind] * share * loss(image, target) / loss.typical
        with torch.no_grad():
            chosen = network.chosen_for_training(_loss("data-consistency")(image, target)).float()
        return (chosen * each).sum() / chosen.sum().clamp(min=1)

    def _hidden(self, target: Target, generator: torch.Generator) -> torch.Tensor:
        """bool[B, K]: units that the network isn't shown."""
        drawn = torch.rand(target.coefficients.shape[:2], generator=generator)
        return ((drawn < self.hold_back) & ~self.calibration).to(target.counts.device)


def _loss(kind: str) -> Loss:
    made: Loss = registry.find("losses", kind)()
    return made
