"""``acqplan simulate`` and ``acqplan reconstruct``: acquired data in and out."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from acqplan.cli import arguments, console
from acqplan.cli.arguments import DetectorFile, ReadOptions, examples
from acqplan.cli.plans import Overwrite, PlanFile
from acqplan.errors import InstrumentError, OutputError, RecipeError

if TYPE_CHECKING:
    from acqplan.instruments.base import Instrument
    from acqplan.noise.base import NoiseModel
    from acqplan.plan import Plan

SIMULATE_EXAMPLES = examples(
    "acqplan simulate brain.acqplan volume.nii.gz --slice 90 --noise 0.01 -o acquired.h5",
    "acqplan simulate brain.acqplan sample:brain --exported brain-bart/ --as bart -o acquired.cfl",
    "acqplan simulate cells.acqplan cells.tif --tile 2,3 --photons 50 -o trace.csv --truth truth.npy",
)
RECONSTRUCT_EXAMPLES = examples(
    "acqplan reconstruct brain.acqplan acquired.h5 -o recon.nii.gz",
    "acqplan reconstruct brain.acqplan kspace.cfl -o recon.h5",
    "acqplan reconstruct cells.acqplan trace.csv --assume-plan -o cells.tif",
    "acqplan reconstruct cells.acqplan daq.csv --detector pmt.json --option reference_frames=::65 -o cells.ome.tif",
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
    """Acquire an image with a virtual instrument that plays the plan's exported files, with noise."""
    from acqplan.cli.one_image import one_image
    from acqplan.files import check_writable
    from acqplan.instruments.base import save_acquired
    from acqplan.instruments.lookup import for_acquired
    from acqplan.plan import Plan
    from acqplan.report.facts import noise_text
    from acqplan.virtual_instrument import acquire_virtually

    place = arguments.tile(tile)
    for path in (output, truth):
        if path is not None:
            check_writable(path, overwrite=overwrite)
    if truth is not None and truth.suffix.lower() != ".npy":
        raise OutputError(f"The true image can't be written as {truth}.", "Choose a name that ends in .npy.")
    loaded = Plan.load(plan)
    writer = for_acquired(output, as_format)
    model = _noise(loaded, {"std": noise}, {"photons": photons, "read_noise_e": read_noise, "dark_e": dark})
    with console.working(f"reading {image}"):
        record, where = one_image(loaded, image, slice_number, place)
    with console.working("playing the files"), _played(loaded, exported) as (instrument, folder):
        acquisition = acquire_virtually(loaded, instrument, folder, record, noise=model, seed=seed)
    save_acquired(writer, acquisition, loaded, output, overwrite=overwrite)
    if truth is not None:
        _write_truth(record.array * model.image_scale, truth, overwrite)
    files = exported if exported is not None else f"the {instrument.kind} files of the plan"
    console.note(f"Acquired {where} by playing {files}.")
    console.note(
        f"Written: {output} ({len(acquisition.readings)} readings, format {writer.kind}, noise {noise_text(model)})."
    )


def _noise(plan: Plan, mri: dict[str, float | None], dmd: dict[str, float | None]) -> NoiseModel:
    """The plan's noise with what the flags change; flags of the other modality are an error."""
    ours, others = (mri, dmd) if plan.sensing.is_complex else (dmd, mri)
    if any(value is not None for value in others.values()):
        raise RecipeError(
            f"Noise settings of another modality were given for a {plan.sensing.kind} plan.",
            "Use --noise for MRI; --photons, --read-noise and --dark for the DMD.",
        )
    changed: dict[str, Any] = {name: value for name, value in ours.items() if value is not None}
    try:
        model: NoiseModel = replace(plan.noise, **changed)  # type: ignore[type-var]
    except TypeError as error:
        raise RecipeError(
            f"The plan's noise {plan.noise.kind} has no setting {', '.join(changed)}.", "Leave the flag out."
        ) from error
    return model


