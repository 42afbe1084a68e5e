"""What a plan loses under each stress, as bars."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from acqplan.workflow.stress import Row

_BARS, _LABELS, _NUMBERS = 320, 340, 80  # widths of the drawing's parts
_LINE = 34
_PLAN, _SOLVER, _AXIS = "#16467f", "#a9b3bf", "#5a6675"


def loss_bars(rows: Sequence[Row]) -> str:
    """SVG: for each stress the plan's loss of PSNR above the solver's; to the left of the line is a gain."""
    values = [value for row in rows for value in (row.loss_db, row.solver_loss_db)]
    lowest, highest = min(0.0, *values), max(0.5, *values)
    scale = _BARS / (highest - lowest)
    zero = _LABELS - lowest * scale
    parts = []
    for i, row in enumerate(rows):
        top = i * _LINE
        parts.append(_text(_LABELS - 12, top + 21, row.words, "end"))
        for offset, value, colour in ((6, row.loss_db, _PLAN), (17, row.solver_loss_db, _SOLVER)):
            parts.append(_bar(zero + min(0.0, value) * scale, top + offset, abs(value) * scale, 10, colour))
        parts.append(
            _text(
                zero + max(0.0, row.loss_db, row.solver_loss_db) * scale + 8, top + 21, f"{row.loss_db:+.2f}", "start"
            )
        )
    parts.append(_bar(zero - 0.5, 0, 1, len(rows) * _LINE, _AXIS))
    width, height = _LABELS + _BARS + _NUMBERS, len(rows) * _LINE
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" role="img" '
        f'aria-label="loss of PSNR under each stress, in dB" font-family="system-ui, sans-serif" font-size="13">'
        f"{''.join(parts)}</svg>"
    )


def _text(x: float, y: float, words: str, anchor: str) -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" fill="#1c2430">{escape(words)}</text>'


def _bar(x: float, y: float, width: float, height: float, colour: str) -> str:
    return f'<rect x="{x:.1f}" y="{y:.1f}" width="{max(width, 1):.1f}" height="{height}" fill="{colour}"/>'
