"""The frame of every page: one self-contained HTML file without scripts, fonts or links to anything outside."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from string import Template
from typing import Any

import acqplan
from acqplan.core.files import atomic_file
from acqplan.core.measures import MEASURES
from acqplan.report.figures import Colours, data_uri, error_scale, order_scale, png

_PAGE = Template("""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>$title</title>
<style>
$style</style>
</head>
<body>
<main>
$body
</main>
<footer>Made by acqplan $version.</footer>
</body>
</html>
""")

_STYLE = """
:root { --ink: #1c2430; --soft: #5a6675; --rule: #dde2e8; --tint: #f5f7f9; --mark: #16467f; --good: #e8f1fb; }
* { box-sizing: border-box; }
body { margin: 0; background: #fff; color: var(--ink);
  font: 16px/1.55 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", sans-serif; }
main { max-width: 70rem; margin: 0 auto; padding: 2.5rem 1.25rem 1rem; }
h1 { font-size: 1.9rem; line-height: 1.2; margin: 0 0 .6rem; letter-spacing: -.01em; }
h2 { font-size: 1.35rem; margin: 3rem 0 .6rem; padding-top: 1.4rem; border-top: 1px solid var(--rule); }
h3 { font-size: 1.02rem; margin: 2rem 0 .5rem; }
p { max-width: 46rem; margin: .5rem 0; }
p.lead { font-size: 1.1rem; }
p.note, footer { color: var(--soft); font-size: .88rem; }
footer { max-width: 70rem; margin: 2rem auto; padding: 0 1.25rem; }
.scroll { overflow-x: auto; margin: .8rem 0; }
table { border-collapse: collapse; font-size: .93rem; font-variant-numeric: tabular-nums; }
th, td { padding: .38rem .9rem .38rem 0; text-align: right; border-bottom: 1px solid var(--rule); white-space: nowrap; }
th { font-weight: 600; color: var(--soft); font-size: .85rem; }
th.text, td.text { text-align: left; }
td.wide { white-space: normal; overflow-wrap: anywhere; }
td.best { font-weight: 700; color: var(--mark); }
tr.ours td { background: var(--good); }
tr.ours td:first-child { box-shadow: inset 3px 0 0 var(--mark); padding-left: .6rem; }
.cards { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(8.2rem, 40vw), 1fr));
  gap: 1.4rem 1rem; margin: 1rem 0; }
figure { margin: 0; }
figure img { display: block; width: 100%; image-rendering: pixelated; border-radius: 3px; margin-bottom: .3rem; }
figure.ours { outline: 2px solid var(--mark); outline-offset: 5px; border-radius: 3px; }
figcaption { font-size: .82rem; line-height: 1.4; color: var(--soft); }
figcaption b { display: block; color: var(--ink); font-size: .9rem; }
.drawing svg { display: block; width: 100%; min-width: 34rem; max-width: 60rem; height: auto; }
.blank { aspect-ratio: 1; background: var(--tint); border-radius: 3px; margin-bottom: .3rem; padding: .8rem;
  font-size: .8rem; color: var(--soft); }
.scale { display: flex; flex-wrap: wrap; align-items: center; gap: .2rem .6rem;
  font-size: .82rem; color: var(--soft); margin: .4rem 0 1rem; }
.scale img { width: 12rem; height: .7rem; border-radius: 2px; }
.warning { border-left: 3px solid #c98a1b; background: #fdf7ea; padding: .5rem .9rem; max-width: 46rem; margin: .6rem 0;
  font-size: .9rem; }
pre { background: var(--tint); padding: .8rem 1rem; border-radius: 4px; overflow-x: auto; font-size: .82rem;
  line-height: 1.5; }
