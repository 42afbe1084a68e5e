"""``acqplan stress``: what a plan loses where something is otherwise than planned."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from acqplan.cli import console
from acqplan.cli.arguments import examples
from acqplan.cli.evidence import Binning, Images, JsonFile, NoiseSeed
from acqplan.cli.outputs import check_json, write_json
from acqplan.cli.plans import Overwrite, PlanFile
from acqplan.core.errors import RecipeError

if TYPE_CHECKING:
    from acqplan.workflow.stress import Stressed

EXAMPLES = examples(
    "acqplan stress brain.acqplan --images more-scans/ --html stress.html",
    "acqplan stress brain.acqplan --images t1/ --other t2=t2-scans/ --require stress.toml --json stress.json",
)


def stress(
    plan: PlanFile,
    images: Images,
    other: Annotated[
        list[str] | None,
        typer.Option("--other", metavar="NAME=PATH", help="Other contrast, anatomy or stain; may be repeated."),
    ] = None,
    require: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Limits as TOML; exit 1 if one isn't kept.")
    ] = None,
    json_file: JsonFile = None,
    html: Annotated[Path | None, typer.Option(metavar="FILE", help="Write the table as one HTML page.")] = None,
    limit: Annotated[int, typer.Option(metavar="N", min=1, help="Use N images only, evenly over all.")] = 48,
    binning: Binning = None,
    seed: NoiseSeed = 0,
    overwrite: Overwrite = False,
) -> None:
    """Measure a plan where something is otherwise than planned, beside total variation on the same readings."""
    import acqplan
    from acqplan.core.files import check_writable
    from acqplan.workflow.stress_limits import read_limits, violations

    check_json(json_file, overwrite)
    if html is not None:
        check_writable(html, overwrite=overwrite)
    limits = {} if require is None else read_limits(require)
    others = dict(_named(each) for each in other or [])
    with console.working("measuring"):
        stressed = acqplan.stress(plan, images, others=others, limit=limit, binning=binning, seed=seed)
    broken = violations(stressed, limits)
    console.warn(stressed.warnings)
    if json_file != "-":
        _show(stressed)
    write_json({**stressed.table(), "violations": broken}, json_file, overwrite)
    if html is not None:
        from acqplan.report.page import write_page
        from acqplan.report.stress_page import stress_page

        write_page(stress_page(stressed, broken), html, overwrite=overwrite)
        console.note(f"Written: {html}")
    if broken:
        console.warn(broken)
        raise typer.Exit(1)
    if limits:
        console.note("All limits are kept.")


def _named(text: str) -> tuple[str, str]:
    name, separator, path = text.partition("=")
    if not (name and separator and path):
        raise RecipeError(f"--other is {text!r}, expected a name and a place.", "Write it like --other t2=scans/t2/.")
    return name, path


def _show(stressed: Stressed) -> None:
    from acqplan.report.stress_words import COLUMNS, lesion_facts, row_cells

    console.table(["", *COLUMNS], [[row.words, *row_cells(row)] for row in stressed.rows])
    console.facts([*lesion_facts(stressed), ("Beside the plan", stressed.solver)])
