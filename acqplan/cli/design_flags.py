"""The flags of ``acqplan design``, made from what the settings of a recipe and of its instrument declare.

The flags that are no settings stand here; every other one is declared beside its setting
(`acqplan.plan.settings.Flag`), or by the modality for options of its components.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any, get_args, get_origin

import typer

from acqplan.plan.modality import Modality, OptionFlag
from acqplan.plan.recipe import BudgetSettings, ImageSettings, PatternSettings, TrainingSettings
from acqplan.plan.settings import GOAL, IMAGES, PATTERN, RUN, TRAINING, Flag, Setting, settings_of

SECTIONS = {"images": ImageSettings, "budget": BudgetSettings, "pattern": PatternSettings, "training": TrainingSettings}

# What isn't a setting of a section: components, where the recipe comes from, and the seed.
OTHERS: dict[str, tuple[type, Flag]] = {
    "designer": (str, Flag("--designer", GOAL, "What chooses the pattern; see acqplan list designers", "KIND")),
    "reconstructor": (
        str,
        Flag(
            "--reconstructor",
            GOAL,
            "The network; see acqplan list reconstructors. The preset paper has its paper's settings.",
            "KIND[:PRESET]",
        ),
    ),
    "order": (
        str,
        Flag(
            "--order",
            PATTERN,
            "In which order the pattern is acquired; see acqplan list orders (default linear).",
            "KIND",
        ),
    ),
    "seed": (int, Flag("--seed", TRAINING, "Seed of everything random.")),
    "pattern_from": (
        Path,
        Flag(
            "--pattern-from",
            GOAL,
            "Train a new network on this plan's pattern, bit for bit; what isn't said otherwise is that plan's.",
            "PLAN",
        ),
    ),
    "adapt_from": (
        Path,
        Flag(
            "--from",
            GOAL,
            "Adapt this plan's network to the --images: same pattern, a short training, and what it gained.",
            "PLAN",
        ),
    ),
    "recipe": (Path, Flag("--recipe", GOAL, "TOML recipe; flags override what it says.", "FILE")),
}

OF_A_RUN: dict[str, tuple[Any, Any]] = {
    "output": (
        Annotated[
            Path | None,
            typer.Option("-o", "--output", metavar="FILE", rich_help_panel=RUN, help="The plan file to write."),
        ],
        None,
    ),
    "overwrite": (
        Annotated[bool, typer.Option("--overwrite", rich_help_panel=RUN, help="Replace an existing output.")],
        False,
    ),
    "resume": (
        Annotated[
            bool,
            typer.Option("--resume", rich_help_panel=RUN, help="Go on from OUTPUT.checkpoint of an interrupted run."),
        ],
        False,
    ),
    "keep": (
        Annotated[
            bool,
            typer.Option(
                "--keep",
                rich_help_panel=RUN,
                help="Train no further: write the plan with what OUTPUT.checkpoint of an interrupted run has learned.",
            ),
        ],
        False,
    ),
    "dry_run": (
        Annotated[
            bool,
            typer.Option("--dry-run", rich_help_panel=RUN, help="Check everything and print the recipe; don't train."),
        ],
        False,
    ),
}


OF_A_TARGET: dict[str, tuple[Any, Any]] = {
    "target": (
        Annotated[
            str | None,
            typer.Option(
                "--target",
                metavar="MEASURE VALUE",
                rich_help_panel=GOAL,
                help="In place of --budget: the smallest one that gives 'psnr 36', 'ssim 0.95', 'nrmse 0.05' …",
            ),
        ],
        None,
    ),
    "confidence": (
        Annotated[
            float | None,
            typer.Option(
                "--confidence",
                metavar="SHARE",
                rich_help_panel=GOAL,
                help="With which the mean over subjects shall reach the --target (default 0.9).",
            ),
        ],
        None,
    ),
    "test_images": (
        Annotated[
            list[str] | None,
            typer.Option(
                "--test-images",
                metavar="PATH...",
                rich_help_panel=IMAGES,
                help="Choose the --target's budget by these, in place of subjects of --images.",
            ),
        ],
        None,
    ),
}


@dataclass(frozen=True)
class Given:
    """A flag of one command: which setting or option it stands for, and how what is typed is read.

    ``key``: ``images.size``, ``sensing.encoding``, ``designer``; ``option`` is set of a component's option.
    """

    key: str
    hint: Any
    flag: Flag
    option: OptionFlag | None = None

    @property
    def parameter(self) -> str:
        """Name of the parameter of the command's function."""
        return self.key.replace(".", "_").replace("-", "_")

    def read(self, typed: Any) -> Any:
        """The value that a person typed, or None."""
        if typed is None or typed == []:
            return None
        return typed if self.flag.reads is None else self.flag.reads(typed, self.flag.name)


