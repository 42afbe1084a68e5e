"""The report of a comparison of plans."""

from __future__ import annotations

import numpy as np

from acqplan.core import measures
from acqplan.core.statistics import LEAST_SUBJECTS
from acqplan.core.verdict import effect_text
from acqplan.report import page
from acqplan.report.figures import error_colours, error_gain, grey, pattern_colours
from acqplan.workflow.compare import Comparison, budget_text
from acqplan.workflow.evaluate import Measured


def comparison_page(comparison: Comparison) -> str:
    """HTML of the verdicts, the tables and one image."""
    first = comparison.measured[0]
    body = [page.heading(f"{len(comparison.measured)} plans on {len(first.records)} images", 1)]
    body += [page.paragraph(difference.sentence, "lead") for difference in comparison.differences]
    body += [page.paragraph(flag, "warning") for flag in [*comparison.flags, *comparison.warnings]]
    body += [_table(comparison), *_subjects(comparison), *_kinds(comparison), *_pictures(comparison)]
    return page.page("Comparison of plans", body)


def _table(comparison: Comparison) -> str:
    first = comparison.measured[0]
    rows, values, names = [], [], first.plan.modality.measures
    for measured, difference in zip(comparison.measured, [None, *comparison.differences], strict=True):
        means = measured.evaluation.means
        values.append(means["plan"])
        rows.append(
            [
                measured.name if not measured.runs else f"{measured.name} ({len(measured.runs)} plans)",
                measured.plan.recipe.designer.kind,
                measured.plan.reconstructor.kind,
                budget_text(measured.plan),
                *measures.cells(means["plan"], names),
                f"{means['zero_filled']['psnr_db']:.2f}",
                "" if difference is None else effect_text(difference.psnr, "psnr_db"),
            ]
        )
    heads = measures.columns(names)
    columns = ["plan", "designer", "network", "count", *heads, "zero-filled PSNR / dB", "Δ PSNR (95 %)"]
    best = [] if comparison.flags else page.best_cells(values, names, 4)
    caption = (
        f"Means over {len(first.records)} images, the same for all, with the same noise. Δ PSNR: mean difference to "
        f"{first.name} over {comparison.differences[0].psnr.n_subjects} subjects, each counting once, with a bootstrap "
        f"interval over them (none below {LEAST_SUBJECTS}). Data range: largest magnitude of each image."
    )
    return page.table(columns, rows, text=4, best=best, caption=caption)


def _subjects(comparison: Comparison) -> list[str]:
    subjects = comparison.measured[0].evaluation.per_subject
    if len(subjects) < 2:
        return []
    tables = [measured.evaluation.per_subject for measured in comparison.measured]
    rows = [
        [
            subject,
            *(f"{table[subject]['plan']['psnr_db']:.2f}" for table in tables),
            *(f"{difference.subjects[subject]['psnr_db']:+.2f}" for difference in comparison.differences),
        ]
        for subject in subjects
    ]
    names = [measured.name for measured in comparison.measured]
    heads = [f"Δ {difference.name}" for difference in comparison.differences]
    return [page.heading("PSNR / dB by subject"), page.table(["subject", *names, *heads], rows)]


def _kinds(comparison: Comparison) -> list[str]:
    rows = [
        [kind, difference.name, str(effects["psnr_db"].n_subjects), effect_text(effects["psnr_db"], "psnr_db")]
        for difference in comparison.differences
        for kind, effects in difference.kinds.items()
    ]
    if not rows:
        return []
    caption = f"Kinds as the files' names tell them; differences to {comparison.measured[0].name}."
    columns = ["kind", "plan", "subjects", "Δ PSNR (95 %)"]
    return [page.heading("By kind of image"), page.table(columns, rows, text=2, caption=caption)]


def _pictures(comparison: Comparison) -> list[str]:
    """The image with the median PSNR of the first plan, reconstructed by all, errors below, patterns below those."""
    first = comparison.measured[0]
    ranking = np.argsort([row["plan"]["psnr_db"] for row in first.evaluation.rows])
    chosen = int(ranking[len(ranking) // 2])
    record = first.records[chosen]
    shown = [_found(measured, record.source, record.index) for measured in comparison.measured]
    errors = [
        np.abs(measured.evaluation.images["plan"][i]) - np.abs(measured.records[i].array)
        for measured, i in zip(comparison.measured, shown, strict=True)
    ]
    gain = error_gain(errors, record.data_range)
    brightest = record.data_range / gain
    truth = [
        page.image(grey(record.array, record.data_range), "the true image"),
        page.blank("Error: |image| − |truth|, in colours (scale below)."),
        page.blank("Pattern. Dark: measured. Orange: calibration."),
    ]
    figures = [page.figure(truth, "truth")]
    for measured, i, error in zip(comparison.measured, shown, errors, strict=True):
        values = measured.evaluation.rows[i]["plan"]
        pictures = [
            page.image(grey(measured.evaluation.images["plan"][i], record.data_range), "reconstruction"),
            page.image(error_colours(error, brightest), "error"),
            page.image(pattern_colours(measured.plan), "sampling pattern"),
        ]
        figures.append(page.figure(pictures, measured.name, [f"PSNR {values['psnr_db']:.2f} dB"]))
    return [
        page.heading(f"Image {record.index} of {record.source}"),
        page.paragraph(
            "The image with the median PSNR of the first plan; below each reconstruction its error and its pattern.",
            "note",
        ),
        page.cards(figures),
        page.error_legend(brightest, record.data_range, gain),
    ]


def _found(measured: Measured, source: str, index: int) -> int:
    """Where an image stands among a plan's."""
    return next(i for i, r in enumerate(measured.records) if (r.source, r.index) == (source, index))
