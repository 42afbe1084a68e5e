"""``acqplan design mri`` and ``acqplan design dmd``: from images and a budget to a plan."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from acqplan.cli import arguments, console
from acqplan.cli.arguments import SeveralValues, examples
from acqplan.cli.design_flags import (
    GOAL,
    IMAGES,
    Amount,
    Binning,
    Calibration,
    DesignerKind,
    Device,
    DryRun,
    EchoTrain,
    EffectiveEcho,
    Forbidden,
    HeldOut,
    Images,
    LossWeights,
    Minutes,
    OneOfConjugates,
    OrderKind,
    Output,
    Overwrite,
    PartialFourier,
    PartialFourierSide,
    PatternFrom,
    RecipeFile,
    ReconstructorKind,
    Required,
    Resume,
    ScanKind,
    Seed,
    Shutter,
    Size,
    Slices,
    Steps,
    Threads,
)
from acqplan.cli.design_recipe import starting_recipe, with_component, with_flags
from acqplan.cli.interruption import StopBetweenSteps, resume_command
from acqplan.core.errors import OutputError, RecipeError

if TYPE_CHECKING:
    from acqplan.plan.plan import Plan
    from acqplan.plan.recipe import Recipe

app = typer.Typer(help="Learn a plan from images, or train a network for a usual pattern.", no_args_is_help=True)


@app.command(
    "mri",
    cls=SeveralValues,
    epilog=examples(
        "acqplan design mri --images sample:brain --budget 4x --pattern points --size 128x128 --minutes 3 "
        "-o brain.acqplan",
        "acqplan design mri --images scans/ --budget 8x --pattern lines --calibration 12 --designer variable-density "
        "--reconstructor unet -o vd.acqplan",
        "acqplan design mri --images scans/ --budget 2min30s --tr 8ms --dry-run",
        "acqplan design mri --images scans/ --budget 4x --pattern lines --partial-fourier 6/8 --echo-train 8 "
        "-o tse.acqplan",
    ),
)
def design_mri(
    ctx: typer.Context,
    images: Images = None,
    budget: Amount = None,
    pattern: Annotated[
        str | None,
        typer.Option(
            metavar="lines|points",
            rich_help_panel=GOAL,
            help="What is chosen: ky lines of a 2D scan, or ky-kz points of a 3D scan (default points).",
        ),
    ] = None,
    size: Size = None,
    calibration: Calibration = None,
    tr: Annotated[
        str | None,
        typer.Option(metavar="TIME", rich_help_panel=GOAL, help="Repetition time, like 8ms, for budgets in time."),
    ] = None,
    coils: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            rich_help_panel=IMAGES,
            help="Receive coils: virtual ones of raw data, simulated ones of other images (default 1; of raw data 8).",
        ),
    ] = None,
    noise: Annotated[
        float | None,
        typer.Option(
            metavar="STD",
            rich_help_panel=GOAL,
            help="Noise: standard deviation of a pixel of the full scan over the image's peak (default 0.005).",
        ),
    ] = None,
    designer: DesignerKind = None,
    reconstructor: ReconstructorKind = None,
    pattern_from: PatternFrom = None,
    scan: ScanKind = None,
    order: OrderKind = None,
    echo_train: EchoTrain = None,
    effective_echo: EffectiveEcho = None,
    partial_fourier: PartialFourier = None,
    partial_fourier_side: PartialFourierSide = None,
    shutter: Shutter = None,
    one_of_conjugates: OneOfConjugates = None,
    forbidden: Forbidden = None,
    required: Required = None,
    recipe: RecipeFile = None,
    slices: Slices = None,
    held_out: HeldOut = None,
    loss: LossWeights = None,
    minutes: Minutes = None,
    steps: Steps = None,
    seed: Seed = None,
    device: Device = None,
    threads: Threads = None,
    output: Output = None,
    overwrite: Overwrite = False,
    resume: Resume = False,
    dry_run: DryRun = False,
) -> None:
    """Plan an MRI scan: which k-space lines or points to measure, and the network for exactly those."""
    whole = starting_recipe("mri", recipe, pattern_from, designer)
    whole = with_component(whole, "sensing", "cartesian_mri", encoding=pattern)
    whole = with_component(whole, "noise", "complex_gaussian", std=noise)
    whole = with_flags(
        whole,
        images={
            "paths": images,
            "size": arguments.size(size),
            "slices": arguments.slices(slices),
            "held_out": held_out,
            "coils": coils,
        },
        budget={"amount": budget, "calibration": calibration, "frame_time_s": arguments.seconds(tr, "--tr")},
        pattern={
            "order": order,
            "scan": scan,
            "echo_train": echo_train,
            "effective_echo": effective_echo,
            "partial_fourier": arguments.share(partial_fourier, "--partial-fourier"),
            "partial_fourier_side": partial_fourier_side,
            "shutter": shutter,
            "one_of_conjugates": one_of_conjugates,
            "forbidden": forbidden,
            "required": required,
        },
        length=(minutes, steps),
        training={"device": device, "threads": threads, "loss": arguments.weights(loss)},
        components={"designer": designer, "reconstructor": reconstructor},
        seed=seed,
    )
    _run(whole, ctx, output, overwrite=overwrite, resume=resume, dry_run=dry_run)


@app.command(
    "dmd",
    cls=SeveralValues,
    epilog=examples(
        "acqplan design dmd --images sample:cells --budget 12.5% --size 64x64 --photons 200 --minutes 3 "
        "-o cells.acqplan",
        "acqplan design dmd --images tiffs/ --budget '2048 frames' --size 128x128 --binning 2 -o cells.acqplan",
        "acqplan design dmd --images tiffs/ --budget 200ms --picture-time 100us --size 64x64 --dry-run",
    ),
)
def design_dmd(
    ctx: typer.Context,
    images: Images = None,
    budget: Amount = None,
    size: Size = None,
    calibration: Calibration = None,
    scheme: Annotated[
        str | None,
        typer.Option(
            metavar="KIND",
            rich_help_panel=GOAL,
            help="How ±1 patterns are shown: pairs (default), two-detector, dc, or s-matrix.",
        ),
    ] = None,
    power: Annotated[
        str | None,
        typer.Option(
            metavar="POWER", rich_help_panel=GOAL, help="Power on the sample, all mirrors on, like 2mW, for the dose."
        ),
    ] = None,
    picture_time: Annotated[
        str | None,
        typer.Option(metavar="TIME", rich_help_panel=GOAL, help="Time of one frame, like 50us, for budgets in time."),
    ] = None,
    photons: Annotated[
        float | None,
        typer.Option(
            metavar="E",
            rich_help_panel=GOAL,
            help="Photo-electrons of a full-scale pixel during one frame (default 1000).",
        ),
    ] = None,
    read_noise: Annotated[
        float | None,
        typer.Option(metavar="E", rich_help_panel=GOAL, help="Read noise per frame in photo-electrons (default 2)."),
    ] = None,
    dark: Annotated[
        float | None,
        typer.Option(metavar="E", rich_help_panel=GOAL, help="Dark counts per frame in photo-electrons (default 0)."),
    ] = None,
    detector: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            rich_help_panel=GOAL,
            help="Detector file of acqplan calibrate: its read noise and dark counts, unless given.",
        ),
    ] = None,
    designer: DesignerKind = None,
    reconstructor: ReconstructorKind = None,
    pattern_from: PatternFrom = None,
    order: OrderKind = None,
    recipe: RecipeFile = None,
    slices: Slices = None,
    binning: Binning = None,
    held_out: HeldOut = None,
    loss: LossWeights = None,
    minutes: Minutes = None,
    steps: Steps = None,
    seed: Seed = None,
    device: Device = None,
    threads: Threads = None,
    output: Output = None,
    overwrite: Overwrite = False,
    resume: Resume = False,
    dry_run: DryRun = False,
) -> None:
    """Plan a single-pixel scan with a DMD: which Hadamard frames to show, and the network for exactly those."""
    whole = starting_recipe("dmd", recipe, pattern_from, designer)
    whole = with_component(whole, "sensing", "hadamard_dmd", scheme=scheme)
    frame_time_s = arguments.seconds(picture_time, "--picture-time")
    if detector is not None:
        from acqplan.modalities.dmd.traces.detector import Detector

        measured = Detector.load(detector).noise_settings(frame_time_s or whole.budget.frame_time_s)
        read_noise = measured["read_noise_e"] if read_noise is None else read_noise
        dark = measured["dark_e"] if dark is None else dark
    whole = with_component(whole, "noise", "poisson_gaussian", photons=photons, read_noise_e=read_noise, dark_e=dark)
    whole = with_flags(
        whole,
        images={
            "paths": images,
            "size": arguments.size(size),
            "slices": arguments.slices(slices),
            "binning": binning,
            "held_out": held_out,
        },
        budget={
            "amount": budget,
            "calibration": calibration,
            "frame_time_s": frame_time_s,
            "power_w": arguments.watts(power),
        },
        pattern={"order": order},
        length=(minutes, steps),
        training={"device": device, "threads": threads, "loss": arguments.weights(loss)},
        components={"designer": designer, "reconstructor": reconstructor},
        seed=seed,
    )
    _run(whole, ctx, output, overwrite=overwrite, resume=resume, dry_run=dry_run)


def _run(
    recipe: Recipe, ctx: typer.Context, output: Path | None, *, overwrite: bool, resume: bool, dry_run: bool
) -> None:
    device = recipe.training.device
    if not re.fullmatch(r"cpu|cuda(:\d+)?", device):
        raise RecipeError(f"There is no device {device!r}.", "Use --device cpu or --device cuda.")
    if dry_run:
        _dry_run(recipe)
        return
    from acqplan.core.files import check_writable

    if output is None:
        raise RecipeError("No output is named.", "Add -o FILE.acqplan, or --dry-run to see the recipe only.")
    if output.is_dir():
        raise OutputError(f"{output} is a folder, expected a file name.", "Choose another name.")
    check_writable(output, overwrite=overwrite)
    checkpoint = output.with_name(f"{output.name}.checkpoint")
    if checkpoint.exists() and not resume:
        console.note(f"{checkpoint} of an interrupted training will be overwritten (--resume goes on from it).")
    from acqplan.cli.training_display import TrainingDisplay
    from acqplan.core import registry
    from acqplan.learning.training import design

    learns = registry.find("designers", recipe.designer.kind).is_learned
    stopping = StopBetweenSteps(checkpoint, resume_command(ctx.obj))
    with stopping as stop, TrainingDisplay(learns_pattern=learns) as display:

        def follow(progress: Any) -> None:
            display(progress)
            stop.after_step()

        plan = design(recipe, progress=follow, checkpoint=checkpoint, resume=resume)
    plan.save(output, overwrite=overwrite)
    checkpoint.unlink(missing_ok=True)
    _report(plan, output)


def _dry_run(recipe: Recipe) -> None:
    """Print the recipe with all that is decided before training; the images are read and checked."""
    from acqplan.learning.resolve import build_designer, build_reconstructor, resolve
    from acqplan.modalities.dmd.exposure import scheme_advice, typical_electrons
    from acqplan.plan.recipe import to_toml

    with console.working("reading images"):
        problem = resolve(recipe)
        build_designer(problem)
        build_reconstructor(problem)
    console.warn(problem.images.warnings)
    electrons = typical_electrons(problem.images, problem.noise)
    advice = scheme_advice(problem.sensing, problem.noise, problem.design.budget, electrons)
    if advice is not None:
        console.note(advice.text)
    for note in problem.notes:
        console.note(note)
    typer.echo(to_toml(problem.recipe), nl=False)


def _report(plan: Plan, output: Path) -> None:
    from acqplan.report import facts

    console.warn(facts.warnings(plan))
    if "scheme" in plan.evidence:
        console.note(plan.evidence["scheme"]["why"])
    for note in facts.notes(plan):
        console.note(note)
    means = plan.evidence["held_out"]["mean"]
    rows = [
        [f"this plan ({plan.recipe.designer.kind}, {plan.reconstructor.kind})", *console.metric_cells(means["plan"])],
        ["the same pattern, zero-filled", *console.metric_cells(means["zero_filled"])],
    ]
    console.table([f"{plan.evidence['n_test']} held-out images", *console.METRIC_COLUMNS], rows)
    console.facts([("Count", facts.count(plan)), ("Plan id", plan.plan_id), ("Written", str(output))])
