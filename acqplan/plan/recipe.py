"""A recipe: everything that decides a plan, typed, and as TOML.

A `Recipe` may leave settings open (None: chosen by acqplan). A `ResolvedRecipe`, the one in a plan, has every setting
decided, each component's own options included, so that the same recipe gives the same plan.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Annotated, Any, ClassVar, Literal, Self

from msgspec import Meta

from acqplan.core import registry
from acqplan.core.errors import RecipeError
from acqplan.plan import typed
from acqplan.plan.components import Component, option_names
from acqplan.plan.settings import GOAL, IMAGES, PATTERN, TRAINING, Flag, check_section, converted, settings_of

_MOST_PIXELS = 1 << 28

Pair = Annotated[list[int], Meta(min_length=2, max_length=2)]
Share = Annotated[float, Meta(gt=0, lt=1)]
Fraction = Annotated[float, Meta(ge=0, lt=1)]
Positive = Annotated[float, Meta(gt=0)]
Count = Annotated[int, Meta(ge=1)]
Whole = Annotated[int, Meta(ge=0)]


@dataclass(frozen=True)
class ImageSettings:
    """Which images, and how they are brought to size.

    ``fit``: ``resample`` keeps the field of view (k-space crop), ``pad`` is the same with margins of zeros around
    images that are smaller, ``crop`` keeps the pixels (tiles). ``slices``: first and last slice of each volume to use,
    counted from 0, both included. ``train_only``: images that are trained on beside those of ``paths``, without a part
    in their split: public ones beside a lab's own. A subject that is among both follows the split.
    """

    paths: Annotated[
        list[str],
        Flag(
            "--images",
            IMAGES,
            "Fully sampled images: files, folders, or a sample (sample:brain, sample:cells).",
            "PATH...",
        ),
    ] = field(default_factory=list)
    size: Annotated[
        Pair | None, Flag("--size", GOAL, "Rows x columns of the image, like 128x128.", "HxW", typed.size)
    ] = None
    fit: Annotated[
        Literal["resample", "pad", "crop"] | None,
        Flag(
            "--fit",
            IMAGES,
            "How images get their size: larger voxels, margins around small ones as well, or tiles cut from them.",
            "resample|pad|crop",
        ),
    ] = None
    binning: Annotated[
        Count | None, Flag("--binning", IMAGES, "Average N x N pixels into one (with tiles only).", "N")
    ] = None
    slices: Annotated[
        Pair | None,
        Flag(
            "--slices",
            IMAGES,
            "Only these slices of each volume, both included, counted from 0.",
            "FIRST-LAST",
            typed.slices,
        ),
    ] = None
    held_out: Annotated[
        Fraction, Flag("--held-out", IMAGES, "Share of the subjects kept for the test (default 0.2).")
    ] = 0.2
    validation: Fraction = 0.1
    train_only: Annotated[
        list[str] | None,
        Flag("--train-only", IMAGES, "Further images, which are trained on and never held out.", "PATH..."),
    ] = None

    @property
    def all_paths(self) -> list[str]:
        """Of all images, whatever they are for."""
        return [*self.paths, *(self.train_only or [])]


@dataclass(frozen=True)
class BudgetSettings:
    """``amount`` as a person types it; ``calibration`` is a width: lines, or the side of a square of units.

    ``frame_time_s``: time of one exposure or excitation in seconds.
    """

    amount: Annotated[
        str,
        Flag(
            "--budget",
            GOAL,
            "How much is measured, calibration included.",
            "AMOUNT",
        ),
    ] = ""
    calibration: Annotated[
        Whole | None,
        Flag(
            "--calibration",
            GOAL,
            "Width of the centre that every pattern measures: lines, or the side of a square.",
            "N",
        ),
    ] = None
    frame_time_s: Positive | None = None


@dataclass(frozen=True)
class PatternSettings:
    """What the pattern has to be like on the instrument, and when each of its units is acquired.

    ``order``: the acquisition order, with its options; its kind is "" where only options are given.
    ``forbidden`` and ``required``: units never and always measured, as `unit_list` reads them.
    """

    order: Component | None = None
    forbidden: Annotated[
        str | None,
        Flag(
            "--forbidden",
            PATTERN,
            "Never measure these: 0-3,60, or ky:kz positions such as 0-3:*, or a file of them (text or .npy mask).",
            "LIST|FILE",
        ),
    ] = None
    required: Annotated[
        str | None, Flag("--required", PATTERN, "Always measure these; written alike.", "LIST|FILE")
    ] = None


@dataclass(frozen=True)
class TrainingSettings:
    """How long and how to train. ``minutes`` or ``steps`` sets the length; resolved, ``steps`` counts.

    ``steps`` are optimiser steps, of which the first ``joint_share`` train pattern and network together and the
    rest fine-tune the network on the frozen pattern. ``batch_size`` is the instrument's usual one unless given.
    ``threads``: CPU threads (0: all that torch takes).

    ``loss``: what is minimised, the weight of each loss by its kind; the reconstructor's own unless given. Where
    no loss needs the truth, each training image is measured once, with the final pattern, and nothing else of it
    enters training. ``pace``: of a plan that was made in ``minutes``, the steps of each twentieth of both phases, so
    that its steps replay. ``stop_at``: the step after which an interrupted training was kept as it was.
    ``base``: a base network or any plan whose network is where training starts; there is no joint training then, unless
    the designer is learned by it. ``base_id``: its plan id, which a resolved recipe spells out.
    ``keep_best``: the network is judged on the validation images at the start of fine-tuning and after each of its
    twentieths, and the best of these states is kept. ``compact``: at the end, before anything is measured, the weights
    are rounded to half precision (`acqplan.plan.compact`), and stored so.
    ``hold_back``: share of the measured units that the loss ``held-back`` hides from the network. ``noise_range``:
    least and most of the factor by which the noise of each step, in relation to the signal, differs from the plan's;
    drawn evenly in the logarithm.
    ``precision``: of the convolutions in training, whose weights are float32 all the same; a plan's network is float32
    whatever it was trained in. A plan without it was trained in float32.
    """

    minutes: Annotated[Positive | None, Flag("--minutes", TRAINING, "How long to train (default 10).")] = None
    steps: Annotated[
        Count | None, Flag("--steps", TRAINING, "How many steps to train instead: repeatable bit for bit.")
    ] = None
    base: Annotated[
        str | None,
        Flag("--base", TRAINING, "Start from the network of this base (acqplan base) or plan.", "FILE"),
    ] = None
    base_id: str | None = None
    keep_best: bool | None = None
    compact: Annotated[
        bool | None,
        Flag("--compact/--full-precision", TRAINING, "Keep the weights in half precision: a file of half the size."),
    ] = None
    loss: Annotated[
        dict[str, Annotated[float, Meta(ge=0)]] | None,
        Flag(
            "--loss",
            TRAINING,
            "What to minimise, several times for a sum (default: the network's own); see acqplan list losses.",
            "KIND[=WEIGHT]",
            typed.weights,
        ),
    ] = None
    hold_back: Share = 0.4
    noise_range: Annotated[
        Annotated[list[Positive], Meta(min_length=2, max_length=2)] | None,
        Flag(
            "--noise-range",
            TRAINING,
            "Train with noise of so many times the plan's, from least to most, drawn anew in each step.",
            "LOW-HIGH",
            typed.span,
        ),
    ] = None
    batch_size: Count | None = None
    learning_rate: Positive = 2e-3
    precision: Annotated[
        Literal["float32", "bfloat16"] | None,
        Flag(
            "--precision",
            TRAINING,
            "Of convolutions in training (default float32). bfloat16: quicker with AMX, far slower without.",
            "float32|bfloat16",
        ),
    ] = None
    joint_share: Annotated[float, Meta(ge=0, le=1)] = 0.6
    pace: list[Whole] | None = None
    stop_at: Count | None = None
    threads: Annotated[Whole, Flag("--threads", TRAINING, "CPU threads (0: all).")] = 0
    device: Annotated[str, Flag("--device", TRAINING, "cpu or cuda.")] = "cpu"


@dataclass(frozen=True)
class InstrumentSettings:
    """What only one kind of instrument has to be told; each modality has its own subclass.

    Each field says by `acqplan.plan.settings.In` in which section of the recipe it is written.
    """


@dataclass(frozen=True)
class Recipe:
    """Everything that decides a plan; what is None is left to acqplan."""

    modality: str
    seed: Whole = 0
    images: ImageSettings = field(default_factory=ImageSettings)
    sensing: Component | None = None
    budget: BudgetSettings = field(default_factory=BudgetSettings)
    noise: Component | None = None
    designer: Component | None = None
    reconstructor: Component = field(default_factory=lambda: Component("unrolled"))
    training: TrainingSettings = field(default_factory=TrainingSettings)
    pattern: PatternSettings = field(default_factory=PatternSettings)
    instrument: InstrumentSettings = field(default_factory=InstrumentSettings)
    """The modality's own settings; by default all open."""

    sections: ClassVar[tuple[str, ...]] = ("images", "budget", "pattern", "training")

    def __post_init__(self) -> None:
        known = registry.kinds("modalities")
        if self.modality not in known:
            raise RecipeError(f"There is no modality {self.modality!r}.", f"Choose one of: {', '.join(known)}.")
        own: type[InstrumentSettings] = known[self.modality].settings
        if self.instrument == type(self.instrument)():  # all open, as another modality's may be, too
            object.__setattr__(self, "instrument", own())
        elif not isinstance(self.instrument, own):
            raise RecipeError(
                f"The settings of the instrument are {type(self.instrument).__name__}, expected {own.__name__}.",
                f"Give those of {self.modality}.",
            )

    def with_settings(self, section: str, **settings: Any) -> Self:
        """A copy with some settings of one section replaced, by the names that they have in a recipe's text.

        So the instrument's own that are written there, the kind of an order and its options are replaced alike.

        Raises
        ------
        RecipeError
            A setting of another instrument.
        """
        present = getattr(self, section)
        if section == "pattern":
            settings = self._with_order(settings)
        shared = {name: value for name, value in settings.items() if name in settings_of(type(present))}
        own = {name: value for name, value in settings.items() if name not in shared}
        known = settings_of(type(self.instrument))
        for name in own:
            if name not in known or known[name].section != section:
                refuse_foreign(name, section, self.modality)
                raise RecipeError(f"There is no {_singular(section)} setting {name}.", "Check its name.")
        changed: dict[str, Any] = {section: replace(present, **shared)}
        if own:
            changed["instrument"] = replace(self.instrument, **own)
        return replace(self, **changed)

    def _with_order(self, settings: dict[str, Any]) -> dict[str, Any]:
        """The settings of a pattern with the order and its options as one component."""
        known = order_options() - settings_of(type(self.instrument)).keys()
        options = {name: value for name, value in settings.items() if name in known}
        for name in options:
            refuse_foreign(name, "pattern", self.modality)
        order = settings.get("order", self.pattern.order)
        if isinstance(order, str):
            order = Component(order)
        if options:
            order = Component("" if order is None else order.kind, {**(order.options if order else {}), **options})
        rest = {name: value for name, value in settings.items() if name not in known}
        return {**rest, "order": order} if options or "order" in settings else rest

    def check(self) -> None:
        """Raise `RecipeError` unless every setting has its type and lies in its range."""
        converted(self.seed, settings_of(Recipe)["seed"], "The seed")
        for section in self.sections:
            check_section(getattr(self, section), f"The {_singular(section)} setting")
        if math.prod(self.images.size or ()) > _MOST_PIXELS:
            raise RecipeError(
                f"The images setting size is {self.images.size}: more than {_MOST_PIXELS} pixels.",
                "Give the size of one image.",
            )
        for name, setting in settings_of(type(self.instrument)).items():
            check = replace(type(self.instrument)(), **{name: getattr(self.instrument, name)})
            if getattr(check, name) is not None:
                check_section(check, f"The {_singular(setting.section or '')} setting")


