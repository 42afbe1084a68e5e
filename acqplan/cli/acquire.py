"""``acqplan simulate``: what a virtual instrument acquires of an image or of a volume."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from acqplan.cli import arguments, console
from acqplan.cli.arguments import examples
from acqplan.cli.plans import Overwrite, PlanFile
from acqplan.plan import typed

EXAMPLES = examples(
    "acqplan simulate brain.acqplan volume.nii.gz --slice 90 --noise 0.01 -o acquired.h5",
    "acqplan simulate brain.acqplan sample:brain --exported brain-bart/ --as bart -o acquired.cfl",
    "acqplan simulate brain.acqplan volume.nii.gz --slices all -o scan.h5",
    "acqplan simulate cells.acqplan cells.tif --tile 2,3 --photons 50 -o trace.csv --truth truth.npy",
    "acqplan simulate cells.acqplan sample:cells --detector pmt.json --option lamp_drift=-0.1 -o daq.h5",
)


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
    noise: Annotated[
        float | None, typer.Option(metavar="STD", help="MRI: noise (default: the plan's); 0 for none.")
    ] = None,
    photons: Annotated[
        float | None, typer.Option(metavar="E", help="DMD: photo-electrons of a full-scale pixel in one frame.")
    ] = None,
    read_noise: Annotated[
        float | None, typer.Option(metavar="E", help="DMD: read noise per frame in photo-electrons.")
    ] = None,
    dark: Annotated[
        float | None, typer.Option(metavar="E", help="DMD: dark counts per frame in photo-electrons.")
    ] = None,
    detector: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="DMD: write what this detector (acqplan calibrate) reads, in ADU."),
    ] = None,
    option: Annotated[
        list[str] | None,
        typer.Option(
            "--option",
            metavar="NAME=VALUE",
            help="DMD: a fault or setting of the virtual microscope, like lamp_drift=-0.1; may be repeated.",
        ),
    ] = None,
    coils: Annotated[
        int | None,
        typer.Option(
            metavar="N", min=1, max=64, help="MRI: simulated receive coils (default: as many as the plan was made for)."
        ),
    ] = None,
    exported: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Play these exported files (default: export to a temporary folder)."),
    ] = None,
    truth: Annotated[
        Path | None, typer.Option(metavar="FILE.npy", help="Also write the true image at the plan's size.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Seed of the noise.")] = 0,
    overwrite: Overwrite = False,
) -> None:
    """Acquire an image, or slices of a volume, with a virtual instrument that plays the plan's exported files."""
    import acqplan

    with console.following() as progress:
        made = acqplan.simulate(
            plan,
            image,
            output,
            as_format=as_format,
            slice_number=slice_number,
            slices="all" if slices == "all" else None if slices is None else typed.slices(slices, "--slices"),
            tile=arguments.tile(tile),
            noise=_given(std=noise, photons=photons, read_noise_e=read_noise, dark_e=dark),
            settings={**_given(coils=coils, detector=detector), **arguments.options(option)},
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


def _given(**settings: Any) -> dict[str, Any]:
    """Those that were typed."""
    return {name: value for name, value in settings.items() if value is not None}
