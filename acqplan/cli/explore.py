"""``acqplan explore``: many reconstructions of one acquisition, and the choice of a few."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from acqplan.cli import arguments, console
from acqplan.cli.arguments import DetectorFile, ReadOptions, examples
from acqplan.cli.plans import Overwrite, PlanFile
from acqplan.core.errors import AcquisitionError, RecipeError

if TYPE_CHECKING:
    from acqplan.plan.plan import Plan
    from acqplan.sensing.acquisition import Acquisition, Scan
    from acqplan.sensing.noise import NoiseModel
    from acqplan.workflow.exploration import Choice, Explorer

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
        typer.Option("--as", metavar="SUFFIX", help="Of the image files (default: .nii.gz for MRI, .tif for a DMD)."),
    ] = None,
    noise: Annotated[
        float | None,
        typer.Option(metavar="STD", help="MRI: noise that the misfit is measured against (default: the plan's)."),
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
    detector: DetectorFile = None,
    assume_plan: Annotated[
        bool, typer.Option("--assume-plan", help="Accept data that don't say which pattern they were acquired with.")
    ] = False,
    overwrite: Overwrite = False,
) -> None:
    """Turn the knobs of a plan's network: choose a few reconstructions that agree with the data and differ, or look."""
    if output is None and not serve:
        raise RecipeError("Nothing to do: no output is named.", "Add -o DIR, or --serve for the page.")
    from acqplan.cli.choice import Kept, write_choice
    from acqplan.core.files import check_writable
    from acqplan.formats.lookup import for_acquired
    from acqplan.formats.results import suffix_of
    from acqplan.plan.plan import Plan
    from acqplan.workflow.exploration import Explorer, choose

    if suffix is not None:
        suffix = suffix_of(Path(f"image{suffix if suffix.startswith('.') else '.' + suffix}"))
    if output is not None and not serve:
        check_writable(output, overwrite=overwrite)
    loaded = Plan.load(plan)
    instrument = for_acquired(acquired, acquired_format, arguments.trace_options(option, detector))
    acquisition = _chosen(instrument.read_scan(acquired, loaded), image)
    explorer = Explorer(loaded, acquisition, noise=_noise(loaded, noise), assume_plan=assume_plan)
    if serve:
        from acqplan.cli.explore_page import serve as serve_page

        serve_page(explorer, host=host, port=port, open_browser=browser, count=count, folder=output, suffix=suffix)
        return
    assert output is not None
    with console.working("turning the knobs"):
        choice = choose(explorer.candidates(), count)
    kept = [Kept(candidate) for candidate in choice.chosen]
    write_choice(output, explorer, kept, suffix=suffix, overwrite=overwrite)
    _report(explorer, choice, output)


def _chosen(scan: Scan, number: int | None) -> Acquisition:
    """Image ``number`` of a scan; without a number, the only one."""
    n = len(scan.acquisitions)
    if number is None and n > 1:
        raise AcquisitionError(f"{scan.source} holds {n} images.", f"Choose one with --image, from 0 to {n - 1}.")
    if number is not None and not 0 <= number < n:
        raise AcquisitionError(
            f"{scan.source} holds {n} image{'s' * (n > 1)}; there is no image {number}.", f"Count from 0 to {n - 1}."
        )
    return scan.acquisitions[number or 0]


def _noise(plan: Plan, std: float | None) -> NoiseModel | None:
    if std is None:
        return None
    if not plan.sensing.is_complex:
        raise RecipeError("--noise is for MRI plans.", "Leave it out: a DMD plan's noise is counted in photons.")
    model: NoiseModel = replace(plan.noise, std=std)  # type: ignore[type-var]
    return model


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
