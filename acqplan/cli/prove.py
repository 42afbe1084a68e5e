"""``acqplan test``: whether plans, their exported files and this machine are what they were."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from acqplan.cli import console
from acqplan.cli.arguments import examples

EXAMPLES = examples(
    "acqplan test brain.acqplan",
    "acqplan test brain.acqplan brain-bart/",
    "acqplan test patterns/ --json | jq '.[].passed'",
)


def prove(
    plans: Annotated[
        list[Path], typer.Argument(metavar="PLAN...", help="Plan files, exported folders, or folders that hold both.")
    ],
    add: Annotated[
        bool, typer.Option("--add", help="First write a test vector, as this machine gives it, into plans without one.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Check plans on this machine: identity, exported files, and the image of a test vector; exit 1 if one fails."""
    import acqplan
    from acqplan.workflow.prove import add_vectors
    from acqplan.workflow.results import json_ready

    with console.working("testing"):
        written = add_vectors(*plans) if add else []
        proofs = acqplan.prove(*plans)
    for path in written:
        console.note(f"Test vector added: {path}")
    if as_json:
        told = [asdict(proof) | {"passed": proof.passed} for proof in proofs]
        console.output(json.dumps(json_ready(told), indent=2) + "\n")
    else:
        rows = [
            [proof.name if i == 0 else "", check.subject, check.result, f"{check.text} {check.remedy}".strip()]
            for proof in proofs
            for i, check in enumerate(proof.checks)
        ]
        console.table(["plan", "what", "result", "found"], rows, text=4)
    if not all(proof.passed for proof in proofs):
        raise typer.Exit(1)