@dataclass(frozen=True)
class ResolvedImages(ImageSettings):
    """Image settings with size and fit decided."""

    size: Pair = field(default_factory=list)
    fit: Literal["resample", "pad", "crop"] = "resample"


@dataclass(frozen=True)
class ResolvedPattern(PatternSettings):
    """Pattern settings with the order decided, and units spelled out."""

    order: Component = field(default_factory=lambda: Component(""))
    forbidden: str = ""
    required: str = ""


@dataclass(frozen=True)
class ResolvedTraining(TrainingSettings):
    """Training settings with loss and batch size decided."""

    loss: dict[str, Annotated[float, Meta(ge=0)]] = field(default_factory=dict)
    batch_size: Count = 1


@dataclass(frozen=True)
class ResolvedRecipe(Recipe):
    """A recipe with every setting decided: what a plan holds."""

    images: ResolvedImages = field(default_factory=ResolvedImages)
    sensing: Component = field(default_factory=lambda: Component(""))
    noise: Component = field(default_factory=lambda: Component(""))
    designer: Component = field(default_factory=lambda: Component(""))
    training: ResolvedTraining = field(default_factory=ResolvedTraining)
    pattern: ResolvedPattern = field(default_factory=ResolvedPattern)

    @property
    def size(self) -> tuple[int, int]:
        """Rows and columns of an image."""
        return self.images.size[0], self.images.size[1]


