"""``acqplan verify``: how what was acquired differs from the plan."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from acqplan.cli import arguments, console
from acqplan.cli.arguments import ReadOptions
from acqplan.cli.instrument_flags import Typed


def verify(
    plan: Annotated[Path, typer.Argument(metavar="PLAN", help="A plan file.")],
    acquired: Annotated[Path, typer.Argument(metavar="ACQUIRED", help="Acquired data; see acqplan formats.")],
    acquired_format: Annotated[
        str | None, typer.Option("--format", metavar="FORMAT", help="Format of ACQUIRED (default: what it contains).")
    ] = None,
    option: ReadOptions = None,
    *,
    flags: Typed,
    assume_plan: Annotated[
        bool, typer.Option("--assume-plan", help="Data that don't say their pattern are this plan's.")
    ] = False,
    use_planned: Annotated[
        bool,
        typer.Option("--use-planned", help="Look only at what was planned, of data that hold more."),
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """List how acquired data differ from the plan; exit 2 if no reconstruction can be right."""
    import acqplan

    findings = acqplan.verify(
        plan,
        acquired,
        acquired_format=acquired_format,
        options=arguments.options(option) | flags.settings("options"),
        assume_plan=assume_plan,
        use_planned=use_planned,
    )
    if as_json:
        console.output(json.dumps([asdict(finding) for finding in findings], indent=2) + "\n")
    elif findings:
        rows = [[finding.severity, finding.subject, f"{finding.text} {finding.remedy}".strip()] for finding in findings]
        console.table(["severity", "what", "difference"], rows, text=3)
    else:
        console.stdout().print(f"{acquired} is what {plan} planned.", markup=False, highlight=False)
    if any(finding.severity == "error" for finding in findings):
        raise typer.Exit(2)
