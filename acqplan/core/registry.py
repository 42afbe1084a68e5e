"""Kind strings to classes, by role.

Files on disk name a class by a stable *kind* string (``cartesian_mri``, ``unrolled``), never by an import path.

Classes of a role stand in the role's rooms (`Role.rooms`) and in each modality's folder, in a module or sub-package of
the role's name (`Role.part`); all of these are imported on the first look-up, so a new class is one new file. A lab
adds its own from its own package: a class through the entry point group ``acqplan.<role>`` (each entry point names a
module that registers on import), a whole instrument through the group ``acqplan.modalities`` (each names a package
that is laid out as the folders in `acqplan.modalities`).
"""

from __future__ import annotations

import difflib
import importlib
import importlib.util
import pkgutil
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import entry_points
from types import ModuleType
from typing import Any, TypeVar

from acqplan.core.errors import RecipeError


@dataclass(frozen=True)
class Role:
    """What a registered class can be.

    Parameters
    ----------
    singular
        In words, for messages.
    part
        Module or sub-package of a modality's folder that holds that modality's classes of this role.
    rooms
        The shared packages or modules that hold the others.
    given
        Arguments of constructors that acqplan itself hands over: no options of a recipe.
    """

    singular: str
    part: str
    rooms: tuple[str, ...] = ()
    given: tuple[str, ...] = ()


ROLES = {
    "modalities": Role("modality", "modality"),
    "sensing": Role("sensing model", "sensing", given=("image_shape", "coil_maps")),
    "noise": Role("noise model", "noise"),
    "designers": Role("designer", "designers", ("acqplan.designers", "acqplan.learning.from_plan"), ("problem",)),
    "orders": Role("order", "orders", ("acqplan.designers.orders",)),
    "reconstructors": Role("reconstructor", "reconstructors", ("acqplan.reconstructors",), ("is_complex",)),
    "losses": Role("loss", "losses", ("acqplan.reconstructors.losses",)),
    "virtual_instruments": Role("virtual instrument", "virtual"),
    "instruments": Role("format", "formats", ("acqplan.formats",)),
    "acquired_tables": Role("table of acquired data", "formats"),
    "image_readers": Role("format of images to read", "formats", ("acqplan.formats",)),
    "image_writers": Role("format of images to write", "formats", ("acqplan.formats",)),
}

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


def modality_packages() -> list[str]:
    """Names of the packages that hold a modality each: acqplan's own, and those of other packages' entry points."""
    own = importlib.import_module("acqplan.modalities")
    names = [f"{own.__name__}.{module.name}" for module in pkgutil.iter_modules(own.__path__) if module.ispkg]
    return names + sorted(entry.value for entry in entry_points(group="acqplan.modalities"))


def _discover(role: str) -> None:
    if role in _discovered:
        return
    _discovered.add(role)
    what = ROLES[role]
    for room in what.rooms:
        _import_all(importlib.import_module(room))
    for package in modality_packages():
        if importlib.util.find_spec(f"{package}.{what.part}") is not None:
            _import_all(importlib.import_module(f"{package}.{what.part}"))
    if role != "modalities":
        for entry in entry_points(group=f"acqplan.{role}"):
            entry.load()


def _import_all(room: ModuleType) -> None:
    """Import every module of a package; of a single module there is no more to do."""
    for module in pkgutil.iter_modules(getattr(room, "__path__", [])):
        importlib.import_module(f"{room.__name__}.{module.name}")


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
    raise RecipeError(f"There is no {ROLES[role].singular} kind {kind!r}.", f"{hint}Known: {', '.join(known)}.")
