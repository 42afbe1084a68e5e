"""What the terminal shows: results on stdout, everything else on stderr; plain lines where there is no terminal.

Whatever is printed goes through here, where text from elsewhere loses its power over the terminal (`printable`).
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager

import typer
from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment
from rich.text import Text

from acqplan.cli.escapes import printable
from acqplan.core.errors import AcqplanError

_PLAIN_WIDTH = 140
_PLAIN_LINES = 10  # of something with steps, where there is no terminal
_QUIET_S = 2.0  # nothing is said of what is done sooner


class _Console(Console):
    """Shows every text as `printable`; only what Rich itself adds for colours and bars moves the terminal."""

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterator[Segment]:
        for segment in super().render(renderable, options):
            yield segment if segment.control else Segment(printable(segment.text), segment.style)


def stdout() -> Console:
    """Where results go."""
    return _console(stderr=False)


def stderr() -> Console:
    """Where notes, warnings, progress and errors go."""
    return _console(stderr=True)


def _console(stderr: bool) -> Console:
    stream = sys.stderr if stderr else sys.stdout
    width = None if stream.isatty() else _PLAIN_WIDTH
    return _Console(stderr=stderr, width=width, highlight=False, soft_wrap=True)


def show_error(error: AcqplanError) -> None:
    """Two lines: the cause, and the remedy."""
    console = stderr()
    console.print(Text.assemble(("Error: ", "bold red"), _one_line(error.problem)))
    console.print(Text.assemble(("Remedy: ", "bold"), _one_line(error.remedy)))


def output(text: str) -> None:
    """Text that a program may read, JSON or TOML, on stdout as it is but for what a terminal would obey."""
    typer.echo(printable(text), nl=False)


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
        with console.status(Text(text)):
            yield
    else:
        yield


@contextmanager
def counting(text: str, total: int) -> Iterator[Callable[[int], None]]:
    """Follows ``total`` steps: call what is yielded with how many are done.

    A bar with the remaining time on a terminal; elsewhere about ten plain lines, none if it takes under two seconds.
    """
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    console = stderr()
    if console.is_terminal:
        columns = (TextColumn("{task.description}", markup=False), BarColumn(bar_width=None), MofNCompleteColumn())
        with Progress(*columns, TimeRemainingColumn(), console=console, transient=True) as bar:
            task = bar.add_task(text, total=total)
            yield lambda done: bar.update(task, completed=done)
        return
    start, told = time.monotonic(), 0

    def tell(done: int) -> None:
        nonlocal told
        elapsed = time.monotonic() - start
        tenth = done * _PLAIN_LINES // max(1, total)
        if elapsed > _QUIET_S and tenth != told:
            told = tenth
            console.print(Text(f"{text}: {done} of {total}  {clock(elapsed / done * (total - done))} left"))

    yield tell


@contextmanager
def following() -> Iterator[Callable[[str, int, int], None]]:
    """Follows a function of the library: what it does as `working`, and where that has steps as `counting`.

    What is yielded is called with what is being done, how many steps are done, and how many there are (0: none).
    """
    shown, told = ExitStack(), ""

    def tell_nothing(done: int) -> None:
        pass

    tell: Callable[[int], None] = tell_nothing

    def follow(what: str, done: int, total: int) -> None:
        nonlocal tell, told
        if what != told:
            shown.close()
            told = what
            if total:
                tell = shown.enter_context(counting(what, total))
            else:
                shown.enter_context(working(what))
                tell = tell_nothing
        if done:
            tell(done)

    with shown:
        yield follow


def clock(seconds: float) -> str:
    """``1:05`` or ``2:00:00``."""
    minutes, rest = divmod(max(0, round(seconds)), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def _one_line(text: str) -> str:
    return " ".join(text.split())
