"""Small reconstructors whose weights aren't those of a start, where a network often does nothing."""

from __future__ import annotations

from typing import Any

import torch

from acqplan.core.registry import find
from acqplan.reconstructors.reconstructor import Reconstructor

SMALL: dict[str, dict[str, Any]] = {
    "cascade": {"stages": 2, "channels": 4, "depth": 3},
    "hqsnet": {"stages": 2, "channels": 4, "depth": 3, "gather": 1},
    "hyper": {"stages": 2, "channels": 4, "depth": 3},
    "hqs": {"iterations": 15, "levels": 2},
    "tv": {"iterations": 20},
    "unet": {"channels": 3, "levels": 2},
    "unrolled": {"stages": 2, "channels": 4, "depth": 1},
    "wavelet": {"iterations": 6, "levels": 2},
}
"""Options that keep a reconstructor quick."""


def make_reconstructor(
    kind: str, is_complex: bool, seed: int = 0, *, spread: float = 0.1, **options: Any
) -> Reconstructor:
    """``spread``: standard deviation of what is added to the weights of its start."""
    cls, options = find("reconstructors", kind), SMALL.get(kind, {}) | options
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        made: Reconstructor = cls(is_complex, **options) if cls.is_trained else cls(**options)
        with torch.no_grad():
            for parameter in made.parameters():
                parameter.add_(spread * torch.randn(parameter.shape))
    return made
