"""Numbers and settings in words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def with_settings(kind: str, settings: Mapping[str, Any]) -> str:
    """``complex_gaussian (std 0.005)``."""
    listed = ", ".join(f"{name} {_value(value)}" for name, value in settings.items())
    return f"{kind} ({listed})" if listed else kind


def _value(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)
