"""``acqplan reconstruct``: from acquired data to an image or a volume."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from acqplan.cli import arguments, console
from acqplan.cli.arguments import DetectorFile, ReadOptions, examples
from acqplan.cli.plans import Overwrite, PlanFile

if TYPE_CHECKING:
    from acqplan.plan.plan import Plan
    from acqplan.sensing.acquisition import Scan

EXAMPLES = examples(
    "acqplan reconstruct brain.acqplan acquired.h5 -o recon.nii.gz",
    "acqplan reconstruct brain.acqplan scan.h5 --as dicom -o slices/",
    "acqplan reconstruct brain.acqplan full.h5 --use-planned -o recon.h5",
    "acqplan reconstruct cells.acqplan trace.csv --assume-plan -o cells.tif",
    "acqplan reconstruct cells.acqplan daq.csv --detector pmt.json --option reference_frames=::65 -o cells.ome.tif",
)


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
    detector: DetectorFile = None,
    part: Annotated[
        str | None,
        typer.Option(
            metavar="magnitude|phase|complex",
            help="What to write (default: complex for .h5, .npy and .mrd of MRI, else the magnitude).",
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
    virtual_coils: Annotated[
        str | None,
        typer.Option(
            metavar="N|SHARE",
            help="MRI: compress several coils to so many virtual ones, or to those that hold a share like 99%.",
        ),
    ] = None,
    assume_plan: Annotated[
        bool,
        typer.Option("--assume-plan", help="Accept data that don't say which pattern they were acquired with."),
    ] = False,
    use_planned: Annotated[
        bool,
        typer.Option("--use-planned", help="Of data that hold more than was planned, take only what was planned."),
    ] = False,
    overwrite: Overwrite = False,
) -> None:
    """Reconstruct acquired data with the plan's network, after verifying them; one image after another."""
    from acqplan.formats.contracts import Result
    from acqplan.formats.lookup import for_acquired
    from acqplan.formats.results import check_output, default_part, write_images
    from acqplan.plan import verification
    from acqplan.plan.plan import Plan

    position = arguments.positions(knob)
    n_virtual = arguments.virtual_coils(virtual_coils)
    options = arguments.trace_options(option, detector)
    pixel_size_um = arguments.micrometres(pixel_size)
    check_output(output, as_format, part=part, overwrite=overwrite)
    loaded = Plan.load(plan)
    if position is not None:
        loaded.checked_knob(position)
    with console.working(f"reading {acquired}"):
        scan = for_acquired(acquired, acquired_format, options).read_scan(acquired, loaded)
        held = scan.acquisitions[0].order
        if use_planned:
            scan = scan.mapped(loaded.planned_only)
        findings = verification.verify(loaded, scan, assume_plan=assume_plan)
    verification.refuse_errors(findings)
    is_assumed = any(each.subject == verification.UNSTATED for each in findings)
    n_images = len(scan.acquisitions)
    check_output(output, as_format, part=part, n_images=n_images, needs_stamp=is_assumed, overwrite=overwrite)
    console.warn([f"{each.text} {each.remedy}".strip() for each in findings if each.severity == "warning"])
    name = part or default_part(output, as_format, is_complex=loaded.sensing.is_complex)
    stamp = _stamp(loaded, acquired, name, is_assumed)
    if pixel_size_um is not None:
        stamp["pixel_size_um"] = pixel_size_um
    if position is not None:
        stamp["knob"] = ",".join(map(str, position))
    if virtual_coils is not None:
        stamp["virtual_coils"] = virtual_coils
    if use_planned and held is not None:
        stamp["readings_held"], stamp["readings_used"] = len(held), len(scan.acquisitions[0].readings)
    images = _images(loaded, scan, name, assume_plan=assume_plan, knob=position, n_virtual=n_virtual)
    with console.working(f"writing {output}"):
        write_images(Result(images, stamp, scan.geometry), output, as_format, overwrite=overwrite)
    if is_assumed:
        console.warn([f"{acquired} doesn't say its pattern; this plan's was assumed, and the output says so."])
    rows, columns = loaded.sensing.image_shape
    size = f"{rows} × {columns}" if n_images == 1 else f"{n_images} images of {rows} × {columns}"
    console.note(f"Written: {output} ({name}, {size}, {images.dtype}, plan {loaded.plan_id[:12]}).")


def _stamp(plan: Plan, acquired: Path, part: str, is_assumed: bool) -> dict[str, Any]:
    import acqplan

    return {
        "software": f"acqplan {acqplan.__version__}",
        "plan_id": plan.plan_id,
        "pattern_digest": plan.pattern.digest,
        "acquired": str(acquired),
        "part": part,
        "unit": "relative" if plan.sensing.is_complex else "photo-electrons per pixel and frame",
        "plan_assumed": is_assumed,
    }


def _images(plan: Plan, scan: Scan, part: str, **options: Any) -> Any:
    """[n, rows, columns]: that part of each image; of the rest, one image is held at a time."""
    import numpy as np

    from acqplan.formats.results import part_of

    shape = (len(scan.acquisitions), *plan.sensing.image_shape)
    images = np.empty(shape, np.complex64 if part == "complex" else np.float32)
    with console.counting("reconstructing", len(images)) as progress:
        for i, image in enumerate(plan.reconstruct_scan(scan, **options)):
            images[i] = part_of(image, part)
            progress(i + 1)
    return images
