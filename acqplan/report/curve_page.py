"""Quality against budget in words, tables and on a page."""

from __future__ import annotations

from collections.abc import Mapping

from acqplan.core.measures import MEASURES, columns
from acqplan.core.statistics import LEAST_SUBJECTS
from acqplan.learning.curve_points import Point
from acqplan.report import page
from acqplan.report.curve_figure import curve_figure, short_number
from acqplan.workflow.curve import Curve

_MAIN = "psnr_db"


def curve_page(found: Curve) -> str:
    """HTML of the picture, the tables, and what they are of."""
    body = [page.heading(f"Quality against budget: {found.unit_name}s, {_size(found)}", 1)]
    body += [page.paragraph(sentence, "lead" if i == 0 else "") for i, sentence in enumerate(sentences(found))]
    body += [page.paragraph(warning, "warning") for warning in found.warnings]
    body += [page.drawing(curve_figure(found, measure)) for measure in (_MAIN, "ssim") if measure in _measures(found)]
    body += [
        page.heading("Every point"),
        page.table(columns_of(found), rows_of(found), text=2, caption=_caption(found)),
    ]
    if found.checks:
        body += [page.heading("Checked by fine-tuning"), page.table(check_columns(found), check_rows(found))]
    subjects = _per_subject(found)
    if subjects:
        body += [page.heading("PSNR / dB by subject"), page.table(*subjects)]
    body += [page.paragraph(note, "note") for note in found.notes]
    return page.page("Quality against budget", body)


def sentences(found: Curve) -> list[str]:
    """What is seen: where the knee is, and how far the base's network is from one of its own."""
    told = []
    if found.knee is not None:
        told.append(f"From {found.knee} on more {found.unit_name}s bring less: the knee of the best designer's curve.")
    if found.checks:
        differences = [check.differences[_MAIN] for check in found.checks]
        largest = max(differences, key=abs)
        at = found.checks[differences.index(largest)].point.amount
        told.append(
            f"Fine-tuning at {len(found.checks)} points changed the PSNR by {largest:+.2f} dB at most (at {at}): that "
            "is how far this curve is from plans that are trained a little for their budget alone."
        )
    return told


def columns_of(found: Curve) -> list[str]:
    """Heads of the table of all points."""
    costs = [cost.label for cost in _first(found).costs]
    return ["designer", "reconstruction", found.unit_name + "s", "", *costs, *columns(_measures(found)), "95 % of PSNR"]


def rows_of(found: Curve) -> list[list[str]]:
    """A row of each point."""
    rows = []
    for course in found.courses:
        for point in course.points:
            costs = [short_number(cost.value) for cost in point.costs]
            name = course.reconstructor
            name += f" {point.options['weight']:g}" if "weight" in point.options else ""
            rows.append([course.designer, name, *_count(point), *costs, *_cells(point.quality.means), _interval(point)])
    return rows


def check_columns(found: Curve) -> list[str]:
    """Heads of the table of points that were fine-tuned."""
    heads = [f"{MEASURES[_MAIN].label}, base", "fine-tuned", *(f"Δ {MEASURES[name].word}" for name in _measures(found))]
    return ["designer", f"{found.unit_name}s", "", "steps", *heads]


def check_rows(found: Curve) -> list[list[str]]:
    """A row of each of them."""
    return [
        [
            check.designer,
            *_count(check.point),
            str(check.steps),
            MEASURES[_MAIN].text(check.point.quality.means[_MAIN]),
            MEASURES[_MAIN].text(check.quality.means[_MAIN]),
            *(MEASURES[name].difference(value) for name, value in check.differences.items()),
        ]
        for check in found.checks
    ]


def _per_subject(found: Curve) -> tuple[list[str], list[list[str]]] | None:
    """Of the first course: a row of each subject, a column of each budget."""
    course = found.courses[0]
    if len(found.subjects) < 2:
        return None
    tables = [point.quality.per_subject for point in course.points]
    rows = [[name, *(MEASURES[_MAIN].text(table[name][_MAIN]) for table in tables)] for name in found.subjects]
    return [course.name, *(point.amount for point in course.points)], rows


def _caption(found: Curve) -> str:
    interval = f"a bootstrap over them (none below {LEAST_SUBJECTS})"
    solvers = [course for course in found.courses if course.points[0].options]
    tuned = " The number beside a classical reconstructor is its weight, tuned on validation images." if solvers else ""
    return (
        f"Means over {len(found.subjects)} subjects ({found.n_images} images), each counting once; the interval is "
        f"{interval}. network: that of base {found.base[:12]}, as it is; searches tried about {found.tries} patterns "
        f"at each budget.{tuned}"
    )


def _first(found: Curve) -> Point:
    return found.courses[0].points[0]


def _measures(found: Curve) -> list[str]:
    return list(_first(found).quality.values)


def _cells(means: Mapping[str, float]) -> list[str]:
    return [MEASURES[name].text(value) for name, value in means.items()]


def _count(point: Point) -> list[str]:
    return [str(point.budget.n_readings), f"{point.budget.acceleration:.3g}x"]


def _interval(point: Point) -> str:
    interval = point.quality.intervals[_MAIN]
    if interval is None:
        return ""
    return " to ".join(MEASURES[_MAIN].text(end) for end in interval)


def _size(found: Curve) -> str:
    return " × ".join(map(str, found.recipe.images.size or ()))