def flags_of(modality: type[Modality]) -> list[Given]:
    """The flags of a modality's command, in the order of its help."""
    options = {f"{each.part}.{each.option}": each for each in modality.option_flags}
    extra = {flag.name.removeprefix("--"): flag for flag in modality.extra_flags}
    own = {f"{each.section}.{name}": each for name, each in settings_of(modality.settings).items()}
    shared = {f"{section}.{name}": each for section, cls in SECTIONS.items() for name, each in settings_of(cls).items()}
    found = []
    for key in modality.flags:
        if key in options:
            found.append(Given(key, options[key].hint, options[key].flag, options[key]))
        elif key in OTHERS:
            hint, other = OTHERS[key]
            if key == "designer":
                other = replace(other, help=f"{other.help} (default {modality().usual_designer_words()}).")
            found.append(Given(key, hint, other))
        elif key in extra:
            found.append(Given(key, str, extra[key]))
        else:
            setting: Setting = own[key] if key in own else shared[key]
            flag = modality.frame_time if key == "budget.frame_time_s" else setting.flag
            assert flag is not None, f"{key} has no flag"
            if key == "budget.amount":
                flag = replace(flag, help=f"{flag.help} {modality.budget_words()}.")
            found.append(Given(key, _typed_as(setting, flag), flag))
    return found


def _typed_as(setting: Setting, flag: Flag) -> Any:
    """The type that the command line asks for: text where it is read, several texts of a list or a table."""
    plain = setting.plain_type
    if get_origin(plain) in (list, dict) and (flag.reads is None or get_origin(plain) is dict):
        return list[str]
    if flag.reads is not None or get_args(plain):
        return str
    return plain


def command(
    modality: type[Modality],
    run: Callable[..., None],
    without: Collection[str] = (),
    own: Mapping[str, tuple[Any, Any]] | None = None,
) -> Callable[..., None]:
    """The function of a modality's command: ``run(modality, context, values by key, …)`` with its flags for Typer.

    ``without``: keys whose flags it doesn't have; their values are None. ``own``: the annotations and default values of
    its other flags, by the name of the argument of ``run``; by default those of a design.
    """
    own = OF_A_RUN if own is None else own
    given = [each for each in flags_of(modality) if each.key not in without]

    def design(ctx: typer.Context, **values: Any) -> None:
        typed = {each.key: each.read(values[each.parameter]) for each in given} | dict.fromkeys(without)
        run(modality, ctx, typed, **{name: values[name] for name in own})

    parameters = [inspect.Parameter("ctx", inspect.Parameter.POSITIONAL_OR_KEYWORD, annotation=typer.Context)]
    for each in given:
        names = [each.flag.name]
        option = typer.Option(*names, metavar=each.flag.metavar, rich_help_panel=each.flag.panel, help=each.flag.help)
        parameters.append(
            inspect.Parameter(
                each.parameter,
                inspect.Parameter.POSITIONAL_OR_KEYWORD,
                default=None,
                annotation=Annotated[each.hint | None, option],
            )
        )
    for name, (annotation, default) in own.items():
        parameters.append(
            inspect.Parameter(name, inspect.Parameter.POSITIONAL_OR_KEYWORD, default=default, annotation=annotation)
        )
    design.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    design.__annotations__ = {each.name: each.annotation for each in parameters}
    design.__doc__ = modality.summary
    return design
