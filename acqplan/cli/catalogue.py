"""``acqplan formats`` and ``acqplan list``: what there is to choose from."""

from __future__ import annotations

import json
from typing import Annotated, Any

import typer

from acqplan.cli import console
from acqplan.cli.arguments import examples

LIST_EXAMPLES = examples(*(f"acqplan list {role}" for role in ("designers", "reconstructors", "losses", "orders")))

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
_TITLES = {"summary": "what it does", "cost_per_image": "an image costs", "needs_truth": "needs the truth"}


def formats(as_json: AsJson = False) -> None:
    """List the formats: what each is for, for which plans, and what it writes and reads."""
    from acqplan.workflow import catalogue

    rows = catalogue.formats()
    if as_json:
        console.output(json.dumps(rows, indent=2) + "\n")
        return
    cells = [
        [
            row["kind"],
            ", ".join(catalogue.titles(row["modalities"])),
            "yes" if row["exports_patterns"] else "no",
            " ".join(row["acquired_suffixes"]) + _only_of(row) or "none",
            row["summary"],
        ]
        for row in rows
    ]
    console.table(["format", "plans", "patterns", "acquired data", "what it is for"], cells, text=5)


def _only_of(row: dict[str, Any]) -> str:
    """`` (DMD)`` of a format that reads acquired data of fewer plans than it takes."""
    from acqplan.workflow import catalogue

    few = set(row["acquired_of"]) < set(row["modalities"])
    return f" ({', '.join(catalogue.titles(row['acquired_of']))})" if few and row["acquired_suffixes"] else ""


def list_kinds(
    role: Annotated[str, typer.Argument(metavar="designers|reconstructors|losses|orders", help="What to list.")],
    as_json: AsJson = False,
) -> None:
    """List the designers, the reconstructors, the losses or the orders that a plan can be made with."""
    from acqplan.workflow import catalogue

    rows = catalogue.kinds_of(role)
    if as_json:
        console.output(json.dumps(rows, indent=2) + "\n")
        return
    titles = [_TITLES.get(name, name.replace("_", " ")) for name in rows[0]]
    cells = [[_cell(value) for value in row.values()] for row in rows]
    console.table(titles, cells, text=len(titles))
    if role == "reconstructors":
        console.note(
            "Trained on: by default; --loss chooses otherwise, and held-back trains any of them on measured data only. "
            "Sizes and costs are for complex images; GFLOP of the convolutions for 256 x 256 pixels."
        )


def _cell(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        return ", ".join(value) or "none"
    return str(value)
