"""The picture of quality against budget: one SVG without scripts or fonts."""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape

from acqplan.core.measures import MEASURES
from acqplan.learning.curve_points import Course, Point
from acqplan.workflow.curve import NETWORK, Curve

_PLOT, _HEIGHT = 710, 540  # up to where the names begin, and from top to bottom
_LEFT, _TOP, _BOTTOM = 74, 74, 74
_LEAST_BESIDE, _PER_LETTER = 210, 7.8  # for names at the right
_NETWORKS = ("#16467f", "#b8480c", "#17704f", "#7b3f98", "#8a6d00")
_SOLVERS = ("#7a8594", "#a4743f", "#5f8f8a", "#9a6b8f")
_INK, _SOFT, _RULE = "#1c2430", "#5a6675", "#dde2e8"
_TICKS = 6
_LABEL_GAP = 17  # between the names at the right
_STEPS = (1, 2, 2.5, 5, 10)


def curve_figure(found: Curve, measure: str = "psnr_db") -> str:
    """SVG: the measure against the count, on a logarithmic axis; above it what that costs, where it is known.

    Bars are intervals over subjects; diamonds are points after fine-tuning.
    """
    counts = [point.budget.n_readings for course in found.courses for point in course.points]
    values = [value for course in found.courses for point in course.points for value in _extent(point, measure)]
    values += [check.quality.means[measure] for check in found.checks]
    frame = _Frame(counts, values)
    longest = max(found.courses, key=lambda course: len(course.points))
    parts = [*_grid(frame, measure), *_budgets(frame, longest.points, found.unit_name), *_knee(frame, found)]
    for i, course in enumerate(found.courses):
        shift = 5 * (i - (len(found.courses) - 1) / 2)
        parts += _course(frame, course, _colour(found, course), measure, shift)
    names = {course.designer: _colour(found, course) for course in found.courses if course.reconstructor == NETWORK}
    parts += [
        _diamond(frame.x(check.point.budget.n_readings), frame.y(check.quality.means[measure]), names[check.designer])
        for check in found.checks
    ]
    parts += _names(frame, found, measure)
    longest_name = max(len(course.name) for course in found.courses)
    width = _PLOT + max(_LEAST_BESIDE, 20 + round(_PER_LETTER * longest_name))
    title = f"{MEASURES[measure].word} against the number of {found.unit_name}s measured"
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {_HEIGHT}" role="img" '
        f'font-family="system-ui, sans-serif" font-size="13"><title>{escape(title)}</title>'
        f'<rect width="{width}" height="{_HEIGHT}" fill="#fff"/>{"".join(parts)}</svg>\n'
    )


class _Frame:
    """Where counts and values lie in the picture."""

    def __init__(self, counts: Sequence[int], values: Sequence[float]) -> None:
        low, high = math.log(min(counts)), math.log(max(counts))
        margin = 0.06 * (high - low) or 0.5
        self._low, self._span = low - margin, high - low + 2 * margin
        finite = [value for value in values if math.isfinite(value)] or [0.0, 1.0]
        self.ticks = _nice(min(finite), max(finite))

    def x(self, count: float) -> float:
        return _LEFT + (math.log(count) - self._low) / self._span * (_PLOT - _LEFT)

    def y(self, value: float) -> float:
        least, most = self.ticks[0], self.ticks[-1]
        return _HEIGHT - _BOTTOM - (value - least) / (most - least) * (_HEIGHT - _TOP - _BOTTOM)


def _nice(low: float, high: float) -> list[float]:
    """Round numbers from below the lowest to above the highest."""
    span = max(high - low, 1e-6)
    power = 10.0 ** math.floor(math.log10(span / _TICKS))
    step = next(power * each for each in _STEPS if power * each * _TICKS >= span)
    first, last = math.floor(low / step), math.ceil(high / step)
    return [step * i for i in range(first, max(last, first + 1) + 1)]


def _extent(point: Point, measure: str) -> list[float]:
    interval = point.quality.intervals[measure]
    return [point.quality.means[measure], *(interval or ())]


def _colour(found: Curve, course: Course) -> str:
    is_network = course.reconstructor == NETWORK
    alike = [each.name for each in found.courses if (each.reconstructor == NETWORK) == is_network]
    palette = _NETWORKS if is_network else _SOLVERS
    return palette[alike.index(course.name) % len(palette)]


def _grid(frame: _Frame, measure: str) -> list[str]:
    parts = []
    for tick in frame.ticks:
        y = frame.y(tick)
        parts.append(_line(_LEFT, y, _PLOT, y, _RULE))
        parts.append(_text(_LEFT - 8, y + 4, f"{tick:.4g}", anchor="end"))
    middle = (_TOP + _HEIGHT - _BOTTOM) / 2
    label = escape(MEASURES[measure].label)
    parts.append(
        f'<text transform="translate(20 {middle:.1f}) rotate(-90)" text-anchor="middle" fill="{_INK}" '
        f'font-weight="600">{label}</text>'
    )
    return parts


