"""Ctrl-C and termination signals while a plan is trained: stop between two steps, and say how to go on."""

from __future__ import annotations

import shlex
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

import typer

from acqplan.cli import console

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class StopBetweenSteps:
    """Turns the first signal into a stop after the step that is running, so that the saved state is whole.

    Before the first step, and at a second signal, it stops at once. At the end of the block a stop becomes a
    message and the exit code 128 + signal number.

    Parameters
    ----------
    checkpoint
        Where training saves its state.
    command
        The command that started it; --resume or --keep goes on from there.
    """

    def __init__(self, checkpoint: Path, command: str) -> None:
        self._checkpoint = checkpoint
        self._command = command
        self._received: int | None = None
        self._has_begun = False
        self._before: dict[signal.Signals, Any] = {}

    def __enter__(self) -> StopBetweenSteps:
        try:
            for number in _SIGNALS:
                self._before[number] = signal.signal(number, self._on_signal)
        except ValueError:  # not in the main thread: signals stay as they are
            self._before.clear()
        return self

    def __exit__(self, kind: type[BaseException] | None, *rest: Any) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        if kind is not None and issubclass(kind, KeyboardInterrupt):
            if self._has_begun and self._checkpoint.exists():
                console.note(f"Stopped; training is saved in {self._checkpoint}.")
                console.note("To freeze the pattern, keep the network as it is, and write the plan now:")
                console.note(f"  {self._command} --keep")
                console.note("Go on with:")
                console.note(f"  {self._command} --resume")
            else:
                console.note("Stopped before the first step; nothing was written.")
            raise typer.Exit(128 + (self._received or signal.SIGINT))

    def after_step(self) -> None:
        """Tell that a step is complete; raises `KeyboardInterrupt` if a signal asked to stop."""
        self._has_begun = True
        if self._received is not None:
            raise KeyboardInterrupt

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        is_first = self._received is None
        self._received = number
        if not (self._has_begun and is_first):
            raise KeyboardInterrupt


@contextmanager
def stopping_at_signals() -> Iterator[None]:
    """Within it a termination signal, too, raises `KeyboardInterrupt`: what there is so far can be kept."""

    def stop(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    try:
        before = {number: signal.signal(number, stop) for number in _SIGNALS}
    except ValueError:  # not in the main thread: signals stay as they are
        before = {}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def given_command(arguments: list[str] | None) -> str:
    """The command that was given, without what says how to go on."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    return shlex.join(["acqplan", *(word for word in given if word not in ("--resume", "--keep"))])