_RESOLVED = {"images": ResolvedImages, "training": ResolvedTraining, "pattern": ResolvedPattern}


def as_resolved(recipe: Recipe) -> ResolvedRecipe:
    """The recipe as one in which everything is decided.

    What plans of earlier versions didn't write is what went without saying: a linear order, no lists of units, the
    network's own loss.

    Raises
    ------
    RecipeError
        Something is still open.
    """
    parts: dict[str, Any] = {each.name: getattr(recipe, each.name) for each in fields(Recipe)}
    unsaid: dict[str, dict[str, Any]] = {
        "pattern": {"order": Component("linear"), "forbidden": "", "required": ""},
        "training": {"loss": registry.find("reconstructors", recipe.reconstructor.kind).loss_for({})},
    }
    still_open = [name for name in ("sensing", "noise", "designer") if parts[name] is None]
    for section, resolved in _RESOLVED.items():
        given = {each.name: getattr(parts[section], each.name) for each in fields(parts[section])}
        values = unsaid.get(section, {}) | {name: value for name, value in given.items() if value is not None}
        still_open += [f"[{section}] {name}" for name in resolved.__annotations__ if name not in values]
        parts[section] = resolved(**values)
    if still_open:
        raise RecipeError(f"The recipe leaves {', '.join(still_open)} open.", "Design a plan: that decides everything.")
    return ResolvedRecipe(**parts)


