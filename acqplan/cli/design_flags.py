"""The flags that ``acqplan design mri`` and ``acqplan design dmd`` share, by the panels of their help."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

GOAL, PATTERN, IMAGES, TRAINING, RUN = "What to plan", "Pattern", "Images", "Training", "This run"

Images = Annotated[
    list[str] | None,
    typer.Option(
        "--images",
        metavar="PATH...",
        rich_help_panel=IMAGES,
        help="Fully sampled images: files, folders, or a sample (sample:brain, sample:cells).",
    ),
]
RecipeFile = Annotated[
    Path | None,
    typer.Option("--recipe", metavar="FILE", rich_help_panel=GOAL, help="TOML recipe; flags override what it says."),
]
Amount = Annotated[
    str | None,
    typer.Option(
        "--budget",
        metavar="AMOUNT",
        rich_help_panel=GOAL,
        help="4x, 25%, 64, '64 lines', or a time such as 2min30s. Calibration is included.",
    ),
]
Size = Annotated[
    str | None,
    typer.Option("--size", metavar="HxW", rich_help_panel=GOAL, help="Rows x columns of the image, like 128x128."),
]
Calibration = Annotated[
    int | None,
    typer.Option(
        "--calibration",
        metavar="N",
        rich_help_panel=GOAL,
        help="Width of the centre that every pattern measures: lines, or the side of a square.",
    ),
]
OrderKind = Annotated[
    str | None,
    typer.Option(
        "--order",
        metavar="KIND",
        rich_help_panel=PATTERN,
        help="In which order the pattern is acquired; see acqplan list orders (default linear).",
    ),
]
EchoTrain = Annotated[
    int | None,
    typer.Option(
        "--echo-train",
        metavar="N",
        rich_help_panel=PATTERN,
        help="Echoes after one excitation (default 1). The count is a multiple of it, and --tr the time of a train.",
    ),
]
EffectiveEcho = Annotated[
    int | None,
    typer.Option(
        "--effective-echo",
        metavar="N",
        rich_help_panel=PATTERN,
        help="With --order segmented: the echo, from 1, that covers the centre of k-space.",
    ),
]
PartialFourier = Annotated[
    str | None,
    typer.Option(
        "--partial-fourier", metavar="SHARE", rich_help_panel=PATTERN, help="Measure only this share of ky, like 6/8."
    ),
]
PartialFourierSide = Annotated[
    str | None,
    typer.Option(
        "--partial-fourier-side",
        metavar="low|high",
        rich_help_panel=PATTERN,
        help="The end of ky that partial Fourier leaves out (default low).",
    ),
]
Shutter = Annotated[
    str | None,
    typer.Option(
        "--shutter",
        metavar="none|elliptical",
        rich_help_panel=PATTERN,
        help="elliptical: never measure the corners of ky-kz (points only).",
    ),
]
OneOfConjugates = Annotated[
    bool | None,
    typer.Option(
        "--one-of-conjugates/--both-conjugates",
        rich_help_panel=PATTERN,
        help="Measure at most one of k and -k outside the calibration region.",
    ),
]
Forbidden = Annotated[
    str | None,
    typer.Option(
        "--forbidden",
        metavar="LIST|FILE",
        rich_help_panel=PATTERN,
        help="Never measure these: 0-3,60, or ky:kz positions such as 0-3:*, or a file of them (text or .npy mask).",
    ),
]
Required = Annotated[
    str | None,
    typer.Option(
        "--required", metavar="LIST|FILE", rich_help_panel=PATTERN, help="Always measure these; written alike."
    ),
]
ScanKind = Annotated[
    str | None,
    typer.Option(
        "--scan",
        metavar="2d|3d",
        rich_help_panel=PATTERN,
        help="Slices, or a volume with two phase-encoded axes (default: 2d for lines, 3d for points).",
    ),
]
DesignerKind = Annotated[
    str | None,
    typer.Option(
        "--designer",
        metavar="KIND",
        rich_help_panel=GOAL,
        help="What chooses the pattern; see acqplan list designers.",
    ),
]
ReconstructorKind = Annotated[
    str | None,
    typer.Option(
        "--reconstructor",
        metavar="KIND[:PRESET]",
        rich_help_panel=GOAL,
        help="The network; see acqplan list reconstructors. The preset paper has its paper's settings.",
    ),
]
PatternFrom = Annotated[
    Path | None,
    typer.Option(
        "--pattern-from",
        metavar="PLAN",
        rich_help_panel=GOAL,
        help="Train a new network on this plan's pattern, bit for bit; what isn't said otherwise is that plan's.",
    ),
]
LossWeights = Annotated[
    list[str] | None,
    typer.Option(
        "--loss",
        metavar="KIND[=WEIGHT]",
        rich_help_panel=TRAINING,
        help="What to minimise, several times for a sum (default: the network's own); see acqplan list losses.",
    ),
]
Minutes = Annotated[
    float | None, typer.Option("--minutes", rich_help_panel=TRAINING, help="How long to train (default 10).")
]
Steps = Annotated[
    int | None,
    typer.Option("--steps", rich_help_panel=TRAINING, help="How many steps to train instead: repeatable bit for bit."),
]
Seed = Annotated[int | None, typer.Option("--seed", rich_help_panel=TRAINING, help="Seed of everything random.")]
Device = Annotated[str | None, typer.Option("--device", rich_help_panel=TRAINING, help="cpu or cuda.")]
Threads = Annotated[int | None, typer.Option("--threads", rich_help_panel=TRAINING, help="CPU threads (0: all).")]
Slices = Annotated[
    str | None,
    typer.Option(
        "--slices",
        metavar="FIRST-LAST",
        rich_help_panel=IMAGES,
        help="Only these slices of each volume, both included, counted from 0.",
    ),
]
Binning = Annotated[
    int | None,
    typer.Option(
        "--binning", metavar="N", rich_help_panel=IMAGES, help="Average N x N pixels into one (with tiles only)."
    ),
]
HeldOut = Annotated[
    float | None,
    typer.Option("--held-out", rich_help_panel=IMAGES, help="Share of the subjects kept for the test (default 0.2)."),
]
Resume = Annotated[
    bool, typer.Option("--resume", rich_help_panel=RUN, help="Go on from OUTPUT.checkpoint of an interrupted run.")
]
Overwrite = Annotated[bool, typer.Option("--overwrite", rich_help_panel=RUN, help="Replace an existing output.")]
DryRun = Annotated[
    bool, typer.Option("--dry-run", rich_help_panel=RUN, help="Check everything and print the recipe; don't train.")
]
Output = Annotated[
    Path | None, typer.Option("-o", "--output", metavar="FILE", rich_help_panel=RUN, help="The plan file to write.")
]
