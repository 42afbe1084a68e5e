"""``acqplan evaluate`` and ``acqplan compare``: what plans are worth on given images."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from acqplan.cli import console
from acqplan.cli.arguments import examples
from acqplan.cli.plans import Overwrite, PlanFile
from acqplan.core import measures

if TYPE_CHECKING:
    from acqplan.workflow.compare import Comparison
    from acqplan.workflow.evaluate import Measured

EVALUATE_EXAMPLES = examples(
    "acqplan evaluate brain.acqplan --images more-scans/ --json result.json",
    "acqplan evaluate brain.acqplan --images a.nii.gz b.nii.gz --limit 50 --json - | jq .mean",
)
COMPARE_EXAMPLES = examples(
    "acqplan compare brain.acqplan vd.acqplan --images more-scans/ --json result.json",
    "acqplan compare learned.acqplan uniform.acqplan poisson.acqplan --images more-scans/ --html compared.html",
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
    overwrite: Overwrite = False,
) -> None:
    """Measure PSNR, SSIM, NRMSE and resolution of a plan on images that it hasn't seen."""
    import acqplan
    from acqplan.report import facts

    _check_json(json_file, overwrite)
    with console.working("measuring"):
        measured = acqplan.evaluate(plan, images, limit=limit, binning=binning, seed=seed)
    console.warn(measured.warnings)
    if json_file != "-":
        means, names = measured.evaluation.means, measured.plan.modality.measures
        rows = [
            [label, *measures.cells(means[name], names)]
            for name, label in (("plan", "this plan"), ("zero_filled", "zero-filled"))
        ]
        console.table([f"mean of {len(measured.records)} images", *measures.columns(names)], rows)
        _per_subject(measured)
        console.facts([("Count", facts.count(measured.plan)), ("Data range", "largest magnitude of each image")])
    _write_json(measured.table(), json_file, overwrite)


def compare(
    plans: Annotated[list[Path], typer.Argument(metavar="PLAN...", help="Two plan files or more.")],
    images: Images,
    json_file: JsonFile = None,
    html: Annotated[Path | None, typer.Option(metavar="FILE", help="Write the report as one HTML page.")] = None,
    limit: Limit = None,
    binning: Binning = None,
    seed: NoiseSeed = 0,
    overwrite: Overwrite = False,
) -> None:
    """Compare plans on the same images with the same noise; differences are to the first plan."""
    import acqplan
    from acqplan.core.files import check_writable

    _check_json(json_file, overwrite)
    if html is not None:
        check_writable(html, overwrite=overwrite)
    with console.working("measuring"):
        comparison = acqplan.compare(plans, images, limit=limit, binning=binning, seed=seed)
    console.warn([*comparison.flags, *comparison.warnings])
    if json_file != "-":
        _show(comparison)
    _write_json(comparison.table(), json_file, overwrite)
    if html is not None:
        from acqplan.report.comparison_page import comparison_page
        from acqplan.report.page import write_page

        write_page(comparison_page(comparison), html, overwrite=overwrite)
        console.note(f"Written: {html}")


def _per_subject(measured: Measured) -> None:
    subjects = measured.evaluation.per_subject
    if len(subjects) < 2:
        return
    names = measured.plan.modality.measures
    rows = [[subject, *measures.cells(means["plan"], names)] for subject, means in subjects.items()]
    console.table(["this plan, by subject", *measures.columns(names)], rows)


def _show(comparison: Comparison) -> None:
    from acqplan.core.statistics import LEAST_SUBJECTS

    first = comparison.measured[0]
    names = first.plan.modality.measures
    differences = {difference.name: difference for difference in comparison.differences}
    rows = []
    for measured in comparison.measured:
        means = measured.evaluation.means
        difference = differences.get(measured.name) if measured is not first else None
        gain = "" if difference is None else f"{difference.mean_db:+.2f}"
        interval = ""
        if difference is not None and difference.interval_db is not None:
            interval = f"{difference.interval_db[0]:+.2f} to {difference.interval_db[1]:+.2f}"
        recipe, budget = measured.plan.recipe, measured.plan.budget
        rows.append(
            [
                measured.name,
                recipe.designer.kind,
                measured.plan.reconstructor.kind,
                f"{budget.n_readings}",
                *measures.cells(means["plan"], names),
                f"{means['zero_filled']['psnr_db']:.2f}",
                gain,
                interval,
            ]
        )
    columns = [
        "plan",
        "designer",
        "network",
        "count",
        *measures.columns(names),
        "zero-filled",
        "Δ PSNR",
        "95 % interval",
    ]
    console.table(columns, rows, text=3)
    subjects = first.evaluation.per_subject
    if len(subjects) > 1:
        by_plan = [measured.evaluation.per_subject for measured in comparison.measured]
        cells = [[subject, *(f"{table[subject]['plan']['psnr_db']:.2f}" for table in by_plan)] for subject in subjects]
        console.table(["PSNR / dB by subject", *(measured.name for measured in comparison.measured)], cells)
    if differences:
        n_subjects = comparison.differences[0].n_subjects
        interval = "bootstrap over them" if n_subjects >= LEAST_SUBJECTS else f"none below {LEAST_SUBJECTS} subjects"
        console.note(
            f"{len(first.records)} images of {n_subjects} subjects; Δ PSNR to {first.name}, paired, each subject "
            f"counting once; interval: {interval}."
        )


def _check_json(target: str | None, overwrite: bool) -> None:
    from acqplan.workflow.results import check_result

    if target is not None and target != "-":
        check_result(Path(target), overwrite=overwrite)


def _write_json(table: dict[str, Any], target: str | None, overwrite: bool) -> None:
    from acqplan.workflow.results import result_text, write_result

    if target == "-":
        console.output(result_text(table))
    elif target is not None:
        write_result(table, Path(target), overwrite=overwrite)
        console.note(f"Written: {target}")
