"""``acqplan error-map``: calibrate how large the error of a plan's image may be."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from acqplan.cli import console
from acqplan.cli.arguments import examples
from acqplan.cli.evidence import Binning, Images, NoiseSeed
from acqplan.cli.plans import Overwrite, PlanFile

if TYPE_CHECKING:
    from acqplan.workflow.error_calibration import ErrorCalibration

EXAMPLES = examples(
    "acqplan error-map brain.acqplan --images held-out/ -o brain.errors.json",
    "acqplan reconstruct brain.acqplan scan.h5 -o recon.nii.gz --error-map error.nii.gz "
    "--error-calibration brain.errors.json",
)


def error_map(
    plan: PlanFile,
    images: Images,
    output: Annotated[Path, typer.Option("-o", "--output", metavar="FILE", help="The calibration to write, JSON.")],
    level: Annotated[
        str, typer.Option(metavar="SHARE", help="Share of the object's pixels whose error is at most the map's.")
    ] = "90%",
    per_subject: Annotated[
        int, typer.Option(metavar="N", min=1, help="Use N images of each subject only, evenly over all of its.")
    ] = 8,
    binning: Binning = None,
    seed: NoiseSeed = 0,
    overwrite: Overwrite = False,
) -> None:
    """Calibrate error maps on subjects that the plan hasn't seen; reconstruct then writes them beside its images."""
    import acqplan
    from acqplan.plan import typed

    share = typed.share(level, "--level")
    with console.working("measuring"):
        made = acqplan.error_map(
            plan, images, output, level=share, per_subject=per_subject, binning=binning, seed=seed, overwrite=overwrite
        )
    console.warn(made.warnings)
    _show(made)
    console.note(f"Written: {output}")


def _show(made: ErrorCalibration) -> None:
    rows = [[name, "" if value is None else f"{100 * value:.1f} %"] for name, value in made.subjects.items()]
    mean = made.held_out_coverage
    if mean is not None:
        rows.append(["mean over subjects", f"{100 * mean:.1f} %"])
        console.table(["subject, calibrated on the others", "within the map"], rows)
    console.facts(
        [
            ("Level", f"{100 * made.level:g} % of the object's pixels, on average over subjects like these"),
            ("Calibrated on", f"{len(made.subjects)} subjects, {made.n_images} images"),
            ("Width of the maps", f"{100 * made.width:.2g} % of the image's peak"),
        ]
    )
    if mean is None:
        console.note("With one more subject, the coverage of subjects that weren't calibrated on would be told too.")
