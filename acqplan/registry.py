"""Kind strings to classes, by role.

Files on disk name a class by a stable *kind* string (``cartesian_mri``, ``unrolled``),
never by an import path. A role is a sub-package (``sensing``, ``designers``,
``losses``, ``reconstructors``, ``orders``, ``instruments``); every module in it is imported on the first look-up,
so a new class is one new file. A lab adds its own from its own package through the entry
point group ``acqplan.<role>`` (each entry point names a module that registers on import).
"""

from __future__ import annotations

import difflib
import importlib
import pkgutil
from collections.abc import Callable
from importlib.metadata import entry_points
from typing import Any, TypeVar

from acqplan.errors import RecipeError

SINGULAR = {
    "sensing": "sensing model",
    "designers": "designer",
    "losses": "loss",
    "reconstructors": "reconstructor",
    "instruments": "format",
    "noise": "noise model",
    "orders": "order",
}
ROLES = tuple(SINGULAR)

_classes: dict[str, dict[str, type[Any]]] = {role: {} for role in ROLES}
_discovered: set[str] = set()

C = TypeVar("C", bound=type[Any])


def register(role: str, kind: str) -> Callable[[C], C]:
    """Class decorator: make the class known as ``kind`` in ``role`` and set its ``kind`` attribute."""

    def add(cls: C) -> C:
        known = _classes[role].get(kind)
        if known is not None and known.__qualname__ != cls.__qualname__:
            raise RuntimeError(f"{role} kind {kind!r} is taken by {known.__qualname__}")
        _classes[role][kind] = cls
        cls.kind = kind
        return cls

    return add


def _discover(role: str) -> None:
    if role in _discovered:
        return
    _discovered.add(role)
    package = importlib.import_module(f"acqplan.{role}")
    for module in pkgutil.iter_modules(getattr(package, "__path__", [])):
        importlib.import_module(f"acqplan.{role}.{module.name}")
    for entry in entry_points(group=f"acqplan.{role}"):
        entry.load()


def kinds(role: str) -> dict[str, type[Any]]:
    """All classes of a role, by kind, in alphabetical order."""
    _discover(role)
    return dict(sorted(_classes[role].items()))


def find(role: str, kind: str) -> type[Any]:
    """The class registered as ``kind``; an unknown kind raises `RecipeError` naming the nearest."""
    known = kinds(role)
    if kind in known:
        return known[kind]
    near = difflib.get_close_matches(kind, known, n=1)
    hint = f"Did you mean {near[0]!r}? " if near else ""
    raise RecipeError(f"There is no {SINGULAR[role]} kind {kind!r}.", f"{hint}Known: {', '.join(known)}.")
