"""``acqplan reconstruct``: from acquired data to an image or a volume."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from acqplan.cli import arguments, console
from acqplan.cli.arguments import ReadOptions
from acqplan.cli.instrument_flags import Typed
from acqplan.cli.plans import Overwrite, PlanFile


def reconstruct(
    plan: PlanFile,
    acquired: Annotated[Path, typer.Argument(metavar="ACQUIRED", help="Acquired data; see acqplan formats.")],
    output: Annotated[
        Path,
        typer.Option(
            "-o", "--output", metavar="FILE", help="The images: .nii.gz .nii .tif .png .h5 .npy .mrd, or a folder."
        ),
    ],
    as_format: Annotated[
        str | None,
        typer.Option(
            "--as",
            metavar="FORMAT",
            help="nifti, tiff, ome-tiff, png, hdf5, numpy, ismrmrd or dicom, a folder (default: what the suffix says).",
        ),
    ] = None,
    acquired_format: Annotated[
        str | None, typer.Option("--format", metavar="FORMAT", help="Format of ACQUIRED (default: what it contains).")
    ] = None,
    option: ReadOptions = None,
    *,
    flags: Typed,
    part: Annotated[
        str | None,
        typer.Option(
            metavar="magnitude|phase|complex",
            help="What to write (default: complex for .h5, .npy and .mrd of complex images, else the magnitude).",
        ),
    ] = None,
    pixel_size: Annotated[
        str | None,
        typer.Option(metavar="SIZE", help="Side of a pixel of the image, like 0.5um; stored in TIFF, OME-TIFF, HDF5."),
    ] = None,
    knob: Annotated[
        str | None,
        typer.Option(metavar="P[,P...]", help="Knob positions from 0 to 1, of a network that has them (default: 0.5)."),
    ] = None,
    assume_plan: Annotated[
        bool,
        typer.Option("--assume-plan", help="Accept data that don't say which pattern they were acquired with."),
    ] = False,
    use_planned: Annotated[
        bool,
        typer.Option("--use-planned", help="Of data that hold more than was planned, take only what was planned."),
    ] = False,
    supplied: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Also write a map of what the network supplied beyond what was measured, and say how much it is.",
        ),
    ] = None,
    error_map: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Also write a map of how large the error may be; with --error-calibration."),
    ] = None,
    error_calibration: Annotated[
        Path | None, typer.Option(metavar="FILE", help="What acqplan error-map wrote of this plan.")
    ] = None,
    overwrite: Overwrite = False,
) -> None:
    """Reconstruct acquired data with the plan's network, after verifying them; one image after another."""
    import acqplan

    with console.following() as progress:
        made = acqplan.reconstruct(
            plan,
            acquired,
            output,
            as_format=as_format,
            acquired_format=acquired_format,
            options=arguments.options(option) | flags.settings("options"),
            part=part,
            pixel_size_um=arguments.micrometres(pixel_size),
            knob=arguments.positions(knob),
            settings=flags.settings("settings"),
            assume_plan=assume_plan,
            use_planned=use_planned,
            supplied=supplied or False,
            error_map=error_map or False,
            error_calibration=error_calibration,
            overwrite=overwrite,
            progress=progress,
        )
    console.warn(made.warnings)
    n_images, rows, columns = made.images.shape
    size = f"{rows} × {columns}" if n_images == 1 else f"{n_images} images of {rows} × {columns}"
    console.note(f"Written: {output} ({made.part}, {size}, {made.images.dtype}, plan {made.stamp['plan_id'][:12]}).")
    if made.supplied_shares is not None:
        from acqplan.report.facts import percent

        least, most = (percent(each) for each in (min(made.supplied_shares), max(made.supplied_shares)))
        share = least if least == most else f"{least} to {most}"
        console.note(f"Written: {supplied} ({share} of the image's energy isn't in what was measured).")
    if made.error_level is not None:
        console.note(
            f"Written: {error_map} (at {100 * made.error_level:g} % of the object's pixels the error is at most the "
            "map's, on average over subjects like those that it was calibrated on)."
        )