def reopened(resolved: Recipe) -> Recipe:
    """The same settings as a recipe that may leave some open."""
    parts: dict[str, Any] = {each.name: getattr(resolved, each.name) for each in fields(Recipe)}
    for section, kind in (("images", ImageSettings), ("pattern", PatternSettings), ("training", TrainingSettings)):
        parts[section] = kind(**{each.name: getattr(parts[section], each.name) for each in fields(kind)})
    return Recipe(**parts)


def order_options() -> set[str]:
    """Names of the options of any order: they are written among the settings of the pattern."""
    return {name for kind in registry.kinds("orders") for name in option_names("orders", kind)}


def _singular(section: str) -> str:
    return section.removesuffix("s")


def refuse_foreign(name: str, section: str, modality: str) -> None:
    """Raise `RecipeError` if a setting is another instrument's."""
    for kind, other in registry.kinds("modalities").items():
        setting = settings_of(other.settings).get(name)
        if kind != modality and setting is not None and setting.section == section:
            raise RecipeError(
                f"The {_singular(section)} setting {name} is given, which is for {other.title}.", "Leave it out."
            )


def with_preset(recipe: Recipe, part: str, name: str) -> Recipe:
    """The recipe with a preset of its component ``part``: that component's options, and settings of the training."""
    component: Component = getattr(recipe, part)
    presets: Mapping[str, Any] = getattr(registry.find(f"{part}s", component.kind), "presets", {})
    if name not in presets:
        raise RecipeError(
            f"The {part} {component.kind} has no preset {name!r}.", f"Known: {', '.join(presets) or 'none'}."
        )
    options = {**component.options, **presets[name].options}
    changed: dict[str, Any] = {part: Component(component.kind, options)}
    return replace(recipe, **changed).with_settings("training", **presets[name].training)
