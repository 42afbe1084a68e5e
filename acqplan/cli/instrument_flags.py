"""Flags of a command that only some instruments have, as their modalities declare them (`UseFlag`)."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, get_type_hints

import typer

from acqplan.cli import arguments
from acqplan.core import registry
from acqplan.core.errors import RecipeError
from acqplan.plan.in_use import InUse, UseFlag

Declared = tuple[type[InUse], UseFlag]


@dataclass(frozen=True)
class Typed:
    """What was typed for one command: the modality and flag of each, and its value."""

    given: list[tuple[list[Declared], Any]] = field(default_factory=list)

    def checked(self, plan: Path) -> Any:
        """The plan, or only its file where no flag was typed.

        Raises
        ------
        RecipeError
            A flag was typed that is of other instruments than the plan's.
        """
        if not self.given:
            return plan
        from acqplan.plan.plan import Plan

        loaded = Plan.load(plan)
        for declared, value in self.given:
            if not any(isinstance(loaded.modality, cls) for cls, _ in declared):
                _refuse(declared[0][1], value, loaded.sensing.kind)
        return loaded

    def settings(self, where: str) -> dict[str, Any]:
        """The values for ``noise``, ``settings`` or ``options``, by name."""
        found: dict[str, Any] = {}
        for declared, value in self.given:
            target = declared[0][1].target
            if target == where:
                found |= arguments.options(value)
            elif target.startswith(f"{where}."):
                found[target.removeprefix(f"{where}.")] = value
        return found


def _refuse(flag: UseFlag, value: Any, sensing: str) -> None:
    if flag.refusal is not None:
        problem, remedy = flag.refusal
        raise RecipeError(problem.format(value=value, sensing=sensing), remedy)
    if flag.target.startswith("noise."):
        raise RecipeError(f"Noise settings of another modality were given for a {sensing} plan.", _noise_flags())


def _noise_flags() -> str:
    """``Use --noise for MRI; …``: the noise flags of every modality."""
    listed = []
    for cls in registry.kinds("modalities").values():
        names = [f.flag.name for f in cls.use_flags.get("simulate", ()) if f.target.startswith("noise.")]
        if names:
            words = f"{', '.join(names[:-1])} and {names[-1]}" if len(names) > 1 else names[0]
            listed.append(f"{words} for {cls.title}")
    return f"Use {'; '.join(listed)}."


def flags_of(command: str) -> dict[str, list[Declared]]:
    """The flags that modalities declare for a command, by name; several modalities may share one."""
    found: dict[str, list[Declared]] = {}
    for cls in registry.kinds("modalities").values():
        for each in cls.use_flags.get(command, ()):
            found.setdefault(each.flag.name, []).append((cls, each))
    return found


def with_instrument_flags(command: str, function: Callable[..., None]) -> Callable[..., None]:
    """``function`` with the modalities' flags for Typer in the place of its parameter ``flags``."""
    declared = {_parameter(name): each for name, each in flags_of(command).items()}
    hints = get_type_hints(function, include_extras=True)

    def call(**values: Any) -> None:
        given = [(each, values.pop(name)) for name, each in declared.items()]
        function(**values, flags=Typed([(each, value) for each, value in given if value not in (None, [])]))

    parameters: list[inspect.Parameter] = []
    for parameter in inspect.signature(function).parameters.values():
        if parameter.name == "flags":
            parameters += [_option(name, each[0][1]) for name, each in declared.items()]
        else:
            parameters.append(parameter.replace(annotation=hints[parameter.name]))
    call.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    call.__annotations__ = {each.name: each.annotation for each in parameters}
    call.__doc__ = function.__doc__
    return call


def _parameter(flag: str) -> str:
    return "typed_" + flag.removeprefix("--").replace("-", "_")


def _option(name: str, declared: UseFlag) -> inspect.Parameter:
    hint: Any = list[str] if declared.hint is list else declared.hint
    option = typer.Option(
        declared.flag.name,
        metavar=declared.flag.metavar,
        help=declared.flag.help,
        min=declared.least,
        max=declared.most,
    )
    kind = inspect.Parameter.KEYWORD_ONLY
    return inspect.Parameter(name, kind, default=None, annotation=Annotated[hint | None, option])


def instrument_examples(command: str) -> tuple[str, ...]:
    """Worked calls of a command with every instrument."""
    return tuple(call for cls in registry.kinds("modalities").values() for call in cls.use_examples.get(command, ()))


def default_suffixes() -> str:
    """``.tif for DMD, .nii.gz for MRI``: suffixes of image files."""
    return ", ".join(f"{cls.image_suffix} for {cls.title}" for cls in registry.kinds("modalities").values())
