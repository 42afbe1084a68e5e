"""The values of the shared rooms are immutable."""

from __future__ import annotations

import dataclasses
import importlib
import pkgutil

import pytest

import acqplan

ROOMS = ("sensing", "designers", "images", "plan", "learning", "modalities")


def values() -> list[type]:
    rooms = tuple(f"acqplan.{room}." for room in ROOMS)
    names = [each.name for each in pkgutil.walk_packages(acqplan.__path__, "acqplan.") if each.name.startswith(rooms)]
    found = [value for name in names for value in vars(importlib.import_module(name)).values()]
    return sorted({each for each in found if isinstance(each, type) and dataclasses.is_dataclass(each)}, key=repr)


@pytest.mark.parametrize("value", values(), ids=lambda value: f"{value.__module__}.{value.__name__}")
def test_values_are_immutable(value: type) -> None:
    assert value.__dataclass_params__.frozen  # type: ignore[attr-defined]
