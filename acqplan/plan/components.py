"""Components of a recipe: registered classes by kind, their options, and how they are made."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from acqplan.core import registry
from acqplan.core.errors import RecipeError
from acqplan.plan.settings import refuse_unknown

_MOST = 10_000  # layers, channels or iterations of a reconstructor


@dataclass(frozen=True)
class Component:
    """A registered class by kind, and its own options; in TOML one flat table."""

    kind: str
    options: dict[str, Any] = field(default_factory=dict)


def option_names(role: str, kind: str) -> list[str]:
    """Names of the options that a registered class takes from a recipe: not what acqplan itself hands over.

    A constructor that ends in ``**settings`` hands those on to the next class above it, whose options follow.
    """
    names: list[str] = []
    for cls in registry.find(role, kind).__mro__:
        constructor = vars(cls).get("__init__")
        if constructor is None:
            continue
        parameters = list(inspect.signature(constructor).parameters.values())[1:]
        names += [p.name for p in parameters if p.kind not in (p.VAR_KEYWORD, p.VAR_POSITIONAL)]
        if all(p.kind is not p.VAR_KEYWORD for p in parameters):
            break
    return [name for name in dict.fromkeys(names) if name not in registry.ROLES[role].given]


def check_options(role: str, component: Component) -> None:
    """Raise `RecipeError` if a component's kind or one of its options is unknown."""
    known = option_names(role, component.kind)
    refuse_unknown(component.options, known, f"{registry.ROLES[role].singular} {component.kind!r}")


def check_keywords(cls: type[Any], given: Iterable[str], where: str) -> None:
    """Raise `RecipeError` if ``given`` isn't among the constructor arguments of ``cls``."""
    refuse_unknown(given, inspect.signature(cls).parameters, where)


def build(role: str, component: Component, **given: Any) -> Any:
    """An object of the component's class, from its options and what acqplan hands over.

    Raises
    ------
    RecipeError
        Options that don't fit the class.
    """
    cls, arguments = registry.find(role, component.kind), {**given, **component.options}
    try:
        return _network(cls, arguments) if role == "reconstructors" else cls(**arguments)
    except (TypeError, ValueError, OverflowError, RuntimeError) as error:  # torch raises each of them
        raise RecipeError(f"{cls.kind} can't be made from {arguments}: {error}.", "Check its options.") from error


def _network(cls: type[Any], arguments: Mapping[str, Any]) -> Any:
    """A reconstructor, unless it would be larger than any of use."""
    from acqplan.reconstructors.bounds import bounded_networks  # torch takes a second that flags don't need

    _check_size(cls.kind, arguments)
    with bounded_networks():
        return cls(**arguments)


def _check_size(kind: str, arguments: Mapping[str, Any]) -> None:
    """Raise `RecipeError` for layers, channels or iterations beyond any use: iterations would take for ever."""
    for name, value in arguments.items():
        if isinstance(value, int) and value > _MOST:
            raise RecipeError(f"The {kind} option {name} is {value}.", f"Give at most {_MOST}.")


def with_options(role: str, component: Component, decided: Mapping[str, Any]) -> Component:
    """The component with all its options as decided; one that stays None, drawn from the seed, is left out."""
    options = {name: decided[name] for name in option_names(role, component.kind) if decided[name] is not None}
    return Component(component.kind, options)