code { font-family: ui-monospace, SFMono-Regular, Menlo, Consolas, monospace; font-size: .92em; }
.beside { display: grid; grid-template-columns: minmax(14rem, 22rem) 1fr; gap: 2rem; align-items: start; }
.beside figure + figure { margin-top: 1.2rem; }
@media (max-width: 48rem) { .beside { grid-template-columns: 1fr; } h1 { font-size: 1.5rem; } }
@media screen and (prefers-color-scheme: dark) {
  :root { --ink: #e4e8ee; --soft: #a3adba; --rule: #323a45; --tint: #20262e; --mark: #8fbcf2; --good: #1d2c3f; }
  body { background: #14181d; }
  .warning { background: #33290f; }
  .drawing svg { background: #fff; border-radius: 4px; }
}
@media print { body { font-size: 11pt; } main { max-width: none; } figure, table { break-inside: avoid; } }
"""


def page(title: str, body: Sequence[str]) -> str:
    """The whole document; the parts of ``body`` are HTML."""
    return _PAGE.substitute(
        title=escape(title), style=_STYLE.strip() + "\n", body="\n".join(body), version=escape(acqplan.__version__)
    )


def write_page(html: str, path: Path, *, overwrite: bool = False) -> None:
    """Write a page atomically."""
    with atomic_file(path, overwrite=overwrite) as temporary:
        temporary.write_text(html, encoding="utf-8")


def image(pixels: Colours, description: str) -> str:
    """A picture of uint8[H, W] or [H, W, 3]; the page enlarges it without smoothing."""
    return f'<img src="{data_uri(png(pixels))}" alt="{escape(description)}">'


def drawing(svg: str) -> str:
    """An SVG as wide as the page; on a narrow window it scrolls."""
    return f'<div class="scroll drawing">{svg}</div>'


def blank(text: str) -> str:
    """A square of words in the place of a picture."""
    return f'<div class="blank">{escape(text)}</div>'


def figure(pictures: Sequence[str], title: str, lines: Sequence[str] = (), *, is_ours: bool = False) -> str:
    """Pictures above each other with a caption."""
    caption = "<br>".join(escape(line) for line in lines)
    kind = ' class="ours"' if is_ours else ""
    return f"<figure{kind}>{''.join(pictures)}<figcaption><b>{escape(title)}</b>{caption}</figcaption></figure>"


def cards(figures: Sequence[str]) -> str:
    """Figures side by side, as many as the window has room for."""
    return f'<div class="cards" style="max-width: {15 * len(figures)}rem">{"".join(figures)}</div>'


def error_legend(brightest: float, data_range: float, gain: int) -> str:
    """The colour scale of error pictures."""
    share = 100 * brightest / data_range
    scale = image(error_scale(), "colour scale")
    return (
        f'<div class="scale"><span>|error| 0</span>{scale}<span>{share:.3g} % of the image’s peak or more '
        f"(×{gain})</span></div>"
    )


def order_legend(first: str, last: str) -> str:
    """The colour scale of pictures of the order of acquisition."""
    scale = image(order_scale(), "colour scale")
    return f'<div class="scale"><span>{escape(first)}</span>{scale}<span>{escape(last)}</span></div>'


def table(
    columns: Sequence[str],
    rows: Sequence[Sequence[str]],
    *,
    text: int = 1,
    ours: Sequence[int] = (),
    best: Sequence[tuple[int, int]] = (),
    caption: str = "",
) -> str:
    """A table; the first ``text`` columns are text, ``best`` are cells (row, column) that win."""

    def kind(row: int, column: int) -> str:
        names = [name for name, on in (("text", column < text), ("best", (row, column) in best)) if on]
        return f' class="{" ".join(names)}"' if names else ""

    head = "".join(f'<th scope="col"{kind(-1, j)}>{escape(name)}</th>' for j, name in enumerate(columns))
    body = "".join(
        ('<tr class="ours">' if i in ours else "<tr>")
        + "".join(f"<td{kind(i, j)}>{escape(cell)}</td>" for j, cell in enumerate(row))
        + "</tr>\n"
        for i, row in enumerate(rows)
    )
    below = paragraph(caption, "note") if caption else ""
    return f'<div class="scroll"><table><thead><tr>{head}</tr></thead>\n<tbody>{body}</tbody></table></div>{below}'


def facts_table(rows: Sequence[tuple[str, str]]) -> str:
    """Names and values."""
    body = "".join(
        f'<tr><th class="text" scope="row">{escape(name)}</th><td class="text wide">{escape(value)}</td></tr>\n'
        for name, value in rows
    )
    return f'<div class="scroll"><table><tbody>{body}</tbody></table></div>'


def paragraph(text: str, kind: str = "") -> str:
    """A paragraph of plain text; ``kind`` is ``lead``, ``note`` or ``warning``."""
    attribute = f' class="{kind}"' if kind else ""
    return f"<p{attribute}>{escape(text)}</p>"


def heading(text: str, level: int = 2) -> str:
    """A heading."""
    return f"<h{level}>{escape(text)}</h{level}>"


def code(text: str) -> str:
    """A block of commands."""
    return f"<pre><code>{escape(text)}</code></pre>"


def best_cells(values: Sequence[Mapping[str, Any]], names: Sequence[str], first_column: int) -> list[tuple[int, int]]:
    """Cells (row, column) of the best value of each measure, all that are equal as shown to four digits."""
    cells = []
    for j, name in enumerate(names):
        column = {i: float(row[name]) for i, row in enumerate(values) if row.get(name) is not None}
        if column:
            top = (max if MEASURES[name].larger_is_better else min)(column.values())
            cells += [(i, first_column + j) for i, value in column.items() if f"{value:.4g}" == f"{top:.4g}"]
    return cells
