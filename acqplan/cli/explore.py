"""``acqplan explore``: many reconstructions of one acquisition, and the choice of a few."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from acqplan.cli import arguments, console
from acqplan.cli.arguments import ReadOptions, examples
from acqplan.cli.instrument_flags import Typed, default_suffixes
from acqplan.cli.plans import Overwrite, PlanFile
from acqplan.core.errors import RecipeError

if TYPE_CHECKING:
    from acqplan.workflow.explorer import Choice, Explorer

EXAMPLES = examples(
    "acqplan explore hyper.acqplan acquired.h5 --count 6 -o choice/",
    "acqplan explore hyper.acqplan acquired.h5 --serve",
)


def explore(
    plan: PlanFile,
    acquired: Annotated[Path, typer.Argument(metavar="ACQUIRED", help="Acquired data; see acqplan formats.")],
    output: Annotated[
        Path | None, typer.Option("-o", "--output", metavar="DIR", help="Write the chosen reconstructions here.")
    ] = None,
    count: Annotated[int, typer.Option(min=1, help="How many to choose.")] = 6,
    suffix: Annotated[
        str | None,
        typer.Option("--as", metavar="SUFFIX", help=f"Of the image files (default: {default_suffixes()})."),
    ] = None,
    serve: Annotated[bool, typer.Option("--serve", help="Open a local web page with the knobs.")] = False,
    host: Annotated[str, typer.Option(help="With --serve: the address to listen at.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=1, max=65535, help="With --serve: the port to listen at.")] = 8765,
    browser: Annotated[bool, typer.Option("--browser/--no-browser", help="With --serve: open a browser.")] = True,
    image: Annotated[
        int | None, typer.Option("--image", metavar="N", help="Which image of a scan of several, from 0.")
    ] = None,
    acquired_format: Annotated[
        str | None, typer.Option("--format", metavar="FORMAT", help="Format of ACQUIRED (default: what it contains).")
    ] = None,
    option: ReadOptions = None,
    *,
    flags: Typed,
    assume_plan: Annotated[
        bool, typer.Option("--assume-plan", help="Accept data that don't say which pattern they were acquired with.")
    ] = False,
    overwrite: Overwrite = False,
) -> None:
    """Turn the knobs of a plan's network: choose a few reconstructions that agree with the data and differ, or look."""
    if output is None and not serve:
        raise RecipeError("Nothing to do: no output is named.", "Add -o DIR, or --serve for the page.")
    import acqplan
    from acqplan.workflow.explore import checked_suffix, explorer_of

    loaded = flags.checked(plan)
    how: dict[str, Any] = {
        "noise": flags.settings("noise"),
        "image_number": image,
        "acquired_format": acquired_format,
        "options": arguments.options(option) | flags.settings("options"),
        "assume_plan": assume_plan,
    }
    if serve:
        from acqplan.cli.explore_page import serve as serve_page

        suffix = None if suffix is None else checked_suffix(suffix)
        explorer = explorer_of(loaded, acquired, **how)
        serve_page(explorer, host=host, port=port, open_browser=browser, count=count, folder=output, suffix=suffix)
        return
    assert output is not None
    with console.following() as progress:
        made = acqplan.explore(
            loaded, acquired, output, count=count, suffix=suffix, overwrite=overwrite, progress=progress, **how
        )
    _report(made.explorer, made.choice, output)


def _report(explorer: Explorer, choice: Choice, output: Path) -> None:
    rows = []
    for i, candidate in enumerate(choice.chosen):
        others = [choice.distances[i][j] for j in range(len(choice.chosen)) if j != i]
        rows.append(
            [
                str(i + 1),
                ", ".join(f"{value:.3f}" for value in candidate.knob),
                f"{candidate.chi2:.3f}",
                f"{candidate.loss:.3e}",
                f"{min(others):.4f}" if others else "",
            ]
        )
    console.table(["", "knob", "χ² / dof", "loss", "nearest other"], rows)
    console.note(f"Knobs: {'; '.join(explorer.knobs)}.")
    console.note(f"{choice.n_consistent} of {choice.n_candidates} candidates agree with the data and have a low loss.")
    console.note(f"Written: {output} (images, difference maps, choice.json).")
