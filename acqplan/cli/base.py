"""``acqplan base MODALITY``: one network for many patterns, from which designs start."""

from __future__ import annotations

from typing import Any

import typer

from acqplan.cli.arguments import SeveralValues, examples
from acqplan.cli.design import design_plan
from acqplan.cli.design_flags import command
from acqplan.core import registry
from acqplan.plan import base_recipe as usual
from acqplan.plan.modality import Modality

app = typer.Typer(
    help="Train one network for many patterns and budgets, from which acqplan design --base starts.",
    no_args_is_help=True,
)


def _base(modality: type[Modality], ctx: typer.Context, typed: dict[str, Any], **run: Any) -> None:
    typed["budget.amount"] = typed["budget.amount"] or usual.BUDGET
    typed["reconstructor"] = typed["reconstructor"] or f"{usual.NETWORK}:{usual.PRESET}"
    typed["training.noise_range"] = typed["training.noise_range"] or list(usual.NOISE_RANGE)
    design_plan(modality, ctx, {**typed, "designer": usual.DESIGNER}, **run)


for _kind, _modality in registry.kinds("modalities").items():
    _help = f"Train a base for {_modality.title}: the flags are those of acqplan design {_kind}."
    _example = examples(f"acqplan base {_kind} --images scans/ --minutes 120 -o lab.acqbase")
    app.command(_kind, cls=SeveralValues, epilog=_example, help=_help)(
        command(_modality, _base, ("designer", "pattern_from", "adapt_from"))
    )
