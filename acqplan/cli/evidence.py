"""``acqplan evaluate`` and ``acqplan compare``: what plans are worth on given images."""

from __future__ import annotations

from glob import glob
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from acqplan.cli import console
from acqplan.cli.arguments import examples
from acqplan.cli.outputs import check_json, write_json
from acqplan.cli.plans import Overwrite, PlanFile
from acqplan.core import measures
from acqplan.core.errors import RecipeError

if TYPE_CHECKING:
    from acqplan.core.statistics import Effect
    from acqplan.workflow.compare import Comparison
    from acqplan.workflow.error_calibration import MapCoverage
    from acqplan.workflow.evaluate import Measured

EVALUATE_EXAMPLES = examples(
    "acqplan evaluate brain.acqplan --images more-scans/ --json result.json",
    "acqplan evaluate brain.acqplan --images a.nii.gz b.nii.gz --limit 50 --json - | jq .mean",
)
COMPARE_EXAMPLES = examples(
    "acqplan compare brain.acqplan vd.acqplan --images more-scans/ --json result.json",
    "acqplan compare learned.acqplan uniform.acqplan poisson.acqplan --images more-scans/ --html compared.html",
    "acqplan compare vd.acqplan --group 'swaps=runs/swaps-*.acqplan' --images more-scans/ --noise-seeds 3",
)

Images = Annotated[
    list[str],
    typer.Option("--images", metavar="PATH...", help="Fully sampled images: files, folders, or a sample."),
]
JsonFile = Annotated[
    str | None,
    typer.Option("--json", metavar="FILE|-", help="Write all numbers as JSON; - for standard output, alone."),
]
Limit = Annotated[int | None, typer.Option(metavar="N", min=1, help="Use N images only, evenly over all.")]
Binning = Annotated[
    int | None,
    typer.Option(metavar="N", min=1, help="Average N x N pixels into one, of tiles (default: the images' own)."),
]
NoiseSeed = Annotated[int, typer.Option(min=0, help="Seed of the noise.")]


def evaluate(
    plan: PlanFile,
    images: Images,
    json_file: JsonFile = None,
    limit: Limit = None,
    binning: Binning = None,
    seed: NoiseSeed = 0,
    error_calibration: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Also tell what error maps hold here; what acqplan error-map wrote."),
    ] = None,
    overwrite: Overwrite = False,
) -> None:
    """Measure PSNR, SSIM, NRMSE and resolution of a plan on images that it hasn't seen."""
    import acqplan
    from acqplan.report import facts

    check_json(json_file, overwrite)
    with console.working("measuring"):
        measured = acqplan.evaluate(
            plan, images, limit=limit, binning=binning, seed=seed, error_calibration=error_calibration
        )
    console.warn(measured.warnings)
    if json_file != "-":
        means, names = measured.evaluation.means, measured.plan.modality.measures
        rows = [
            [label, *measures.cells(means[name], names)]
            for name, label in (("plan", "this plan"), ("zero_filled", "zero-filled"))
        ]
        console.table([f"mean of {len(measured.records)} images", *measures.columns(names)], rows)
        _per_subject(measured)
        if measured.error_map is not None:
            _show_coverage(measured.error_map)
        console.facts([("Count", facts.count(measured.plan)), ("Data range", "largest magnitude of each image")])
    write_json(measured.table(), json_file, overwrite)


def compare(
    plans: Annotated[list[Path] | None, typer.Argument(metavar="PLAN...", help="Plan files, two or more.")] = None,
    *,
    images: Images,
    group: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=FILES",
            help="Plans of one kind from several seeds as one, like 'mine=runs/mine-*.acqplan' or mine=a,b; may be "
            "repeated.",
        ),
    ] = None,
    json_file: JsonFile = None,
    html: Annotated[Path | None, typer.Option(metavar="FILE", help="Write the report as one HTML page.")] = None,
    limit: Limit = None,
    binning: Binning = None,
    seed: NoiseSeed = 0,
    noise_seeds: Annotated[int, typer.Option(metavar="N", min=1, help="Draws of the noise for each image.")] = 1,
    overwrite: Overwrite = False,
) -> None:
    """Compare plans on the same images with the same noise, and say what is shown: better, worse, or no difference.

    Differences are to the first plan (or, without any, the first group).
    """
    import acqplan
    from acqplan.core.files import check_writable

    check_json(json_file, overwrite)
    if html is not None:
        check_writable(html, overwrite=overwrite)
    with console.working("measuring"):
        comparison = acqplan.compare(
            plans_and_groups(plans or [], group or []),
            images,
            limit=limit,
            binning=binning,
            seed=seed,
            noise_seeds=noise_seeds,
        )
    console.warn([*comparison.flags, *comparison.warnings])
    if json_file != "-":
        _show(comparison)
    write_json(comparison.table(), json_file, overwrite)
    if html is not None:
        from acqplan.report.comparison_page import comparison_page
        from acqplan.report.page import write_page

        write_page(comparison_page(comparison), html, overwrite=overwrite)
        console.note(f"Written: {html}")


