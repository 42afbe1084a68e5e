"""The commands put together, and what a command's end means for the exit code.

Nothing here or in the modules of the commands imports torch or NumPy at its top: help must be quick.
"""

from __future__ import annotations

import io
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

import acqplan
from acqplan.cli import (
    acquire,
    base,
    calibrate,
    catalogue,
    console,
    curve,
    demo,
    design,
    error_map,
    evidence,
    explore,
    plans,
    prove,
    reconstruct,
    stress,
    verify,
)
from acqplan.cli.arguments import SeveralValues, examples
from acqplan.cli.escapes import printable
from acqplan.cli.instrument_flags import instrument_examples, with_instrument_flags
from acqplan.core.errors import AcqplanError

_UsageError: Any = typer.BadParameter.__bases__[0]  # of Click, or of the copy of it that newer versions of Typer hold
_ORDER = (
    "demo",
    "design",
    "base",
    "curve",
    "show",
    "list",
    "export",
    "test",
    "calibrate",
    "simulate",
    "verify",
    "reconstruct",
    "explore",
    "formats",
    "evaluate",
    "compare",
    "stress",
    "error-map",
)


class _InOrder(TyperGroup):
    """Commands in the order in which they are used."""

    def list_commands(self, ctx: typer.Context) -> list[str]:  # type: ignore[override, unused-ignore]
        return list(_ORDER)

    def make_context(self, *arguments: Any, **settings: Any) -> Any:  # type: ignore[override, unused-ignore]
        with _printable_usage_errors():
            return super().make_context(*arguments, **settings)

    def invoke(self, ctx: typer.Context) -> Any:  # type: ignore[override, unused-ignore]
        with _printable_usage_errors():
            return super().invoke(ctx)


@contextmanager
def _printable_usage_errors() -> Iterator[None]:
    """What was typed stands in the messages of Typer, which prints them itself."""
    try:
        yield
    except _UsageError as error:
        error.message = printable(error.message)
        raise


app = typer.Typer(
    cls=_InOrder,
    help="Plan image acquisition: learn a sampling pattern and the network that reconstructs from it, "
    "under an exact measurement budget.",
    epilog=examples(
        "acqplan demo",
        *instrument_examples(""),
        "acqplan evaluate brain.acqplan --images more-scans/ --json result.json",
    ),
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

_PLANNING, _MEASURING, _EVIDENCE = "Planning", "Measuring", "Evidence"

app.command("demo", epilog=demo.EXAMPLES)(demo.demo)
app.add_typer(design.app, name="design", rich_help_panel=_PLANNING)
app.add_typer(base.app, name="base", rich_help_panel=_PLANNING)
app.add_typer(curve.app, name="curve", rich_help_panel=_PLANNING)
app.command("show", cls=SeveralValues, epilog=plans.SHOW_EXAMPLES, rich_help_panel=_PLANNING)(plans.show)
app.command("export", epilog=examples(*instrument_examples("export")), rich_help_panel=_MEASURING)(
    with_instrument_flags("export", plans.export)
)
app.command("simulate", epilog=examples(*instrument_examples("simulate")), rich_help_panel=_MEASURING)(
    with_instrument_flags("simulate", acquire.simulate)
)
app.command("calibrate", epilog=calibrate.EXAMPLES, rich_help_panel=_MEASURING)(calibrate.calibrate)
app.command("verify", epilog=examples(*instrument_examples("verify")), rich_help_panel=_MEASURING)(
    with_instrument_flags("verify", verify.verify)
)
app.command("reconstruct", epilog=examples(*instrument_examples("reconstruct")), rich_help_panel=_MEASURING)(
    with_instrument_flags("reconstruct", reconstruct.reconstruct)
)
app.command("explore", epilog=explore.EXAMPLES, rich_help_panel=_MEASURING)(
    with_instrument_flags("explore", explore.explore)
)
app.command("evaluate", cls=SeveralValues, epilog=evidence.EVALUATE_EXAMPLES, rich_help_panel=_EVIDENCE)(
    evidence.evaluate
)
app.command("compare", cls=SeveralValues, epilog=evidence.COMPARE_EXAMPLES, rich_help_panel=_EVIDENCE)(evidence.compare)
app.command("stress", cls=SeveralValues, epilog=stress.EXAMPLES, rich_help_panel=_EVIDENCE)(stress.stress)
app.command("error-map", cls=SeveralValues, epilog=error_map.EXAMPLES, rich_help_panel=_EVIDENCE)(error_map.error_map)
app.command("test", epilog=prove.EXAMPLES, rich_help_panel=_EVIDENCE)(prove.prove)
app.command("formats", rich_help_panel=_MEASURING)(catalogue.formats)
app.command("list", epilog=catalogue.LIST_EXAMPLES, rich_help_panel=_PLANNING)(catalogue.list_kinds)


def _print_version(wanted: bool) -> None:
    if wanted:
        console.output(f"acqplan {acqplan.__version__}\n")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and stop.")
    ] = False,
) -> None:
    pass


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; ``arguments`` default to those of the process. Returns the exit code.

    Bugs aren't caught: Python prints their traceback and exits with 1.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # a terminal without × or → gets a question mark
    given = list(sys.argv[1:] if arguments is None else arguments)
    try:
        app(args=given, prog_name="acqplan", obj=given)
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    except AcqplanError as error:
        console.show_error(error)
        return 2
    return 0
