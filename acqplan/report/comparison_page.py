"""The report of a comparison of plans."""

from __future__ import annotations

import numpy as np

from acqplan.core import measures
from acqplan.core.statistics import LEAST_SUBJECTS
from acqplan.report import page
from acqplan.report.figures import error_colours, error_gain, grey, pattern_colours
from acqplan.workflow.compare import Comparison, Difference, budget_text
from acqplan.workflow.evaluate import Measured


def comparison_page(comparison: Comparison) -> str:
    """HTML of the table, the differences and one image."""
    first = comparison.measured[0]
    n_images = len(first.records)
    body = [
        page.heading(f"{len(comparison.measured)} plans on {n_images} images", 1),
        page.paragraph(_verdict(comparison), "lead"),
    ]
    body += [page.paragraph(flag, "warning") for flag in [*comparison.flags, *comparison.warnings]]
    body += [_table(comparison), *_subjects(comparison), *_pictures(comparison)]
    return page.page("Comparison of plans", body)


def _verdict(comparison: Comparison) -> str:
    means = [measured.evaluation.means["plan"]["psnr_db"] for measured in comparison.measured]
    best = comparison.measured[int(np.argmax(means))]
    equal = "at the same count" if not comparison.flags else "but not under equal conditions (see below)"
    return f"The highest mean PSNR is {max(means):.2f} dB, of {best.name}, {equal}."


def _table(comparison: Comparison) -> str:
    differences = {difference.name: difference for difference in comparison.differences}
    rows, values, names = [], [], comparison.measured[0].plan.modality.measures
    for i, measured in enumerate(comparison.measured):
        means = measured.evaluation.means
        values.append(means["plan"])
        rows.append(
            [
                measured.name,
                measured.plan.recipe.designer.kind,
                measured.plan.reconstructor.kind,
                budget_text(measured.plan),
                *measures.cells(means["plan"], names),
                f"{means['zero_filled']['psnr_db']:.2f}",
                difference_text(differences[measured.name]) if i else "",
            ]
        )
    columns = [
        "plan",
        "designer",
        "network",
        "count",
        *measures.columns(names),
        "zero-filled PSNR / dB",
        "Δ PSNR / dB (95 %)",
    ]
    best = [] if comparison.flags else page.best_cells(values, names, 4)
    n_subjects = comparison.differences[0].n_subjects
    caption = (
        f"Means over {len(comparison.measured[0].records)} images, the same for all, with the same noise. Δ PSNR: "
        f"mean difference to {comparison.measured[0].name} over {n_subjects} subjects, each counting once, with a "
        f"bootstrap interval over them (none below {LEAST_SUBJECTS}). Data range: largest magnitude of each image."
    )
    return page.table(columns, rows, text=4, best=best, caption=caption)


def difference_text(difference: Difference) -> str:
    """``+0.52 (0.31 to 0.74)``."""
    if difference.interval_db is None:
        return f"{difference.mean_db:+.2f}"
    low, high = difference.interval_db
    return f"{difference.mean_db:+.2f} ({low:+.2f} to {high:+.2f})"


def _subjects(comparison: Comparison) -> list[str]:
    subjects = comparison.measured[0].evaluation.per_subject
    if len(subjects) < 2:
        return []
    tables = [measured.evaluation.per_subject for measured in comparison.measured]
    values = [[table[subject]["plan"]["psnr_db"] for table in tables] for subject in subjects]
    rows = [[subject, *(f"{value:.2f}" for value in row)] for subject, row in zip(subjects, values, strict=True)]
    names = [measured.name for measured in comparison.measured]
    return [page.heading("PSNR / dB by subject"), page.table(["subject", *names], rows)]


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