def _budgets(frame: _Frame, points: Sequence[Point], unit_name: str) -> list[str]:
    """The counts below, with their accelerations; what they cost above."""
    bottom, parts = _HEIGHT - _BOTTOM, []
    for point in points:
        x = frame.x(point.budget.n_readings)
        parts.append(_line(x, bottom, x, bottom + 5, _SOFT))
        parts.append(_text(x, bottom + 20, str(point.budget.n_readings), colour=_INK))
        parts.append(_text(x, bottom + 36, f"{point.budget.acceleration:.3g}x"))
        if point.costs:
            parts.append(_line(x, _TOP, x, _TOP - 5, _SOFT))
            parts.append(_text(x, _TOP - 10, short_number(point.costs[0].value)))
    middle = (_LEFT + _PLOT) / 2
    parts.append(_text(middle, bottom + 58, f"{unit_name}s measured (acceleration)", colour=_INK, bold=True))
    parts.append(_line(_LEFT, bottom, _PLOT, bottom, _SOFT))
    if points[0].costs:
        parts.append(_line(_LEFT, _TOP, _PLOT, _TOP, _SOFT))
        parts.append(_text(middle, _TOP - 34, points[0].costs[0].label, colour=_INK, bold=True))
    return parts


def _knee(frame: _Frame, found: Curve) -> list[str]:
    points = [point for course in found.courses for point in course.points if point.amount == found.knee]
    if not points:
        return []
    x = frame.x(points[0].budget.n_readings)
    return [
        _line(x, _TOP, x, _HEIGHT - _BOTTOM, _SOFT, dashes="2 4"),
        _text(x + 6, _HEIGHT - _BOTTOM - 8, "knee", anchor="start"),
    ]


def _course(frame: _Frame, course: Course, colour: str, measure: str, shift: float) -> list[str]:
    """A line through the means, and the intervals, moved aside a little so that they don't hide each other."""
    means = [(frame.x(p.budget.n_readings), frame.y(p.quality.means[measure])) for p in course.points]
    dashes = "" if course.reconstructor == NETWORK else ' stroke-dasharray="6 4"'
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in means)
    parts = [f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"{dashes}/>']
    for (x, y), point in zip(means, course.points, strict=True):
        interval = point.quality.intervals[measure]
        if interval is not None:
            low, high = (frame.y(end) for end in interval)
            parts.append(_line(x + shift, low, x + shift, high, colour))
        parts.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3.5" fill="{colour}"/>')
    return parts


def _diamond(x: float, y: float, colour: str) -> str:
    path = f"M{x:.1f} {y - 7:.1f}l7 7l-7 7l-7 -7z"
    return f'<path d="{path}" fill="#fff" fill-opacity="0.6" stroke="{colour}" stroke-width="1.8"/>'


def _names(frame: _Frame, found: Curve, measure: str) -> list[str]:
    """Each course's name beside its last point, apart from the others'; what bars and diamonds are below."""
    wanted = sorted((frame.y(each.points[-1].quality.means[measure]), each.name, each) for each in found.courses)
    parts, last, end = [], -math.inf, _PLOT
    for y, name, course in wanted:
        last = max(y + 4, last + _LABEL_GAP)
        colour = _colour(found, course)
        parts.append(_line(frame.x(course.points[-1].budget.n_readings) + 6, y, end + 8, last - 4, colour, width=0.6))
        parts.append(_text(end + 12, last, name, colour=colour, anchor="start", bold=course.reconstructor == NETWORK))
    y = _HEIGHT - _BOTTOM + 20
    if any(point.quality.intervals[measure] for course in found.courses for point in course.points):
        parts.append(_text(end + 24, y, "bars: 95 % over subjects", anchor="start"))
    if found.checks:
        parts.append(_diamond(end + 14, y + 14, _SOFT))
        parts.append(_text(end + 26, y + 18, "after fine-tuning", anchor="start"))
    return parts


def short_number(value: float) -> str:
    """``12.5``, ``1.3 M``: three digits."""
    for size, letter in ((1e9, " G"), (1e6, " M")):
        if abs(value) >= size:
            return f"{value / size:.3g}{letter}"
    return f"{value:.3g}" if abs(value) < 1000 else f"{value:.0f}"


def _line(x1: float, y1: float, x2: float, y2: float, colour: str, *, width: float = 1.2, dashes: str = "none") -> str:
    ends = f'x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}"'
    return f'<line {ends} stroke="{colour}" stroke-width="{width}" stroke-dasharray="{dashes}"/>'


def _text(x: float, y: float, words: str, *, colour: str = _SOFT, anchor: str = "middle", bold: bool = False) -> str:
    weight = ' font-weight="600"' if bold else ""
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" fill="{colour}"{weight}>{escape(words)}</text>'
