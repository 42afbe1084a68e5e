"""``acqplan simulate``: what a virtual instrument acquires of an image or of a volume."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from acqplan.cli import arguments, console
from acqplan.cli.instrument_flags import Typed
from acqplan.cli.plans import Overwrite, PlanFile
from acqplan.plan import typed


def simulate(
    plan: PlanFile,
    image: Annotated[str, typer.Argument(metavar="IMAGE", help="An image file, or sample:brain, sample:cells.")],
    output: Annotated[Path, typer.Option("-o", "--output", metavar="FILE", help="The acquired data to write.")],
    as_format: Annotated[
        str | None, typer.Option("--as", metavar="FORMAT", help="Its format (default: what the suffix says).")
    ] = None,
    slice_number: Annotated[
        int | None, typer.Option("--slice", metavar="N", help="Slice of a volume, from 0 (default: the middle one).")
    ] = None,
    slices: Annotated[
        str | None, typer.Option(metavar="all|A-B", help="Several slices of a volume, both included, as one scan.")
    ] = None,
    tile: Annotated[
        str | None, typer.Option(metavar="ROW,COLUMN", help="Tile of a large image, from 0,0 (default: the centre).")
    ] = None,
    binning: Annotated[
        int | None,
        typer.Option(metavar="N", min=1, help="Average N x N pixels into one, of tiles (default: the image's own)."),
    ] = None,
    *,
    flags: Typed,
    exported: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Play these exported files (default: export to a temporary folder)."),
    ] = None,
    truth: Annotated[
        Path | None, typer.Option(metavar="FILE.npy", help="Also write the true image at the plan's size.")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the noise.")] = 0,
    overwrite: Overwrite = False,
) -> None:
    """Acquire an image, or slices of a volume, with a virtual instrument that plays the plan's exported files."""
    import acqplan

    loaded = flags.checked(plan)
    with console.following() as progress:
        made = acqplan.simulate(
            loaded,
            image,
            output,
            as_format=as_format,
            slice_number=slice_number,
            slices="all" if slices == "all" else None if slices is None else typed.slices(slices, "--slices"),
            tile=arguments.tile(tile),
            binning=binning,
            noise=flags.settings("noise"),
            settings=flags.settings("settings"),
            exported=exported,
            truth=truth,
            seed=seed,
            overwrite=overwrite,
            progress=progress,
        )
    if truth is not None:
        console.note(f"Written: {truth} (the true image).")
    console.note(f"Acquired {made.imaged} by playing {made.played}.")
    for remark in made.remarks:
        console.note(remark)
    console.note(f"Written: {output} ({made.contents}).")
