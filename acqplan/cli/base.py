"""``acqplan base MODALITY``: one network for many patterns, from which designs start."""

from __future__ import annotations

from typing import Any

import typer

from acqplan.cli.arguments import SeveralValues, examples
from acqplan.cli.design import design_plan
from acqplan.cli.design_flags import command
from acqplan.core import registry
from acqplan.plan.modality import Modality

_DESIGNER = "any-pattern"
_BUDGET = "6x"  # of the example pattern, between the ends of the range; its calibration region is every pattern's
_NETWORK = "unrolled:medium"
_NOISE_RANGE = 0.3, 4.0
"""Of the plan's noise, over a decade."""

app = typer.Typer(
    help="Train one network for many patterns and budgets, from which acqplan design --base starts.",
    no_args_is_help=True,
)


def _base(modality: type[Modality], ctx: typer.Context, typed: dict[str, Any], **run: Any) -> None:
    typed["budget.amount"] = typed["budget.amount"] or _BUDGET
    typed["reconstructor"] = typed["reconstructor"] or _NETWORK
    typed["training.noise_range"] = typed["training.noise_range"] or list(_NOISE_RANGE)
    design_plan(modality, ctx, {**typed, "designer": _DESIGNER}, **run)


for _kind, _modality in registry.kinds("modalities").items():
    _help = f"Train a base for {_modality.title}: the flags are those of acqplan design {_kind}."
    _example = examples(f"acqplan base {_kind} --images scans/ --minutes 120 -o lab.acqbase")
    app.command(_kind, cls=SeveralValues, epilog=_example, help=_help)(
        command(_modality, _base, ("designer", "pattern_from", "adapt_from"))
    )