def plans_and_groups(plans: list[Path], groups: list[str]) -> list[Path] | dict[str, Path | list[Path]]:
    """The plans, and with them the groups by name; a group's files with ``*``, or several with commas between."""
    if not groups:
        return plans
    whole = len({path.name for path in plans}) < len(plans)
    named: dict[str, Path | list[Path]] = {str(path) if whole else path.name: path for path in plans}
    for text in groups:
        name, separator, files = text.partition("=")
        if not separator or not name.strip() or not files.strip():
            raise RecipeError(f"The group is {text!r}, expected NAME=FILES.", "Write it like 'mine=mine-*.acqplan'.")
        if name.strip() in named:
            raise RecipeError(f"{name.strip()} is named twice.", "Give each group a name of its own.")
        found = [path for part in files.split(",") for path in _matching(part.strip())]
        named[name.strip()] = list(dict.fromkeys(found))
    return named


def _matching(part: str) -> list[Path]:
    if not any(sign in part for sign in "*?["):
        return [Path(part)]
    found = sorted(map(Path, glob(part)))
    if not found:
        raise RecipeError(f"No file matches {part!r}.", "Check the folder and the name.")
    return found


def _per_subject(measured: Measured) -> None:
    subjects = measured.evaluation.per_subject
    if len(subjects) < 2:
        return
    names = measured.plan.modality.measures
    rows = [[subject, *measures.cells(means["plan"], names)] for subject, means in subjects.items()]
    console.table(["this plan, by subject", *measures.columns(names)], rows)


def _show_coverage(found: MapCoverage) -> None:
    head = f"within error maps of {100 * found.level:g} %"
    rows = [[subject, f"{100 * value:.1f} %"] for subject, value in found.subjects.items()]
    console.table([head, "pixels"], [*rows, ["mean over subjects", f"{100 * found.mean:.1f} %"]])
    console.facts([("Width of the maps", f"{100 * found.width:.2g} % of the image's peak")])


def _show(comparison: Comparison) -> None:
    first = comparison.measured[0]
    names = first.plan.modality.measures
    rows = []
    for measured, difference in zip(comparison.measured, [None, *comparison.differences], strict=True):
        means = measured.evaluation.means
        recipe, budget = measured.plan.recipe, measured.plan.budget
        rows.append(
            [
                measured.name if not measured.runs else f"{measured.name} ({len(measured.runs)} plans)",
                recipe.designer.kind,
                measured.plan.reconstructor.kind,
                f"{budget.n_readings}",
                *measures.cells(means["plan"], names),
                f"{means['zero_filled']['psnr_db']:.2f}",
                *_gain_cells(None if difference is None else difference.psnr),
            ]
        )
    heads = ["plan", "designer", "network", "count", *measures.columns(names), "zero-filled"]
    console.table([*heads, "Δ PSNR", "95 % interval"], rows, text=3)
    _show_parts(comparison)
    console.note(f"{len(first.records)} images; Δ to {first.name}, paired, each subject counting once.")
    for difference in comparison.differences:
        console.stdout().print(difference.sentence, markup=False)


def _show_parts(comparison: Comparison) -> None:
    """PSNR of each subject and its difference to the first, and the differences for each kind of image."""
    subjects = comparison.measured[0].evaluation.per_subject
    if len(subjects) > 1:
        by_plan = [measured.evaluation.per_subject for measured in comparison.measured]
        columns = [measured.name for measured in comparison.measured]
        rows = []
        for subject in subjects:
            values = [f"{table[subject]['plan']['psnr_db']:.2f}" for table in by_plan]
            gains = [f"{each.subjects[subject]['psnr_db']:+.2f}" for each in comparison.differences]
            rows.append([subject, *values, *gains])
        heads = [f"Δ {difference.name}" for difference in comparison.differences]
        console.table(["PSNR / dB by subject", *columns, *heads], rows)
    rows = [
        [kind, difference.name, str(effects["psnr_db"].n_subjects), *_gain_cells(effects["psnr_db"])]
        for difference in comparison.differences
        for kind, effects in difference.kinds.items()
    ]
    if rows:
        console.table(["by kind of image", "plan", "subjects", "Δ PSNR", "95 % interval"], rows, text=2)


def _gain_cells(psnr: Effect | None) -> list[str]:
    """Difference and interval, as far as there are any."""
    from acqplan.core import verdict

    if psnr is None:
        return ["", ""]
    interval = "" if psnr.interval is None else verdict.interval_text(psnr.interval, "psnr_db")
    return [measures.MEASURES["psnr_db"].difference(psnr.mean), interval]
