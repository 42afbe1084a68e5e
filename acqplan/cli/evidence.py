"""``acqplan evaluate`` and ``acqplan compare``: what plans are worth on given images."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from acqplan.cli import console
from acqplan.cli.arguments import examples
from acqplan.cli.plans import Overwrite, PlanFile
from acqplan.core.errors import RecipeError

if TYPE_CHECKING:
    from acqplan.images import ImageStack
    from acqplan.plan.plan import Plan
    from acqplan.workflow.comparison import Comparison, Measured

EVALUATE_EXAMPLES = examples(
    "acqplan evaluate brain.acqplan --images more-scans/ --json result.json",
    "acqplan evaluate brain.acqplan --images a.nii.gz b.nii.gz --limit 50 --json - | jq .mean",
)
COMPARE_EXAMPLES = examples(
    "acqplan compare brain.acqplan vd.acqplan --images more-scans/ --json result.json",
    "acqplan compare learned.acqplan uniform.acqplan poisson.acqplan --images more-scans/ --html compared.html",
)
RESULT_FORMAT = "acqplan-result"

Images = Annotated[
    list[str],
    typer.Option("--images", metavar="PATH...", help="Fully sampled images: files, folders, or a sample."),
]
JsonFile = Annotated[
    str | None,
    typer.Option("--json", metavar="FILE|-", help="Write all numbers as JSON; - for standard output, alone."),
]
Limit = Annotated[int | None, typer.Option(metavar="N", min=1, help="Use N images only, evenly over all.")]
NoiseSeed = Annotated[int, typer.Option(help="Seed of the noise.")]


def evaluate(
    plan: PlanFile,
    images: Images,
    json_file: JsonFile = None,
    limit: Limit = None,
    seed: NoiseSeed = 0,
    overwrite: Overwrite = False,
) -> None:
    """Measure PSNR, SSIM and NRMSE of a plan on images that it hasn't seen."""
    from acqplan.plan.plan import Plan
    from acqplan.report import facts
    from acqplan.workflow.comparison import evaluation_warnings, measure_plan

    _check_json(json_file, overwrite)
    loaded = Plan.load(plan)
    with console.working("measuring"):
        measured = measure_plan(str(plan), loaded, _stacks(loaded, images), limit=limit, seed=seed)
    warnings = [*_seen([(str(plan), loaded)], images), *evaluation_warnings(measured)]
    console.warn(warnings)
    if json_file != "-":
        means = measured.evaluation.means
        rows = [
            [label, *console.metric_cells(means[name])]
            for name, label in (("plan", "this plan"), ("zero_filled", "zero-filled"))
        ]
        console.table([f"mean of {len(measured.records)} images", *console.METRIC_COLUMNS], rows)
        _per_subject(measured)
        console.facts([("Count", facts.count(loaded)), ("Data range", "largest magnitude of each image")])
    table = {"format": RESULT_FORMAT, **measured.table(), **_inputs(images, seed), "warnings": warnings}
    table["noise"] = {"kind": loaded.noise.kind, **loaded.noise.spec()}
    _write_json(table, json_file, overwrite)


def compare(
    plans: Annotated[list[Path], typer.Argument(metavar="PLAN...", help="Two plan files or more.")],
    images: Images,
    json_file: JsonFile = None,
    html: Annotated[Path | None, typer.Option(metavar="FILE", help="Write the report as one HTML page.")] = None,
    limit: Limit = None,
    seed: NoiseSeed = 0,
    overwrite: Overwrite = False,
) -> None:
    """Compare plans on the same images with the same noise; differences are to the first plan."""
    from acqplan.core.files import check_writable
    from acqplan.plan.plan import Plan
    from acqplan.workflow.comparison import compare_plans, comparison_table

    if len(plans) < 2:
        raise RecipeError("One plan can't be compared.", "Name two plans or more, or use acqplan evaluate.")
    _check_json(json_file, overwrite)
    if html is not None:
        check_writable(html, overwrite=overwrite)
    loaded = list(zip(_short_names(plans), map(Plan.load, plans), strict=True))
    with console.working("measuring"):
        comparison = compare_plans(loaded, _stacks(loaded[0][1], images), limit=limit, seed=seed)
    comparison.warnings[:0] = _seen(loaded, images)
    console.warn([*comparison.flags, *comparison.warnings])
    if json_file != "-":
        _show(comparison)
    table = {"format": RESULT_FORMAT, **comparison_table(comparison), **_inputs(images, seed)}
    first = loaded[0][1]
    table["noise"] = {"kind": first.noise.kind, **first.noise.spec()}
    _write_json(table, json_file, overwrite)
    if html is not None:
        from acqplan.report.comparison_page import comparison_page
        from acqplan.report.page import write_page

        write_page(comparison_page(comparison), html, overwrite=overwrite)
        console.note(f"Written: {html}")


def _stacks(plan: Plan, paths: list[str]) -> list[ImageStack]:
    from acqplan.images import load_stacks

    return load_stacks(paths, require_non_negative=not plan.sensing.is_complex)


def _inputs(images: list[str], seed: int) -> dict[str, Any]:
    return {"paths": images, "seed": seed}


def _seen(plans: list[tuple[str, Plan]], images: list[str]) -> list[str]:
    """A warning for every plan that was trained on some of these images."""

    def places(paths: list[str]) -> set[str]:
        return {path if path.startswith("sample:") else str(Path(path).resolve()) for path in paths}

    return [
        f"{name} was trained on images from {', '.join(sorted(shared))}: these numbers aren't evidence."
        for name, plan in plans
        if (shared := places(images) & places(plan.recipe.images.paths))
    ]


def _per_subject(measured: Measured) -> None:
    subjects = measured.evaluation.per_subject
    if len(subjects) < 2:
        return
    rows = [[subject, *console.metric_cells(means["plan"])] for subject, means in subjects.items()]
    console.table(["this plan, by subject", *console.METRIC_COLUMNS], rows)


def _show(comparison: Comparison) -> None:
    first = comparison.measured[0]
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
                *console.metric_cells(means["plan"]),
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
        *console.METRIC_COLUMNS,
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
        resampled = comparison.differences[0].resampled
        console.note(
            f"{len(first.records)} images; Δ PSNR to {first.name}, paired; interval: bootstrap over {resampled}."
        )


def _check_json(target: str | None, overwrite: bool) -> None:
    """Raise `OutputError` if ``target`` can't be written; an earlier result of acqplan may be replaced."""
    from acqplan.core.files import check_writable

    if target is not None and target != "-":
        check_writable(Path(target), overwrite=overwrite or _is_result(Path(target)))


def _is_result(path: Path) -> bool:
    try:
        table = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return isinstance(table, dict) and table.get("format") == RESULT_FORMAT


def _write_json(table: dict[str, Any], target: str | None, overwrite: bool) -> None:
    from acqplan.core.files import atomic_file
    from acqplan.report.facts import json_ready

    if target is None:
        return
    text = json.dumps(json_ready(table), indent=2, allow_nan=False) + "\n"
    if target == "-":
        typer.echo(text, nl=False)
        return
    path = Path(target)
    with atomic_file(path, overwrite=overwrite or _is_result(path)) as temporary:
        temporary.write_text(text, encoding="utf-8")
    console.note(f"Written: {path}")


def _short_names(paths: list[Path]) -> list[str]:
    """File names, or whole paths where file names are the same."""
    names = [path.name for path in paths]
    return names if len(set(names)) == len(names) else [str(path) for path in paths]
