"""``acqplan design mri`` and ``acqplan design dmd``: from images and a budget to a plan."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from acqplan.cli import arguments, console
from acqplan.cli.arguments import SeveralValues, examples
from acqplan.cli.interruption import StopBetweenSteps, resume_command
from acqplan.errors import OutputError, RecipeError

if TYPE_CHECKING:
    from acqplan.plan import Plan
    from acqplan.recipe import Recipe

app = typer.Typer(help="Learn a plan from images, or train a network for a usual pattern.", no_args_is_help=True)

_GOAL, _PATTERN, _IMAGES, _TRAINING, _RUN = "What to plan", "Pattern", "Images", "Training", "This run"

Images = Annotated[
    list[str] | None,
    typer.Option(
        "--images",
        metavar="PATH...",
        rich_help_panel=_IMAGES,
        help="Fully sampled images: files, folders, or a sample (sample:brain, sample:cells).",
    ),
]
RecipeFile = Annotated[
    Path | None,
    typer.Option("--recipe", metavar="FILE", rich_help_panel=_GOAL, help="TOML recipe; flags override what it says."),
]
Amount = Annotated[
    str | None,
    typer.Option(
        "--budget",
        metavar="AMOUNT",
        rich_help_panel=_GOAL,
        help="4x, 25%, 64, '64 lines', or a time such as 2min30s. Calibration is included.",
    ),
]
Size = Annotated[
    str | None,
    typer.Option("--size", metavar="HxW", rich_help_panel=_GOAL, help="Rows x columns of the image, like 128x128."),
]
Calibration = Annotated[
    int | None,
    typer.Option(
        "--calibration",
        metavar="N",
        rich_help_panel=_GOAL,
        help="Width of the centre that every pattern measures: lines, or the side of a square.",
    ),
]
OrderKind = Annotated[
    str | None,
    typer.Option(
        "--order",
        metavar="KIND",
        rich_help_panel=_PATTERN,
        help="In which order the pattern is acquired; see acqplan list orders (default linear).",
    ),
]
EchoTrain = Annotated[
    int | None,
    typer.Option(
        "--echo-train",
        metavar="N",
        rich_help_panel=_PATTERN,
        help="Echoes after one excitation (default 1). The count is a multiple of it, and --tr the time of a train.",
    ),
]
EffectiveEcho = Annotated[
    int | None,
    typer.Option(
        "--effective-echo",
        metavar="N",
        rich_help_panel=_PATTERN,
        help="With --order segmented: the echo, from 1, that covers the centre of k-space.",
    ),
]
PartialFourier = Annotated[
    str | None,
    typer.Option(
        "--partial-fourier", metavar="SHARE", rich_help_panel=_PATTERN, help="Measure only this share of ky, like 6/8."
    ),
]
PartialFourierSide = Annotated[
    str | None,
    typer.Option(
        "--partial-fourier-side",
        metavar="low|high",
        rich_help_panel=_PATTERN,
        help="The end of ky that partial Fourier leaves out (default low).",
    ),
]
Shutter = Annotated[
    str | None,
    typer.Option(
        "--shutter",
        metavar="none|elliptical",
        rich_help_panel=_PATTERN,
        help="elliptical: never measure the corners of ky-kz (points only).",
    ),
]
OneOfConjugates = Annotated[
    bool | None,
    typer.Option(
        "--one-of-conjugates/--both-conjugates",
        rich_help_panel=_PATTERN,
        help="Measure at most one of k and -k outside the calibration region.",
    ),
]
Forbidden = Annotated[
    str | None,
    typer.Option(
        "--forbidden",
        metavar="LIST|FILE",
        rich_help_panel=_PATTERN,
        help="Never measure these: 0-3,60, or ky:kz positions such as 0-3:*, or a file of them (text or .npy mask).",
    ),
]
Required = Annotated[
    str | None,
    typer.Option(
        "--required", metavar="LIST|FILE", rich_help_panel=_PATTERN, help="Always measure these; written alike."
    ),
]
ScanKind = Annotated[
    str | None,
    typer.Option(
        "--scan",
        metavar="2d|3d",
        rich_help_panel=_PATTERN,
        help="Slices, or a volume with two phase-encoded axes (default: 2d for lines, 3d for points).",
    ),
]
DesignerKind = Annotated[
    str | None,
    typer.Option(
        "--designer",
        metavar="KIND",
        rich_help_panel=_GOAL,
        help="What chooses the pattern; see acqplan list designers.",
    ),
]
ReconstructorKind = Annotated[
    str | None,
    typer.Option(
        "--reconstructor",
        metavar="KIND[:PRESET]",
        rich_help_panel=_GOAL,
        help="The network; see acqplan list reconstructors. The preset paper has its paper's settings.",
    ),
]
PatternFrom = Annotated[
    Path | None,
    typer.Option(
        "--pattern-from",
        metavar="PLAN",
        rich_help_panel=_GOAL,
        help="Train a new network on this plan's pattern, bit for bit; what isn't said otherwise is that plan's.",
    ),
]
LossWeights = Annotated[
    list[str] | None,
    typer.Option(
        "--loss",
        metavar="KIND[=WEIGHT]",
        rich_help_panel=_TRAINING,
        help="What to minimise, several times for a sum (default: the network's own); see acqplan list losses.",
    ),
]
Minutes = Annotated[
    float | None, typer.Option("--minutes", rich_help_panel=_TRAINING, help="How long to train (default 10).")
]
Steps = Annotated[
    int | None,
    typer.Option("--steps", rich_help_panel=_TRAINING, help="How many steps to train instead: repeatable bit for bit."),
]
Seed = Annotated[int | None, typer.Option("--seed", rich_help_panel=_TRAINING, help="Seed of everything random.")]
Device = Annotated[str | None, typer.Option("--device", rich_help_panel=_TRAINING, help="cpu or cuda.")]
Threads = Annotated[int | None, typer.Option("--threads", rich_help_panel=_TRAINING, help="CPU threads (0: all).")]
Slices = Annotated[
    str | None,
    typer.Option(
        "--slices",
        metavar="FIRST-LAST",
        rich_help_panel=_IMAGES,
        help="Only these slices of each volume, both included, counted from 0.",
    ),
]
Binning = Annotated[
    int | None,
    typer.Option(
        "--binning", metavar="N", rich_help_panel=_IMAGES, help="Average N x N pixels into one (with tiles only)."
    ),
]
HeldOut = Annotated[
    float | None,
    typer.Option("--held-out", rich_help_panel=_IMAGES, help="Share of the subjects kept for the test (default 0.2)."),
]
Resume = Annotated[
    bool, typer.Option("--resume", rich_help_panel=_RUN, help="Go on from OUTPUT.checkpoint of an interrupted run.")
]
Overwrite = Annotated[bool, typer.Option("--overwrite", rich_help_panel=_RUN, help="Replace an existing output.")]
DryRun = Annotated[
    bool, typer.Option("--dry-run", rich_help_panel=_RUN, help="Check everything and print the recipe; don't train.")
]
Output = Annotated[
    Path | None, typer.Option("-o", "--output", metavar="FILE", rich_help_panel=_RUN, help="The plan file to write.")
]


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
            rich_help_panel=_GOAL,
            help="What is chosen: ky lines of a 2D scan, or ky-kz points of a 3D scan (default points).",
        ),
    ] = None,
    size: Size = None,
    calibration: Calibration = None,
    tr: Annotated[
        str | None,
        typer.Option(metavar="TIME", rich_help_panel=_GOAL, help="Repetition time, like 8ms, for budgets in time."),
    ] = None,
    coils: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            rich_help_panel=_IMAGES,
            help="Receive coils: virtual ones of raw data, simulated ones of other images (default 1; of raw data 8).",
        ),
    ] = None,
    noise: Annotated[
        float | None,
        typer.Option(
            metavar="STD",
            rich_help_panel=_GOAL,
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
    whole = _start("mri", recipe, pattern_from, designer)
    whole = _with_component(whole, "sensing", "cartesian_mri", encoding=pattern)
    whole = _with_component(whole, "noise", "complex_gaussian", std=noise)
    whole = _with_flags(
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
            rich_help_panel=_GOAL,
            help="How ±1 patterns are shown: pairs (default), two-detector, dc, or s-matrix.",
        ),
    ] = None,
    power: Annotated[
        str | None,
        typer.Option(
            metavar="POWER", rich_help_panel=_GOAL, help="Power on the sample, all mirrors on, like 2mW, for the dose."
        ),
    ] = None,
    picture_time: Annotated[
        str | None,
        typer.Option(metavar="TIME", rich_help_panel=_GOAL, help="Time of one frame, like 50us, for budgets in time."),
    ] = None,
    photons: Annotated[
        float | None,
        typer.Option(
            metavar="E",
            rich_help_panel=_GOAL,
            help="Photo-electrons of a full-scale pixel during one frame (default 1000).",
        ),
    ] = None,
    read_noise: Annotated[
        float | None,
        typer.Option(metavar="E", rich_help_panel=_GOAL, help="Read noise per frame in photo-electrons (default 2)."),
    ] = None,
    dark: Annotated[
        float | None,
        typer.Option(metavar="E", rich_help_panel=_GOAL, help="Dark counts per frame in photo-electrons (default 0)."),
    ] = None,
    detector: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            rich_help_panel=_GOAL,
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
    whole = _start("dmd", recipe, pattern_from, designer)
    whole = _with_component(whole, "sensing", "hadamard_dmd", scheme=scheme)
    frame_time_s = arguments.seconds(picture_time, "--picture-time")
    if detector is not None:
        from acqplan.traces.detector import Detector

        measured = Detector.load(detector).noise_settings(frame_time_s or whole.budget.frame_time_s)
        read_noise = measured["read_noise_e"] if read_noise is None else read_noise
        dark = measured["dark_e"] if dark is None else dark
    whole = _with_component(whole, "noise", "poisson_gaussian", photons=photons, read_noise_e=read_noise, dark_e=dark)
    whole = _with_flags(
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


def _start(modality: str, file: Path | None, plan: Path | None, designer: str | None) -> Recipe:
    """The recipe in ``file``, that of ``plan`` with its pattern given, or an empty one."""
    from acqplan.recipe import Recipe, from_toml

    if plan is not None:
        if file is not None or designer is not None:
            raise RecipeError(
                "--pattern-from is given together with --recipe or --designer.",
                'Give one of them; in a recipe, write the designer from-plan with plan = "…".',
            )
        return _recipe_of(plan, modality)
    if file is None:
        return Recipe(modality)
    try:
        text = file.read_text(encoding="utf-8")
    except OSError as error:
        raise RecipeError(f"The recipe {file} can't be read: {error.strerror}.", "Check the name.") from error
    except UnicodeDecodeError as error:
        raise RecipeError(f"The recipe {file} is no text.", "Pass a TOML file; --dry-run prints one.") from error
    recipe = from_toml(text, str(file))
    if recipe.modality != modality:
        raise RecipeError(
            f"{file} is a recipe for {recipe.modality}, the command designs for {modality}.",
            f"Use acqplan design {recipe.modality}.",
        )
    return recipe


def _recipe_of(path: Path, modality: str) -> Recipe:
    """The recipe of a plan, with its pattern instead of a designer and with the training left open."""
    from acqplan.plan import Plan
    from acqplan.recipe import Component, TrainingSettings

    plan = Plan.load(path)
    recipe = plan.recipe
    if recipe.modality != modality:
        raise RecipeError(
            f"{path} is a plan for {recipe.modality}, the command designs for {modality}.",
            f"Use acqplan design {recipe.modality}.",
        )
    given = Component("from-plan", {"plan": str(path), "digest": plan.pattern.digest})
    recipe = recipe.with_settings("pattern", order=None, effective_echo=None, interleaves=None)
    return replace(recipe, designer=given, training=TrainingSettings())


def _given(settings: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in settings.items() if value is not None}


def _with_flags(
    recipe: Recipe,
    *,
    images: dict[str, Any],
    budget: dict[str, Any],
    pattern: dict[str, Any],
    length: tuple[float | None, int | None],
    training: dict[str, Any],
    components: dict[str, str | None],
    seed: int | None,
) -> Recipe:
    """The recipe with what the flags say; None says nothing."""
    from acqplan.recipe import Component, with_preset

    recipe = recipe.with_settings("images", **_given(images))
    recipe = recipe.with_settings("budget", **_given(budget))
    recipe = recipe.with_settings("pattern", **_given(pattern))
    if length != (None, None):
        recipe = recipe.with_settings("training", minutes=length[0], steps=length[1])
    for name, text in _given(components).items():
        kind, _, preset = text.partition(":")
        if getattr(recipe, name).kind != kind:
            chosen: dict[str, Any] = {name: Component(kind)}
            recipe = replace(recipe, **chosen)
        if preset:
            recipe = with_preset(recipe, name, preset)
    recipe = recipe.with_settings("training", **_given(training))
    return recipe if seed is None else replace(recipe, seed=seed)


def _with_component(recipe: Recipe, name: str, kind: str, **options: Any) -> Recipe:
    """The recipe with some options of a component that flags stand for; others of the same kind stay."""
    from acqplan.recipe import Component

    given = _given(options)
    if not given:
        return recipe
    present = getattr(recipe, name)
    kept = present.options if present is not None and present.kind == kind else {}
    chosen: dict[str, Any] = {name: Component(kind, {**kept, **given})}
    return replace(recipe, **chosen)


def _run(
    recipe: Recipe, ctx: typer.Context, output: Path | None, *, overwrite: bool, resume: bool, dry_run: bool
) -> None:
    device = recipe.training.device
    if not re.fullmatch(r"cpu|cuda(:\d+)?", device):
        raise RecipeError(f"There is no device {device!r}.", "Use --device cpu or --device cuda.")
    if dry_run:
        _dry_run(recipe)
        return
    from acqplan.files import check_writable

    if output is None:
        raise RecipeError("No output is named.", "Add -o FILE.acqplan, or --dry-run to see the recipe only.")
    if output.is_dir():
        raise OutputError(f"{output} is a folder, expected a file name.", "Choose another name.")
    check_writable(output, overwrite=overwrite)
    checkpoint = output.with_name(f"{output.name}.checkpoint")
    if checkpoint.exists() and not resume:
        console.note(f"{checkpoint} of an interrupted training will be overwritten (--resume goes on from it).")
    from acqplan import registry
    from acqplan.cli.training_display import TrainingDisplay
    from acqplan.training import design

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
    from acqplan.exposure import scheme_advice, typical_electrons
    from acqplan.recipe import to_toml
    from acqplan.resolve import build_designer, build_reconstructor, resolve

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
