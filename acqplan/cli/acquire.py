"""``acqplan simulate``: what a virtual instrument acquires of an image or of a volume."""

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
from acqplan.cli.arguments import examples
from acqplan.cli.plans import Overwrite, PlanFile
from acqplan.core.errors import InstrumentError, OutputError, RecipeError

if TYPE_CHECKING:
    import torch

    from acqplan.formats.base import Instrument
    from acqplan.plan.plan import Plan
    from acqplan.sensing.noise import NoiseModel

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
    import numpy as np

    from acqplan.cli.one_image import one_image, volume
    from acqplan.core.files import check_writable
    from acqplan.formats.base import save_scan
    from acqplan.formats.lookup import for_acquired
    from acqplan.plan.plan import Plan
    from acqplan.report.facts import noise_text
    from acqplan.sensing.acquisition import Scan
    from acqplan.workflow.virtual_instrument import acquire_virtually, acquire_volume_virtually

    place = arguments.tile(tile)
    if slices is not None and (slice_number is not None or place is not None):
        raise RecipeError("--slices was given with --slice or --tile.", "Give one of them.")
    first_and_last = None if slices == "all" else arguments.slices(slices)
    for path in (output, truth):
        if path is not None:
            check_writable(path, overwrite=overwrite)
    if truth is not None and truth.suffix.lower() != ".npy":
        raise OutputError(f"The true image can't be written as {truth}.", "Choose a name that ends in .npy.")
    loaded = Plan.load(plan)
    faults = arguments.options(option)
    if detector is not None or faults:
        if loaded.sensing.is_complex or slices is not None or as_format not in (None, "trace"):
            raise RecipeError(
                "--detector and --option are of the virtual microscope, which writes a DMD's detector trace.",
                "Leave them out, or pass a DMD plan, one image, and no other format.",
            )
        model = _noise(loaded, {}, {"photons": photons, "read_noise_e": read_noise, "dark_e": dark})
        _simulate_microscope(
            loaded, image, place, slice_number, output, exported, model, detector, faults, truth, seed, overwrite
        )
        return
    writer = for_acquired(output, as_format)
    model = _noise(loaded, {"std": noise}, {"photons": photons, "read_noise_e": read_noise, "dark_e": dark})
    maps = _coil_maps(loaded, coils, seed)
    with console.working(f"reading {image}"):
        if slices is None:
            record, where = one_image(loaded, image, slice_number, place)
            records = [record]
        else:
            records, where = volume(loaded, image, first_and_last)
    with _played(loaded, exported) as (instrument, folder):
        if slices is None:
            with console.working("playing the files"):
                one = acquire_virtually(loaded, instrument, folder, records[0], noise=model, seed=seed, coil_maps=maps)
            scan = Scan([one], one.source, one.geometry)
        else:
            with console.counting("playing the files", len(records)) as progress:
                scan = acquire_volume_virtually(
                    loaded, instrument, folder, records, noise=model, seed=seed, coil_maps=maps, progress=progress
                )
    save_scan(writer, scan, loaded, output, overwrite=overwrite)
    if truth is not None:
        images = np.stack([record.array for record in records]) * model.image_scale
        _write_truth(images, truth, overwrite)
    files = exported if exported is not None else f"the {instrument.kind} files of the plan"
    n_readings = sum(len(each.readings) for each in scan.acquisitions)
    console.note(f"Acquired {where} by playing {files}.")
    received = "" if maps is None else f" of {len(maps)} simulated coils"
    console.note(
        f"Written: {output} ({n_readings} readings{received}, format {writer.kind}, noise {noise_text(model)})."
    )


def _coil_maps(plan: Plan, n_coils: int | None, seed: int) -> torch.Tensor | None:
    """Simulated maps of so many coils, or of as many as the plan was made for; None of one."""
    from acqplan.core.seeding import torch_generator
    from acqplan.modalities.mri.coils import simulated_maps

    n = n_coils or plan.recipe.images.coils or 1
    if n > 1 and not plan.sensing.is_complex:
        raise RecipeError(f"{n} coils were given for a {plan.sensing.kind} plan.", "Leave --coils out.")
    return None if n == 1 else simulated_maps(n, plan.sensing.image_shape, torch_generator(seed, "coils"))


def _simulate_microscope(
    plan: Plan,
    image: str,
    place: tuple[int, int] | None,
    slice_number: int | None,
    output: Path,
    exported: Path | None,
    noise: NoiseModel,
    detector: Path | None,
    faults: dict[str, Any],
    truth: Path | None,
    seed: int,
    overwrite: bool,
) -> None:
    from acqplan.cli.one_image import one_image
    from acqplan.core.files import atomic_file
    from acqplan.modalities.dmd.microscope import Microscope, record_trace
    from acqplan.modalities.dmd.traces.detector import Detector
    from acqplan.modalities.dmd.traces.files import SUFFIXES, write_table
    from acqplan.plan.recipe import check_keywords

    if output.suffix.lower() not in SUFFIXES:
        raise OutputError(
            f"A detector trace can't be written as {output}.", f"Choose a name that ends in {', '.join(SUFFIXES)}."
        )
    check_keywords(Microscope, faults, "The virtual microscope")
    microscope = Microscope(**faults)
    reads = None if detector is None else Detector.load(detector)
    with console.working(f"reading {image}"):
        record, where = one_image(plan, image, slice_number, place)
    with _played(plan, exported) as (instrument, folder), console.working("playing the files"):
        recorded = record_trace(
            plan, instrument, folder, record, microscope=microscope, detector=reads, noise=noise, seed=seed
        )
    with atomic_file(output, overwrite=overwrite) as temporary:
        write_table(recorded.table, temporary)
    if truth is not None:
        _write_truth(record.array[None] * noise.image_scale, truth, overwrite)
    console.note(f"Acquired {where} by playing {exported or f'the {instrument.kind} files of the plan'}.")
    lost = [f"{name} {', '.join(map(str, getattr(recorded, name)))}" for name in ("dropped", "repeated")]
    faulty = [text for text, name in zip(lost, ("dropped", "repeated"), strict=True) if getattr(recorded, name)]
    if faulty:
        console.note(f"Frames {'; '.join(faulty)}.")
    if output.suffix.lower() in (".npy", ".mat"):
        stated = {name: value for name, value in recorded.settings.stated().items() if name != "detector"}
        options = " ".join(f"--option {name}={value}" for name, value in stated.items())
        console.note(f"The file can't say how to read it: --assume-plan --detector FILE {options}")
    console.note(f"Written: {output} ({len(next(iter(recorded.table.arrays.values())))} rows).")


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
    from acqplan.formats.base import export

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


def _write_truth(images: Any, path: Path, overwrite: bool) -> None:
    from acqplan.formats.contracts import Result
    from acqplan.formats.results import write_images

    write_images(Result(images, {}), path, overwrite=overwrite)
    console.note(f"Written: {path} (the true image).")
