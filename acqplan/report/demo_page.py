"""The page of ``acqplan demo``."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from acqplan.core import measures
from acqplan.report import facts, page
from acqplan.report.figures import error_colours, error_gain, grey, pattern_colours
from acqplan.report.plan_page import HELD_OUT
from acqplan.workflow.demonstration import Contestant, Demonstration

_INTRODUCTION = (
    "acqplan learned a sampling pattern and its reconstruction network from real images, wrote the files for the "
    "instrument, acquired held-out images with a virtual instrument that plays those files, reconstructed them, and "
    "did the same with the usual patterns at exactly the same count."
)


def demo_page(demonstrations: Sequence[Demonstration]) -> str:
    """HTML of the whole demonstration."""
    body = [page.heading("acqplan: the whole loop on real images", 1), page.paragraph(_INTRODUCTION, "lead")]
    for demonstration in demonstrations:
        body += _section(demonstration)
    body += [page.heading("Go on from here"), page.code(_commands(demonstrations))]
    return page.page("acqplan demo", body)


def label(contestant: Contestant) -> str:
    """``learned pattern, unrolled network``."""
    pattern = contestant.designer.replace("-", " ")
    network = f"{contestant.reconstructor} network" if contestant.is_trained else contestant.reconstructor
    return f"{pattern}, {network}"


def _section(demonstration: Demonstration) -> list[str]:
    plan = demonstration.learned.plan
    return [
        page.heading(demonstration.setup.title),
        page.paragraph(verdict(demonstration), "lead"),
        _table(demonstration),
        *(page.paragraph(warning, "warning") for warning in demonstration.warnings),
        page.heading(f"One held-out image, {_where(demonstration)}", 3),
        page.paragraph(
            f"Below each image its error and its pattern. The learned plan's data come from playing the exported "
            f"{demonstration.setup.format.kind} files; the noise is {_noise(demonstration)}, the same for all.",
            "note",
        ),
        *_pictures(demonstration),
        page.heading("Files", 3),
        page.code("\n".join(demonstration.files)),
        page.paragraph(f"Plan {plan.plan_id}", "note"),
    ]


def verdict(demonstration: Demonstration) -> str:
    """What was gained, and where nothing was: said of every other contestant with another pattern."""
    ours = demonstration.learned
    others = [each for each in demonstration.contestants if each.designer != ours.designer]
    trained = [each for each in others if each.is_trained]
    floors = [each for each in others if not each.is_trained and each.designer in demonstration.setup.floors]
    classical = [each for each in others if each.reconstructor not in ("zero-filled", ours.reconstructor)]
    gains = [f"{_gain(ours, each)} the zero-filled {each.designer} image" for each in floors]
    gains += [f"{_gain(ours, each)} {each.designer} with {each.reconstructor} reconstruction" for each in classical]
    if trained:
        best = max(trained, key=lambda each: each.means["psnr_db"])
        which = "the best of the fixed patterns" if len(trained) > 1 else "the fixed pattern"
        gains.append(f"{_gain(ours, best)} {which} with the same retrained network ({best.designer})")
    return (
        f"At exactly {facts.count(ours.plan)}, the learned plan reaches {ours.means['psnr_db']:.2f} dB PSNR "
        f"on {demonstration.n_test} held-out images. That is {'; '.join(gains)}."
    )


def _gain(ours: Contestant, other: Contestant) -> str:
    gain = ours.means["psnr_db"] - other.means["psnr_db"]
    return f"{abs(gain):.2f} dB {'above' if gain >= 0 else 'below'}"


def _table(demonstration: Demonstration) -> str:
    ranked = demonstration.contestants
    plan = demonstration.learned.plan
    names = plan.modality.measures
    rows = [
        [
            each.designer.replace("-", " "),
            each.reconstructor + (" (trained on this pattern)" if each.is_trained else ""),
            str(each.plan.budget.n_readings),
            *measures.cells(each.means, names),
        ]
        for each in ranked
    ]
    steps = [each.plan.recipe.training.steps or 0 for each in ranked if each.is_trained]
    few, many = min(steps), max(steps)
    trained = f"took {few} steps" if few == many else f"was trained for the same time ({few} to {many} steps)"
    caption = (
        f"Means over {demonstration.n_test} held-out images; trained on {demonstration.n_train}. {HELD_OUT} Every "
        f"trained network has the same size and {trained}, {plan.recipe.training.batch_size} images a step. "
        f"Count: {plan.sensing.unit_name}s measured, of {plan.budget.n_units}. Data range of PSNR and SSIM: the "
        "largest magnitude of each image. The best value of each column is in blue."
    )
    best = page.best_cells([each.means for each in ranked], names, 3)
    return page.table(
        ["pattern", "reconstruction", "count", *measures.columns(names)],
        rows,
        text=2,
        ours=[0],
        best=best,
        caption=caption,
    )


def _pictures(demonstration: Demonstration) -> list[str]:
    record = demonstration.record
    floors = demonstration.setup.floors
    shown = [
        each for each in demonstration.contestants if each.reconstructor != "zero-filled" or each.designer in floors
    ]
    errors = [np.abs(each.image) - np.abs(record.array) for each in shown]
    gain = error_gain(errors, record.data_range)
    brightest = record.data_range / gain
    notes = ("Error: |image| − |truth|, in colours (scale below).", _pattern_note(demonstration))
    truth = [
        page.image(grey(record.array, record.data_range), "the true image"),
        *map(page.blank, notes),
    ]
    figures = [page.figure(truth, "truth", ["all units, no noise"])]
    for each, error in zip(shown, errors, strict=True):
        pictures = [
            page.image(grey(each.image, record.data_range), label(each)),
            page.image(error_colours(error, brightest), f"error of {label(each)}"),
            page.image(pattern_colours(each.plan), f"{each.designer} pattern"),
        ]
        values = each.image_measures
        lines = [
            f"PSNR {values['psnr_db']:.2f} dB, SSIM {values['ssim']:.3f}",
            f"mean of all {each.means['psnr_db']:.2f} dB",
        ]
        figures.append(page.figure(pictures, label(each), lines, is_ours=each is demonstration.learned))
    return [page.cards(figures), page.error_legend(brightest, record.data_range, gain)]


def _pattern_note(demonstration: Demonstration) -> str:
    place = f"Pattern: {demonstration.learned.plan.modality.words.pattern}"
    calibration = " Orange: calibration." if demonstration.learned.plan.budget.n_calibration else ""
    return f"{place} Dark: measured.{calibration}"


def _where(demonstration: Demonstration) -> str:
    record = demonstration.record
    part = "tile" if demonstration.learned.plan.recipe.images.fit == "crop" else "slice"
    return f"{part} {record.index} of {record.source}"


def _noise(demonstration: Demonstration) -> str:
    return facts.noise_text(demonstration.learned.plan.noise).replace("_", " ")


def _commands(demonstrations: Sequence[Demonstration]) -> str:
    """Commands that work in the folder of the page."""
    lines = []
    for each in demonstrations:
        folder, setup = each.modality, each.setup
        lines += [
            f"acqplan show {folder}/learned.acqplan",
            f"acqplan reconstruct {folder}/learned.acqplan {folder}/{setup.acquired} -o {setup.reconstructed}",
        ]
    first = demonstrations[0]
    lines.append(
        f"acqplan design {first.modality} --images YOUR-IMAGES/ --budget {first.setup.budget} -o yours.acqplan"
    )
    return "\n".join(lines)
