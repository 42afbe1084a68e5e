"""A recipe: everything that decides a plan, typed, and as TOML.

A recipe may leave settings open (None: chosen by acqplan); a *resolved* recipe, the one in a plan,
has every setting decided, each component's own options included, so that the same recipe gives the same plan.
"""

from __future__ import annotations

import difflib
import inspect
import math
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from types import NoneType, UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints

import tomli_w

from acqplan.core import registry
from acqplan.core.errors import RecipeError

MODALITIES = {"mri": "cartesian_mri", "dmd": "hadamard_dmd"}
_WORDS = {
    str: "a text",
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    list[int]: "a list of whole numbers",
    list[str]: "a list of texts",
    dict[str, float]: "a table of numbers",
}
# Constructor arguments that aren't options, by role.
_GIVEN = {
    "designers": ("problem",),
    "reconstructors": ("is_complex",),
    "sensing": ("image_shape", "coil_maps"),
    "noise": (),
    "losses": (),
    "instruments": (),
    "orders": (),
}


@dataclass(frozen=True)
class Component:
    """A registered class by kind, and its own options; in TOML one flat table."""

    kind: str
    options: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class ImageSettings:
    """Which images, and how they are brought to size.

    ``fit``: ``resample`` keeps the field of view (k-space crop), ``crop`` keeps the pixels (tiles). ``slices``:
    first and last slice of each volume to use, counted from 0, both included. ``coils``: receive coils of an MRI scan.
    Raw data of several coils are compressed to so many virtual ones, other images get simulated maps, new ones in
    every training batch; unless given, 1, or up to 8 where there are raw data of several coils.
    """

    paths: list[str] = field(default_factory=list)
    size: list[int] | None = None
    fit: str | None = None
    binning: int | None = None
    slices: list[int] | None = None
    held_out: float = 0.2
    validation: float = 0.1
    coils: int | None = None


@dataclass(frozen=True)
class BudgetSettings:
    """``amount`` as a person types it; ``calibration`` is a width: lines, or the side of a square of units.

    ``frame_time_s``: repetition time (MRI) or picture time (DMD) in seconds. ``power_w``: power on the sample with all
    mirrors on, in watts. ``reference_repeats``: readings of the unit that decodes all the others, where there is one.
    """

    amount: str = ""
    calibration: int | None = None
    frame_time_s: float | None = None
    power_w: float | None = None
    reference_repeats: int | None = None


@dataclass(frozen=True)
class PatternSettings:
    """What the pattern has to be like on the instrument, and when each of its units is acquired.

    ``order``: kind of the acquisition order. ``effective_echo`` and ``interleaves`` belong to the orders ``segmented``
    and ``interleaved``. ``forbidden`` and ``required``: units never and always measured, as `unit_list` reads them.

    MRI only: ``echo_train``: readings after one excitation; the count is a multiple of it. ``partial_fourier``:
    share of ky that may be measured, from the side away from ``partial_fourier_side`` (low or high).
    ``shutter``: none or elliptical (corners of ky–kz are never measured). ``one_of_conjugates``: at most one of k
    and −k outside the calibration region. ``scan``: 2d (slices) or 3d.
    """

    order: str | None = None
    effective_echo: int | None = None
    interleaves: int | None = None
    echo_train: int | None = None
    partial_fourier: float | None = None
    partial_fourier_side: str | None = None
    shutter: str | None = None
    one_of_conjugates: bool | None = None
    forbidden: str | None = None
    required: str | None = None
    scan: str | None = None


@dataclass(frozen=True)
class TrainingSettings:
    """How long and how to train. ``minutes`` or ``steps`` sets the length; resolved, ``steps`` counts.

    ``steps`` are optimiser steps, of which the first ``joint_share`` train pattern and network together and the
    rest fine-tune the network on the frozen pattern. ``batch_size`` is 2 (MRI) or 8 (DMD) unless given.
    ``threads``: CPU threads (0: all that torch takes).

    ``loss``: what is minimised, the weight of each loss by its kind; the reconstructor's own unless given. Where
    no loss needs the truth, each training image is measured once, with the final pattern, and nothing else of it
    enters training. ``hold_back``: share of the measured units that the loss ``held-back`` hides from the network.
    """

    minutes: float | None = None
    steps: int | None = None
    loss: dict[str, float] | None = None
    hold_back: float = 0.4
    batch_size: int | None = None
    learning_rate: float = 2e-3
    joint_share: float = 0.6
    threads: int = 0
    device: str = "cpu"


@dataclass(frozen=True)
class Recipe:
    """Everything that decides a plan."""

    modality: str
    seed: int = 0
    images: ImageSettings = field(default_factory=ImageSettings)
    sensing: Component | None = None
    budget: BudgetSettings = field(default_factory=BudgetSettings)
    noise: Component | None = None
    designer: Component = field(default_factory=lambda: Component("learned"))
    reconstructor: Component = field(default_factory=lambda: Component("unrolled"))
    training: TrainingSettings = field(default_factory=TrainingSettings)
    pattern: PatternSettings = field(default_factory=PatternSettings)

    def __post_init__(self) -> None:
        if self.modality not in MODALITIES:
            raise RecipeError(f"There is no modality {self.modality!r}.", f"Choose one of: {', '.join(MODALITIES)}.")

    def with_settings(self, section: str, **settings: Any) -> Recipe:
        """A copy with some settings of one section replaced."""
        changed: Any = replace(getattr(self, section), **settings)
        whole: dict[str, Any] = {section: changed}
        return replace(self, **whole)