@contextmanager
def _played(plan: Plan, exported: Path | None) -> Iterator[tuple[Instrument, Path]]:
    """The files to play: those in ``exported``, or fresh ones in a temporary folder."""
    from acqplan.instruments.base import export

    if exported is not None:
        yield _instrument_of(exported), exported
        return
    instrument = _default_instrument(plan)
    with tempfile.TemporaryDirectory(prefix="acqplan-") as parent:
        folder = Path(parent) / "exported"
        export(plan, instrument, folder)
        yield instrument, folder


def _default_instrument(plan: Plan) -> Instrument:
    """BART's files for MRI; for a DMD the frames, of a mirror array just as large as the pattern."""
    from acqplan.cli.plans import make_instrument

    if plan.sensing.is_complex:
        return make_instrument("bart", {})
    rows, columns = plan.sensing.image_shape
    return make_instrument("dmd-tiff", {"device": f"{columns}x{rows}", "scale": 1})


def _instrument_of(folder: Path) -> Instrument:
    """The format that an exported folder's manifest names."""
    from acqplan.cli.plans import make_instrument

    try:
        kind = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))["format"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InstrumentError(f"{folder} is no exported folder.", "Pass a folder made by acqplan export.") from error
    return make_instrument(str(kind), {})


def _write_truth(image: Any, path: Path, overwrite: bool) -> None:
    from acqplan.cli.output import write_image

    write_image(image, path, {}, None, overwrite=overwrite)
    console.note(f"Written: {path} (the true image).")


def reconstruct(
    plan: PlanFile,
    acquired: Annotated[Path, typer.Argument(metavar="ACQUIRED", help="Acquired data; see acqplan formats.")],
    output: Annotated[
        Path,
        typer.Option("-o", "--output", metavar="FILE", help="The image: .nii.gz .nii .tif .png .h5 or .npy."),
    ],
    acquired_format: Annotated[
        str | None, typer.Option("--format", metavar="FORMAT", help="Format of ACQUIRED (default: what it contains).")
    ] = None,
    option: ReadOptions = None,
    detector: DetectorFile = None,
    part: Annotated[
        str | None,
        typer.Option(
            metavar="magnitude|phase|complex",
            help="What to write (default: complex for .h5 and .npy of MRI, else the magnitude).",
        ),
    ] = None,
    knob: Annotated[
        str | None,
        typer.Option(metavar="P[,P...]", help="Knob positions from 0 to 1, of a network that has them (default: 0.5)."),
    ] = None,
    assume_plan: Annotated[
        bool,
        typer.Option("--assume-plan", help="Accept data that don't say which pattern they were acquired with."),
    ] = False,
    overwrite: Overwrite = False,
) -> None:
    """Reconstruct acquired data with the plan's network; data of another pattern are refused."""
    import acqplan
    from acqplan.cli import output as outputs
    from acqplan.files import check_writable
    from acqplan.instruments.lookup import for_acquired
    from acqplan.plan import Plan

    position = arguments.positions(knob)
    options = arguments.trace_options(option, detector)
    outputs.check_part(output, part)
    check_writable(output, overwrite=overwrite)
    loaded = Plan.load(plan)
    if position is not None:
        loaded.checked_knob(position)
    acquisition = for_acquired(acquired, acquired_format, options).read_acquired(acquired, loaded)
    is_stated = acquisition.states_pattern
    if assume_plan and not is_stated:
        outputs.check_stampable(output)
    image = loaded.reconstruct(acquisition, assume_plan=assume_plan, knob=position)
    name, array = outputs.part_of(image, part, output)
    stamp = {
        "software": f"acqplan {acqplan.__version__}",
        "plan_id": loaded.plan_id,
        "pattern_digest": loaded.pattern.digest,
        "acquired": str(acquired),
        "part": name,
        "unit": "relative" if loaded.sensing.is_complex else "photo-electrons per pixel and frame",
        "plan_assumed": not is_stated,
    }
    if position is not None:
        stamp["knob"] = ",".join(map(str, position))
    outputs.write_image(array, output, stamp, acquisition.geometry, overwrite=overwrite)
    if not is_stated:
        console.warn([f"{acquired} doesn't say its pattern; this plan's was assumed, and the output says so."])
    rows, columns = array.shape
    console.note(f"Written: {output} ({name}, {rows} × {columns}, {array.dtype}, plan {loaded.plan_id[:12]}).")
