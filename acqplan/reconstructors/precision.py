"""With how many digits networks convolve while they are trained."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from contextvars import ContextVar

import torch

_precision: ContextVar[torch.dtype] = ContextVar("precision", default=torch.float32)


@contextmanager
def convolving_in(precision: torch.dtype) -> Iterator[None]:
    """Networks that know how convolve in ``precision`` meanwhile; their weights and all else stay float32."""
    before = _precision.set(precision)
    try:
        yield
    finally:
        _precision.reset(before)


def convolutions(device: torch.device) -> AbstractContextManager[object]:
    """Layers applied herein convolve as `convolving_in` says; what they give then isn't float32."""
    precision = _precision.get()
    return nullcontext() if precision == torch.float32 else torch.autocast(device.type, precision)
