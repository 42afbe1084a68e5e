"""The report of one plan."""

from __future__ import annotations

from acqplan.core import measures
from acqplan.plan.plan import Plan
from acqplan.plan.recipe_text import to_toml
from acqplan.report import facts, page
from acqplan.report.case_figures import case_figures
from acqplan.report.figures import order_colours, pattern_colours, spread_colours
from acqplan.report.stress_page import stress_section
from acqplan.workflow.cases import Cases
from acqplan.workflow.stress import Stressed

HELD_OUT = "Held out: never used to train the pattern or the network."
_MOST_SUBJECTS = 40


def pattern_figure(plan: Plan, title: str) -> str:
    """The pattern as a picture, with what its axes and colours mean."""
    words = plan.modality.words
    axes = words.axes.get(plan.modality.option_of(plan.sensing), words.axes.get("", ""))
    colours = "Dark: measured."
    if plan.budget.n_calibration:
        colours += " Orange: the calibration region, measured too."
    return page.figure([page.image(pattern_colours(plan), "sampling pattern")], title, [axes, colours])


def order_figure(plan: Plan) -> str:
    """When each unit is acquired, as a picture, or two where there are echo trains."""
    budget, is_lines = plan.budget, len(plan.sensing.grid_shape) == 1
    axes = f"ky down, {budget.n_shots} shots to the right." if is_lines else "Axes as in the pattern."
    parts = []
    if budget.readings_per_shot > 1:
        picture = page.image(order_colours(plan, by_echo=True), "order of acquisition within a train")
        parts += [picture, page.order_legend("first echo", "last echo")]
    if not (parts and is_lines):
        picture = page.image(order_colours(plan), "order of acquisition")
        parts += [picture, page.order_legend("first", "last")]
    return page.figure(parts, f"Order of acquisition: {plan.recipe.pattern.order.kind}", [axes])


def spread_figure(plan: Plan) -> str:
    """The point-spread function of the pattern: how what isn't measured spreads a single pixel."""
    words = "What one bright pixel becomes in the zero-filled image; black is 60 dB below its peak."
    return page.figure([page.image(spread_colours(plan), "point-spread function")], "Point-spread function", [words])


def plan_page(plan: Plan, cases: Cases | None = None, stressed: Stressed | None = None) -> str:
    """HTML of everything that a plan knows about itself, of images that it was measured on, and of it under stress."""
    evidence = plan.evidence
    body = [page.heading(facts.title(plan), 1)]
    held_out = evidence.get("held_out", {})
    means = held_out.get("mean", {})
    if means:
        gain = means["plan"]["psnr_db"] - means["zero_filled"]["psnr_db"]
        reached = measures.text(means["plan"], plan.modality.measures)
        lead = (
            f"On {evidence['n_test']} held-out images this plan reaches {reached}, "
            f"{gain:+.2f} dB against the zero-filled image of the same pattern."
        )
        body.append(page.paragraph(lead, "lead"))
    body += [page.paragraph(warning, "warning") for warning in facts.warnings(plan)]
    body += [page.paragraph(note, "note") for note in facts.notes(plan)]
    pattern = pattern_figure(plan, facts.count(plan))
    pictures = f"<div>{pattern}{spread_figure(plan)}{order_figure(plan)}</div>"
    body.append(f'<div class="beside">{pictures}<div>{page.facts_table(facts.facts(plan))}</div></div>')
    if means:
        usual = [page.paragraph(facts.usual_text(evidence["usual"]))] if evidence.get("usual") else []
        body += [
            page.heading("Evidence"),
            _means_table(plan),
            *usual,
            *_subjects_table(plan, held_out.get("subjects", {})),
        ]
    body += [] if cases is None else case_figures(cases)
    body += [] if stressed is None else stress_section(stressed)
    body += [
        page.heading("How to make it again"),
        page.paragraph("This recipe makes the same plan again, on the same machine bit for bit.", "note"),
        page.code(to_toml(plan.recipe)),
    ]
    return page.page(facts.title(plan), body)


def _means_table(plan: Plan) -> str:
    means, names = plan.evidence["held_out"]["mean"], plan.modality.measures
    labels = {"plan": f"this plan ({plan.reconstructor.kind})", **facts.beside_the_plan(plan)}
    best = page.best_cells([means[name] for name in labels], names, 1)
    return page.table(
        ["reconstruction", *measures.columns(names)],
        [[label, *measures.cells(means[name], names)] for name, label in labels.items()],
        ours=[0],
        best=best,
        caption=f"Means over {plan.evidence['n_test']} images. {HELD_OUT} "
        f"Data range of PSNR and SSIM: {plan.evidence.get('data_range', 'not stated')}.",
    )


def _subjects_table(plan: Plan, subjects: dict[str, dict[str, dict[str, float]]]) -> list[str]:
    if len(subjects) < 2:
        return []
    shown = sorted(subjects.items(), key=lambda item: item[1]["plan"]["psnr_db"])[:_MOST_SUBJECTS]
    names = plan.modality.measures
    rows = [
        [subject, *measures.cells(means["plan"], names), f"{means['zero_filled']['psnr_db']:.2f}"]
        for subject, means in shown
    ]
    note = f"The {len(shown)} of {len(subjects)} subjects with the lowest PSNR" if len(shown) < len(subjects) else "All"
    table = page.table(
        ["subject", *measures.columns(names), "zero-filled PSNR / dB"],
        rows,
        caption=f"{note}, lowest first; held-out images only.",
    )
    return [page.heading("By subject", 3), table]
