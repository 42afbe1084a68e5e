"""What the terminal shows: results on stdout, everything else on stderr; plain lines where there is no terminal."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from rich.console import Console
from rich.text import Text

from acqplan.errors import AcqplanError

_PLAIN_WIDTH = 140


def stdout() -> Console:
    """Where results go."""
    return _console(stderr=False)


def stderr() -> Console:
    """Where notes, warnings, progress and errors go."""
    return _console(stderr=True)


def _console(stderr: bool) -> Console:
    stream = sys.stderr if stderr else sys.stdout
    width = None if stream.isatty() else _PLAIN_WIDTH
    return Console(stderr=stderr, width=width, highlight=False, soft_wrap=True)


def show_error(error: AcqplanError) -> None:
    """Two lines: the cause, and the remedy."""
    console = stderr()
    console.print(Text.assemble(("Error: ", "bold red"), _one_line(error.problem)))
    console.print(Text.assemble(("Remedy: ", "bold"), _one_line(error.remedy)))


def note(text: str) -> None:
    """One line of what was done."""
    stderr().print(Text(text))


def warn(warnings: Sequence[str]) -> None:
    """One line each."""
    console = stderr()
    for warning in warnings:
        console.print(Text.assemble(("Warning: ", "bold yellow"), _one_line(warning)))


def table(columns: Sequence[str], rows: Sequence[Sequence[str]], *, title: str | None = None, text: int = 1) -> None:
    """A table on stdout; the first ``text`` columns to the left, numbers to the right."""
    from rich import box
    from rich.table import Table

    shown = Table(box=box.SIMPLE_HEAD, title=title, title_justify="left", title_style="bold", pad_edge=False)
    for i, column in enumerate(columns):
        shown.add_column(column, justify="left" if i < text else "right", overflow="fold")
    for row in rows:
        shown.add_row(*(Text(cell) for cell in row))
    stdout().print(shown)


def facts(rows: Sequence[tuple[str, str]]) -> None:
    """Names and values on stdout, in two columns."""
    from rich.table import Table

    shown = Table(box=None, show_header=False, pad_edge=False, padding=(0, 2, 0, 0))
    shown.add_column(style="bold", no_wrap=True)
    shown.add_column(overflow="fold")
    for name, value in rows:
        shown.add_row(Text(name), Text(value))
    stdout().print(shown)


@contextmanager
def working(text: str) -> Iterator[None]:
    """A spinner while something without steps runs; without a terminal nothing."""
    console = stderr()
    if console.is_terminal:
        with console.status(text):
            yield
    else:
        yield


def metric_cells(values: dict[str, float]) -> list[str]:
    """PSNR, SSIM and NRMSE of one row."""
    return [f"{values['psnr_db']:.2f}", f"{values['ssim']:.4f}", f"{values['nrmse']:.4f}"]


METRIC_COLUMNS = ("PSNR / dB", "SSIM", "NRMSE")


def _one_line(text: str) -> str:
    return " ".join(text.split())
