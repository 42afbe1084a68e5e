"""Numbers and settings in words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

_NAMED = 8  # numbers named in one sentence


def with_settings(kind: str, settings: Mapping[str, Any]) -> str:
    """``complex_gaussian (std 0.005)``."""
    listed = ", ".join(f"{name} {_value(value)}" for name, value in settings.items())
    return f"{kind} ({listed})" if listed else kind


def named(numbers: Sequence[int]) -> str:
    """``1, 2, 3``, of many only the first few."""
    some = ", ".join(map(str, numbers[:_NAMED]))
    return f"{some}, …" if len(numbers) > _NAMED else some


def _value(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)
