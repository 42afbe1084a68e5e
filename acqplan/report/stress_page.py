"""A plan under stress, on one page."""

from __future__ import annotations

from collections.abc import Sequence

from acqplan.core.statistics import LEAST_SUBJECTS
from acqplan.report import facts, page
from acqplan.report.stress_figure import loss_bars
from acqplan.report.stress_words import COLUMNS, lesion_facts, row_cells
from acqplan.workflow.stress import Stressed


def stress_page(stressed: Stressed, broken: Sequence[str] = ()) -> str:
    """HTML: what was lost as bars, the table, lesions, and which limits aren't kept."""
    body = [
        page.heading(f"{stressed.name} under stress", 1),
        page.paragraph(_lead(stressed), "lead"),
        *(page.paragraph(sentence, "warning") for sentence in (*broken, *stressed.warnings)),
        *_parts(stressed),
        page.paragraph(f"Plan {stressed.plan.plan_id}, {facts.count(stressed.plan)}.", "note"),
    ]
    return page.page(f"{stressed.name} under stress", body)


def stress_section(stressed: Stressed) -> list[str]:
    """The same as a part of a plan's page."""
    return [page.heading("Under stress"), page.paragraph(_lead(stressed)), *_parts(stressed)]


def _lead(stressed: Stressed) -> str:
    first, losses = stressed.rows[0], stressed.rows[1:]
    worst = max(losses, key=lambda row: row.loss_db)
    return (
        f"As planned {first.psnr_db:.2f} dB, SSIM {first.ssim:.4f}, on {first.n_images} images. The largest loss is "
        f"{worst.loss_db:.2f} dB: {worst.words}."
    )


def _parts(stressed: Stressed) -> list[str]:
    return [
        page.drawing(loss_bars(stressed.rows[1:])),
        page.paragraph(
            f"Loss of PSNR. Blue: the plan. Grey: {stressed.solver} on the same readings. Left of the line: a gain.",
            "note",
        ),
        page.table(
            ["", *COLUMNS],
            [[row.words, *row_cells(row)] for row in stressed.rows],
            caption="Losses against the plan as planned, on the same images with the same noise; intervals over "
            f"subjects (none below {LEAST_SUBJECTS}).",
        ),
        *(page.paragraph(f"{name}: {value}.") for name, value in lesion_facts(stressed)),
    ]
