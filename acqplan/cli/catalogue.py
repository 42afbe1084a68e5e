"""``acqplan formats`` and ``acqplan list``: what there is to choose from."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from acqplan.cli import console
from acqplan.cli.arguments import examples
from acqplan.errors import RecipeError

LIST_EXAMPLES = examples("acqplan list designers", "acqplan list reconstructors")

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
_ROLES = ("designers", "reconstructors")
_MODALITY_NAMES = {"cartesian_mri": "MRI", "hadamard_dmd": "DMD"}


def formats(as_json: AsJson = False) -> None:
    """List the formats: what each is for, for which plans, and what it writes and reads."""
    from acqplan import registry

    rows = [
        {
            "kind": kind,
            "summary": cls.summary,
            "modalities": list(cls.modalities),
            "exports_patterns": cls.exports,
            "acquired_suffixes": list(cls.acquired_suffixes),
        }
        for kind, cls in registry.kinds("instruments").items()
    ]
    if as_json:
        typer.echo(json.dumps(rows, indent=2))
        return
    cells = [
        [
            str(row["kind"]),
            ", ".join(_MODALITY_NAMES.get(name, name) for name in row["modalities"]),
            "yes" if row["exports_patterns"] else "no",
            " ".join(row["acquired_suffixes"]) or "none",
            str(row["summary"]),
        ]
        for row in rows
    ]
    console.table(["format", "plans", "patterns", "acquired data", "what it is for"], cells, text=5)


def list_kinds(
    role: Annotated[str, typer.Argument(metavar="designers|reconstructors", help="What to list.")],
    as_json: AsJson = False,
) -> None:
    """List the designers or the reconstructors that a plan can be made with."""
    from acqplan import registry

    if role not in _ROLES:
        raise RecipeError(f"There is no list of {role!r}.", f"Choose one of: {', '.join(_ROLES)}.")
    rows = [
        {"kind": kind, "summary": cls.summary, "reference": cls.reference} for kind, cls in registry.kinds(role).items()
    ]
    if as_json:
        typer.echo(json.dumps(rows, indent=2))
        return
    console.table(["kind", "what it does", "reference"], [list(row.values()) for row in rows], text=3)
