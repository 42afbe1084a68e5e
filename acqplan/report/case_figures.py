"""A plan's best, median and worst image, as rows of pictures."""

from __future__ import annotations

import numpy as np

from acqplan.report import facts, page
from acqplan.report.figures import error_colours, error_gain, grey
from acqplan.workflow.cases import SHOWN, Case, Cases

_TITLES = {"zero_filled": "zero-filled", "solver": "total variation", "plan": "this plan"}


def case_figures(cases: Cases) -> list[str]:
    """A heading, and for each case truth, zero-filled image, the solver's and the plan's, errors below."""
    words = (
        f"Of {cases.n_images} images, by the PSNR of the plan; below each reconstruction its error. Beside the plan: "
        f"{cases.solver}, from the same readings."
    )
    parts = [page.heading("Best, median and worst"), page.paragraph(words, "note")]
    for case in cases.cases:
        parts += _row(case)
    return parts


def _row(case: Case) -> list[str]:
    record, white = case.record, case.record.data_range
    errors = {who: np.abs(case.images[who]) - np.abs(record.array) for who in SHOWN}
    gain = error_gain([errors["solver"], errors["plan"]], white)
    brightest = white / gain
    truth = [
        page.image(grey(record.array, white), "the true image"),
        page.blank("Error: |image| − |truth|, in colours."),
    ]
    figures = [page.figure(truth, "truth")]
    for who in SHOWN:
        pictures = [
            page.image(grey(case.images[who], white), f"{_TITLES[who]}: image"),
            page.image(error_colours(errors[who], brightest), f"{_TITLES[who]}: error"),
        ]
        worth = case.measures[who]
        lines = [f"PSNR {worth['psnr_db']:.2f} dB", f"SSIM {worth['ssim']:.4f}"]
        figures.append(page.figure(pictures, _TITLES[who], lines, is_ours=who == "plan"))
    figures.append(_supplied(case, brightest))
    title = f"{case.name.capitalize()}: image {record.index} of {record.subject}"
    return [page.heading(title, 3), page.cards(figures), page.error_legend(brightest, white, gain)]


def _supplied(case: Case, brightest: float) -> str:
    lines = [
        f"{facts.percent(case.shares.supplied)} of the energy, of which {facts.percent(case.shares.right)} is right",
        "In the colours of the errors.",
    ]
    pictures = [
        page.image(error_colours(case.supplied, brightest), "what the network supplied"),
        page.blank("What isn't in what was measured: the plan's network supplied it."),
    ]
    return page.figure(pictures, "supplied", lines)