def to_toml(recipe: Recipe) -> str:
    """TOML text; settings that are None are left out."""
    table: dict[str, Any] = {}
    for name, value in asdict(recipe).items():
        if isinstance(value, dict) and "kind" in value:
            value = {"kind": value["kind"], **value["options"]}
        if isinstance(value, dict):
            value = {key: entry for key, entry in value.items() if entry is not None}
        if value is not None:
            table[name] = value
    return tomli_w.dumps(table)


def from_toml(text: str, source: str = "recipe") -> Recipe:
    """The recipe in TOML text; an unknown key raises `RecipeError` naming the nearest one."""
    try:
        table = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise RecipeError(f"{source} is no valid TOML: {error}.", "Mend the line it names.") from error
    return from_dict(table, source)


def from_dict(table: Mapping[str, Any], source: str = "recipe") -> Recipe:
    """The recipe in nested tables, as TOML gives them."""
    if "modality" not in table:
        raise RecipeError(f"{source} doesn't say which modality.", 'Add modality = "mri" or "dmd".')
    _refuse_unknown(table, (f.name for f in fields(Recipe)), source)
    hints = get_type_hints(Recipe)
    values: dict[str, Any] = {}
    for name, value in table.items():
        where = f"{source} [{name}]"
        part = next((t for t in (hints[name], *get_args(hints[name])) if t is Component or _is_section(t)), None)
        if part is None:
            values[name] = _typed(value, hints[name], f"{source} {name}")
            continue
        if not isinstance(value, Mapping):
            raise RecipeError(f"{where} is {value!r}, expected a table.", f"Write it as [{name}].")
        if part is Component:
            if not isinstance(value.get("kind"), str):
                raise RecipeError(f"{where} has no kind.", 'Add kind = "…".')
            values[name] = Component(value["kind"], {k: v for k, v in value.items() if k != "kind"})
        else:
            section = get_type_hints(part)
            _refuse_unknown(value, section, where)
            values[name] = part(**{k: _typed(v, section[k], f"{where} {k}") for k, v in value.items()})
    return Recipe(**values)


def with_preset(recipe: Recipe, part: str, name: str) -> Recipe:
    """The recipe with a preset of its component ``part``: that component's options, and settings of the training."""
    component: Component = getattr(recipe, part)
    presets = getattr(registry.find(f"{part}s", component.kind), "presets", {})
    if name not in presets:
        raise RecipeError(
            f"The {part} {component.kind} has no preset {name!r}.", f"Known: {', '.join(presets) or 'none'}."
        )
    options = {**component.options, **presets[name].options}
    changed: dict[str, Any] = {part: Component(component.kind, options)}
    return replace(recipe, **changed).with_settings("training", **presets[name].training)


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
    return [name for name in dict.fromkeys(names) if name not in _GIVEN[role]]


def check_options(role: str, component: Component) -> None:
    """Raise `RecipeError` if a component's kind or one of its options is unknown."""
    known = option_names(role, component.kind)
    _refuse_unknown(component.options, known, f"{registry.ROLES[role].singular} {component.kind!r}")


def check_keywords(cls: type[Any], given: Iterable[str], where: str) -> None:
    """Raise `RecipeError` if ``given`` isn't among the constructor arguments of ``cls``."""
    _refuse_unknown(given, inspect.signature(cls).parameters, where)


def _is_section(candidate: object) -> bool:
    return candidate in (ImageSettings, BudgetSettings, PatternSettings, TrainingSettings)


def _refuse_unknown(table: Iterable[str], known: Iterable[str], where: str) -> None:
    names = list(known)
    for key in table:
        if key not in names:
            near = difflib.get_close_matches(key, names, n=1, cutoff=0.4)
            hint = f"Did you mean {near[0]!r}? " if near else ""
            raise RecipeError(f"{where} has an unknown key {key!r}.", f"{hint}Known: {', '.join(names) or 'none'}.")


def _typed(value: Any, hint: Any, where: str) -> Any:
    """``value`` if it fits the annotation (an int fits float); otherwise `RecipeError`."""
    options = get_args(hint) if get_origin(hint) in (UnionType, Union) else (hint,)
    for option in options:
        if option is NoneType:
            continue
        if get_origin(option) is list and isinstance(value, list | tuple):
            return [_typed(entry, get_args(option)[0], where) for entry in value]
        if get_origin(option) is dict and isinstance(value, Mapping):
            return {str(key): _typed(entry, get_args(option)[1], f"{where}.{key}") for key, entry in value.items()}
        if option is float and isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value):
            return float(value)
        if option in (int, str, bool) and type(value) is option:
            return value
    wanted = " or ".join(_WORDS[option] for option in options if option is not NoneType)
    raise RecipeError(f"{where} is {value!r}, expected {wanted}.", "Correct it.")
