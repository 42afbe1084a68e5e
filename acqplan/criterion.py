"""What one training step minimises: weighted losses of what the network makes of what was measured."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import torch

from acqplan import registry
from acqplan.losses.base import Loss, Target
from acqplan.reconstructors.base import Reconstructor

HELD_BACK = "held-back"


@dataclass(frozen=True, eq=False)
class Criterion:
    """A weighted sum of losses.

    Parameters
    ----------
    weights
        Of each loss, by kind; losses of weight 0 aren't computed.
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
        image = network(shown, target.counts, target.sensing)
        total = torch.zeros((), device=image.device)
        for kind, weight in self.weights.items():
            if weight:
                loss: Loss = registry.find("losses", kind)()
                total = total + weight * loss(image, target).mean()
        return total

    def _hidden(self, target: Target, generator: torch.Generator) -> torch.Tensor:
        """bool[B, K]: units that the network isn't shown."""
        drawn = torch.rand(target.coefficients.shape[:2], generator=generator)
        return ((drawn < self.hold_back) & ~self.calibration).to(target.counts.device)
