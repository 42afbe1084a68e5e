"""``acqplan curve MODALITY``: image quality against budget."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from acqplan.cli import console
from acqplan.cli.arguments import SeveralValues, examples, listed
from acqplan.cli.design_flags import command
from acqplan.cli.interruption import stopping_at_signals
from acqplan.core import registry
from acqplan.plan.modality import Modality
from acqplan.plan.settings import GOAL, IMAGES, RUN

if TYPE_CHECKING:
    from acqplan.workflow.curve import Curve

app = typer.Typer(
    help="What each budget is worth: quality of several designers and reconstructors, as table, JSON and picture.",
    no_args_is_help=True,
)
_WITHOUT = ("budget.amount", "designer", "pattern_from", "adapt_from", "training.steps")
_INTERRUPTED = 130
Text = str | None


def _flag(
    hint: Any, name: str, panel: str, text: str, metavar: Text = None, *, default: Any = None, least: int | None = None
) -> tuple[Any, Any]:
    option = typer.Option(name, metavar=metavar, rich_help_panel=panel, help=text, min=least)
    return Annotated[hint, option], default


_OWN: dict[str, tuple[Any, Any]] = {
    "budgets": _flag(Text, "--budgets", GOAL, "Budgets, with commas: 16x,8x,6x,4x,2x (default).", "AMOUNT,…"),
    "designers": _flag(
        Text, "--designers", GOAL, "What chooses the patterns (default: usual practice, and the search).", "KIND,…"
    ),
    "solvers": _flag(
        Text, "--solvers", GOAL, "Classical reconstructors beside the network (default zero-filled,tv).", "KIND,…"
    ),
    "test_images": _flag(
        list[str] | None,
        "--test-images",
        IMAGES,
        "Judge by these images, in place of the held-out ones of --images.",
        "PATH...",
    ),
    "limit": _flag(int | None, "--limit", IMAGES, "Judge by about N images, evenly over subjects (24).", "N", least=1),
    "tries": _flag(
        int | None,
        "--tries",
        RUN,
        "Patterns a search tries at each budget (default: as time allows).",
        "N",
        least=1,
    ),
    "check_steps": _flag(
        int | None, "--check-steps", RUN, "Steps of each fine-tuning; 0: none (default: as time allows).", "N", least=0
    ),
    "keep_base": _flag(Path | None, "--keep-base", RUN, "Without --base: keep the one that is trained.", "FILE"),
    "json_file": _flag(Text, "--json", RUN, "Write all numbers as JSON; - for standard output, alone.", "FILE|-"),
    "html": _flag(Path | None, "--html", RUN, "Write the picture and the tables as one HTML page.", "FILE"),
    "svg": _flag(Path | None, "--svg", RUN, "Write the picture.", "FILE"),
    "overwrite": _flag(bool, "--overwrite", RUN, "Replace existing outputs.", default=False),
}


def _curve(
    modality: type[Modality],
    ctx: typer.Context,
    typed: dict[str, Any],
    *,
    budgets: str | None,
    designers: str | None,
    solvers: str | None,
    test_images: list[str] | None,
    limit: int | None,
    tries: int | None,
    check_steps: int | None,
    keep_base: Path | None,
    json_file: str | None,
    html: Path | None,
    svg: Path | None,
    overwrite: bool,
) -> None:
    """Measure, and show what was measured; of an interrupted one, what there is."""
    import acqplan
    from acqplan.cli.design_recipe import recipe_from
    from acqplan.cli.outputs import check_json, write_json
    from acqplan.core.files import check_writable
    from acqplan.workflow.curve import BUDGETS, SOLVERS

    check_json(json_file, overwrite)
    for path in (html, svg, keep_base):
        if path is not None:
            check_writable(path, overwrite=overwrite and path is not keep_base)
    recipe = recipe_from(modality, typed)
    so_far: list[Curve] = []
    try:
        with stopping_at_signals(), console.following() as follow:
            found = acqplan.curve(
                recipe,
                listed(budgets) if budgets is not None else BUDGETS,
                designers=listed(designers),
                solvers=listed(solvers) if solvers is not None else SOLVERS,
                test_images=test_images or (),
                **({} if limit is None else {"limit": limit}),
                tries=tries,
                check_steps=check_steps,
                base_file=keep_base,
                preparing=follow,
                kept=lambda curve: so_far.__setitem__(slice(None), [curve]),
            )
    except KeyboardInterrupt:
        if not so_far:
            console.note("Stopped before the first point; nothing was written.")
            raise typer.Exit(_INTERRUPTED) from None
        found = so_far[0]
        console.note("Stopped: what follows are the points so far.")
    console.warn(found.warnings)
    if json_file != "-":
        _show(found)
    write_json(found.table(), json_file, overwrite)
    _write_pictures(found, html, svg, overwrite)
    if not found.is_complete:
        raise typer.Exit(_INTERRUPTED)


def _write_pictures(found: Curve, html: Path | None, svg: Path | None, overwrite: bool) -> None:
    if html is not None:
        from acqplan.report.curve_page import curve_page
        from acqplan.report.page import write_page

        write_page(curve_page(found), html, overwrite=overwrite)
        console.note(f"Written: {html}")
    if svg is not None:
        from acqplan.report.curve_figure import curve_figure
        from acqplan.report.page import write_page

        write_page(curve_figure(found), svg, overwrite=overwrite)
        console.note(f"Written: {svg}")


def _show(found: Curve) -> None:
    from acqplan.report.curve_page import check_columns, check_rows, columns_of, rows_of, sentences

    console.table(columns_of(found), rows_of(found), text=2)
    if found.checks:
        console.table(check_columns(found), check_rows(found))
    for sentence in (*sentences(found), *found.notes):
        console.note(sentence)


for _kind, _modality in registry.kinds("modalities").items():
    _help = f"What each budget is worth, for {_modality.title}: the images, instrument and noise as in design {_kind}."
    _example = examples(
        f"acqplan curve {_kind} --images scans/ --base lab.acqbase --budgets 16x,8x,4x,2x --html curve.html",
        f"acqplan curve {_kind} --images scans/ --minutes 30 --keep-base lab.acqbase --json curve.json",
    )
    app.command(_kind, cls=SeveralValues, epilog=_example, help=_help)(command(_modality, _curve, _WITHOUT, _OWN))
