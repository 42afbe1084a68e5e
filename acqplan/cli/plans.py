"""``acqplan show`` and ``acqplan export``: look at a plan, and write the files that an instrument loads."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.text import Text

from acqplan.cli import arguments, console
from acqplan.cli.arguments import examples
from acqplan.cli.instrument_flags import Typed
from acqplan.core.errors import RecipeError

if TYPE_CHECKING:
    from acqplan.plan.plan import Plan
    from acqplan.workflow.cases import Cases

SHOW_EXAMPLES = examples(
    "acqplan show brain.acqplan",
    "acqplan show brain.acqplan --html brain.html --images more-scans/ --stress stress.json",
    "acqplan show brain.acqplan --recipe > brain.toml",
    "acqplan show brain.acqplan --json | jq .count",
)
_PICTURE_WIDTH = 100
_PNG_SIDE = 512  # pixels, at least about

PlanFile = Annotated[Path, typer.Argument(metavar="PLAN", help="A plan file made by acqplan design.")]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace an existing output.")]


def show(
    plan: PlanFile,
    html: Annotated[Path | None, typer.Option(metavar="FILE", help="Write the report as one HTML page.")] = None,
    images: Annotated[
        list[str] | None,
        typer.Option(
            "--images", metavar="PATH...", help="With --html: show the best, the median and the worst of these images."
        ),
    ] = None,
    stress: Annotated[
        Path | None, typer.Option(metavar="FILE", help="With --html: what acqplan stress --json wrote of this plan.")
    ] = None,
    limit: Annotated[int, typer.Option(metavar="N", min=1, help="Use N of the images only, evenly over all.")] = 48,
    png: Annotated[Path | None, typer.Option(metavar="FILE", help="Write a picture of the pattern.")] = None,
    recipe: Annotated[bool, typer.Option("--recipe", help="Print only the resolved recipe, TOML.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print only the facts, as JSON.")] = False,
    overwrite: Overwrite = False,
) -> None:
    """Show a plan: its pattern, everything that decided it, and its evidence."""
    from acqplan.core.files import check_writable
    from acqplan.plan.plan import Plan
    from acqplan.plan.recipe_text import to_toml
    from acqplan.report import facts
    from acqplan.workflow.results import json_ready

    for path in (html, png):
        if path is not None:
            check_writable(path, overwrite=overwrite)
    if html is None and (images or stress):
        raise RecipeError("--images and --stress are for the page, which --html names.", "Add --html FILE.")
    loaded = Plan.load(plan)
    if recipe:
        console.output(to_toml(loaded.recipe))
    if as_json:
        console.output(json.dumps(json_ready(facts.summary(loaded)), indent=2) + "\n")
    if not (recipe or as_json):
        _show(loaded)
    if html is not None:
        from acqplan.report.page import write_page
        from acqplan.report.plan_page import plan_page

        stressed, cases = None, None
        if stress is not None:
            from acqplan.workflow.stress import stressed_from

            stressed = stressed_from(stress, loaded)
        if images:
            cases = _cases(loaded, images, limit)
        write_page(plan_page(loaded, cases, stressed), html, overwrite=overwrite)
        console.note(f"Written: {html}")
    if png is not None:
        from acqplan.core.files import atomic_file
        from acqplan.report import figures

        with atomic_file(png, overwrite=overwrite) as temporary:
            temporary.write_bytes(figures.png(figures.enlarged(figures.pattern_colours(loaded), _PNG_SIDE)))
        console.note(f"Written: {png}")


def _cases(plan: Plan, images: list[str], limit: int) -> Cases:
    import acqplan
    from acqplan.workflow.cases import cases_of

    with console.working("measuring"):
        measured = acqplan.evaluate(plan, images, limit=limit)
        cases = cases_of(measured)
    console.warn(measured.seen)
    return cases


def _show(plan: Plan) -> None:
    from acqplan.cli.pattern_picture import picture
    from acqplan.report import facts

    out = console.stdout()
    mask = plan.pattern.mask.reshape(plan.sensing.grid_shape)
    unicode = "utf" in (getattr(sys.stdout, "encoding", None) or "").lower()
    out.print(Text(facts.title(plan)), style="bold")
    out.print(picture(mask, min(out.width, _PICTURE_WIDTH), unicode=unicode), markup=False)
    console.facts(facts.facts(plan))
    console.warn(facts.warnings(plan))
    for note in facts.notes(plan):
        console.note(note)


def export(
    plan: PlanFile,
    to: Annotated[str, typer.Option("--to", metavar="FORMAT", help="The format; see acqplan formats.")],
    output: Annotated[Path, typer.Option("-o", "--output", metavar="DIR", help="The folder to write.")],
    *,
    flags: Typed,
    option: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME=VALUE", help="Any other setting of the format; may be repeated."),
    ] = None,
    overwrite: Overwrite = False,
) -> None:
    """Write a plan's pattern as the files that an instrument loads; read back and compared before they appear."""
    import acqplan

    given = arguments.options(option) | flags.settings("options")
    with console.working(f"writing {output}"):
        made = acqplan.export(plan, to, output, options=given, overwrite=overwrite)
    for path in made.files:
        console.stdout().print(f"{path}  {_size(path.stat().st_size)}", markup=False)
    console.warn(made.remarks)
    manifest = made.manifest
    if "scan_time_s" in manifest:
        minutes, seconds = divmod(round(manifest["scan_time_s"]), 60)
        console.note(
            f"The scan takes {minutes}:{seconds:02d} min (TE {manifest['te_ms']:g} ms, TR {manifest['tr_ms']:g} ms)."
        )
    console.note(f"Exported plan {manifest['plan_id'][:12]} as {to}; read back and compared bit for bit.")


def _size(n_bytes: int) -> str:
    for unit in ("B", "KiB", "MiB"):
        if n_bytes < 1024:
            return f"{n_bytes:.4g} {unit}"
        n_bytes = n_bytes / 1024  # type: ignore[assignment]
    return f"{n_bytes:.4g} GiB"
