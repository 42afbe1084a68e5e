"""``acqplan demo``: the whole loop on real samples, and a page that shows it."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from acqplan.cli import console
from acqplan.cli.arguments import examples
from acqplan.cli.instrument_flags import instrument_examples
from acqplan.core import measures, registry
from acqplan.core.errors import RecipeError

if TYPE_CHECKING:
    from acqplan.learning.progress import Progress
    from acqplan.workflow.demonstration import Demonstration

EXAMPLES = examples("acqplan demo", *instrument_examples("demo"), "acqplan demo --seed 1 --no-open")
_TRAINING = 0.85  # of the time; the rest reads images, exports, evaluates


def demo(
    output: Annotated[Path, typer.Option("-o", "--output", metavar="DIR", help="The folder to write.")] = Path("demo"),
    minutes: Annotated[float, typer.Option(help="About how long it takes in all.")] = 4.0,
    seed: Annotated[int, typer.Option(min=0, help="Seed of everything random.")] = 0,
    threads: Annotated[int, typer.Option(min=0, help="CPU threads (0: all).")] = 0,
    only: Annotated[
        str | None, typer.Option(metavar="|".join(registry.kinds("modalities")), help="One modality only.")
    ] = None,
    open_page: Annotated[bool, typer.Option("--open/--no-open", help="Open the page in a browser.")] = True,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Write into a folder that holds other files.")] = False,
) -> None:
    """The whole loop on real images: design, export, simulate, reconstruct, compare; a page shows what was gained."""
    known = registry.kinds("modalities")
    if only is not None and only not in known:
        raise RecipeError(f"There is no modality {only!r}.", f"Choose one of: {', '.join(known)}.")
    if not minutes > 0:
        raise RecipeError(f"The training time is {minutes} minutes.", "Give a positive number.")
    started = time.monotonic()
    from acqplan.report.demo_page import demo_page, verdict
    from acqplan.report.page import write_page
    from acqplan.workflow.demonstration import PAGE, check_folder, setups

    check_folder(output, overwrite=overwrite)
    chosen = {modality: setup for modality, setup in setups().items() if only in (None, modality)}
    shares = sum(setup.share for setup in chosen.values())
    done = []
    for modality, setup in chosen.items():
        demonstration = _one(modality, output, _TRAINING * minutes * setup.share / shares, seed, threads)
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
    names = demonstration.learned.plan.modality.measures
    rows = [
        [each.designer, each.reconstructor, str(each.plan.budget.n_readings), *measures.cells(each.means, names)]
        for each in demonstration.contestants
    ]
    columns = ["pattern", "reconstruction", "count", *measures.columns(names)]
    console.table(columns, rows, title=f"{demonstration.setup.title}, {demonstration.n_test} held-out images", text=2)
