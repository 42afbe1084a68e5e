"""``acqplan demo``: the whole loop on real samples, and a page that shows it."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from acqplan.cli import console
from acqplan.cli.arguments import examples
from acqplan.core.errors import RecipeError

if TYPE_CHECKING:
    from acqplan.learning.training import Progress
    from acqplan.workflow.demonstration import Demonstration

EXAMPLES = examples(
    "acqplan demo", "acqplan demo --only mri --minutes 2 -o demo-mri", "acqplan demo --seed 1 --no-open"
)
_TRAINING = 0.85  # of the time; the rest reads images, exports, evaluates
_MODALITIES = ("mri", "dmd")


def demo(
    output: Annotated[Path, typer.Option("-o", "--output", metavar="DIR", help="The folder to write.")] = Path("demo"),
    minutes: Annotated[float, typer.Option(help="About how long it takes in all.")] = 4.0,
    seed: Annotated[int, typer.Option(help="Seed of everything random.")] = 0,
    threads: Annotated[int, typer.Option(help="CPU threads (0: all).")] = 0,
    only: Annotated[str | None, typer.Option(metavar="mri|dmd", help="One modality only.")] = None,
    open_page: Annotated[bool, typer.Option("--open/--no-open", help="Open the page in a browser.")] = True,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Write into a folder that holds other files.")] = False,
) -> None:
    """The whole loop on real images: design, export, simulate, reconstruct, compare; a page shows what was gained."""
    if only is not None and only not in _MODALITIES:
        raise RecipeError(f"There is no modality {only!r}.", f"Choose one of: {', '.join(_MODALITIES)}.")
    if not minutes > 0:
        raise RecipeError(f"The training time is {minutes} minutes.", "Give a positive number.")
    started = time.monotonic()
    from acqplan.report.demo_page import demo_page, verdict
    from acqplan.report.page import write_page
    from acqplan.workflow.demonstration import PAGE, SETUPS, check_folder

    check_folder(output, overwrite=overwrite)
    chosen = _MODALITIES if only is None else (only,)
    shares = sum(SETUPS[modality].share for modality in chosen)
    done = []
    for modality in chosen:
        demonstration = _one(modality, output, _TRAINING * minutes * SETUPS[modality].share / shares, seed, threads)
        done.append(demonstration)
        _show(demonstration)
        console.stdout().print(verdict(demonstration), markup=False)
    page = output / PAGE
    write_page(demo_page(done), page, overwrite=True)
    console.note(f"Done in {(time.monotonic() - started) / 60:.1f} minutes. Open {page}")
    if open_page and console.stdout().is_terminal:
        typer.launch(str(page))


def _one(modality: str, folder: Path, minutes: float, seed: int, threads: int) -> Demonstration:
    from acqplan.cli.training_display import TrainingDisplay
    from acqplan.workflow.demonstration import demonstrate

    stage = ""
    with TrainingDisplay(modality) as display:

        def follow(what: str, progress: Progress | None) -> None:
            nonlocal stage
            if what != stage:
                stage = what
                display.begin(f"{modality}, {what}", learns_pattern=what.startswith("learned"))
            if progress is not None:
                display(progress)

        return demonstrate(modality, folder, minutes, seed=seed, threads=threads, listener=follow)


def _show(demonstration: Demonstration) -> None:
    rows = [
        [each.designer, each.reconstructor, str(each.plan.budget.n_readings), *console.metric_cells(each.means)]
        for each in demonstration.contestants
    ]
    columns = ["pattern", "reconstruction", "count", *console.METRIC_COLUMNS]
    console.table(columns, rows, title=f"{demonstration.setup.title}, {demonstration.n_test} held-out images", text=2)
