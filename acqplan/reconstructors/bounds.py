"""What a network may hold: more is found while it is made, before it costs time and memory."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from torch import nn
from torch.nn.modules.module import register_module_parameter_registration_hook

MOST_ARRAYS, MOST_NUMBERS = 4_000, 100_000_000


@contextmanager
def bounded_networks() -> Iterator[None]:
    """Within it, a network of more than `MOST_ARRAYS` weight arrays or `MOST_NUMBERS` weights is a ValueError.

    Torch tells of each array before it is filled: no option has to be judged by itself, and memory isn't touched yet.
    """
    arrays = numbers = 0

    def count(module: nn.Module, name: str, weights: nn.Parameter) -> None:
        nonlocal arrays, numbers
        arrays, numbers = arrays + 1, numbers + weights.numel()
        if arrays > MOST_ARRAYS or numbers > MOST_NUMBERS:
            raise ValueError(f"a network of more than {MOST_NUMBERS:,} weights, or {MOST_ARRAYS:,} arrays of them")

    counting = register_module_parameter_registration_hook(count)
    try:
        yield
    finally:
        counting.remove()
