"""What is seen of a training while it runs."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from rich.progress import BarColumn, Progress, SpinnerColumn, TaskID, TextColumn
from rich.text import Text

from acqplan.cli.console import clock, stderr

if TYPE_CHECKING:
    from acqplan.learning.progress import Progress as TrainingProgress

_PHASES = {
    "joint": "pattern and network",
    "search": "search for the pattern",
    "fine-tune": "network on the frozen pattern",
}
_PLAIN_LINES = 10  # of a training, where there is no terminal
_QUIET_S = 5.0  # of preparation, where there is no terminal: between two lines


class TrainingDisplay:
    """Follows a training: a bar on a terminal, about ten plain lines elsewhere. Call it with each `Progress`."""

    def __init__(self, title: str = "", *, learns_pattern: bool = True) -> None:
        self._console = stderr()
        self._title = f"{title}: " if title else ""
        self._learns_pattern = learns_pattern
        self._bar: Progress | None = None
        self._task: TaskID | None = None
        self._told = (-1, "")
        self._prepared_at = time.monotonic()

    def __enter__(self) -> TrainingDisplay:
        if self._console.is_terminal:
            self._bar = Progress(
                SpinnerColumn(),
                TextColumn("{task.description}", markup=False),
                BarColumn(bar_width=None),
                TextColumn("{task.percentage:>3.0f} %"),
                TextColumn("{task.fields[state]}"),
                console=self._console,
            )
            self._bar.start()
            self._task = self._bar.add_task(f"{self._title}reading images", total=None, state="")
        return self

    def begin(self, title: str, *, learns_pattern: bool) -> None:
        """Start following another training, or something that has no steps."""
        self._title = f"{title}: "
        self._learns_pattern = learns_pattern
        self._told = (-1, "")
        if self._bar is not None and self._task is not None:
            self._bar.reset(self._task, description=title, total=None, state="")
        else:
            self._console.print(Text(title))

    def prepare(self, what: str, done: int, total: int) -> None:
        """Tell what is done before the first step; without a terminal, only of what takes longer."""
        if self._bar is not None and self._task is not None:
            self._bar.update(
                self._task, description=f"{self._title}{what}", total=total or None, completed=done, state=""
            )
            return
        if time.monotonic() - self._prepared_at > _QUIET_S:
            self._prepared_at = time.monotonic()
            count = f": {done} of {total}" if total else ""
            self._console.print(Text(f"{self._title}{what}{count}"))

    def __exit__(self, *failure: Any) -> None:
        if self._bar is not None:
            self._bar.stop()

    def __call__(self, progress: TrainingProgress) -> None:
        phase = _PHASES.get(progress.phase, progress.phase) if self._learns_pattern else "network"
        state = f"{_quality(progress)}{clock(progress.remaining_s)} left"
        if self._bar is not None and self._task is not None:
            description = f"{self._title}{phase}"
            self._bar.update(
                self._task, description=description, total=progress.n_steps, completed=progress.step, state=state
            )
            return
        tenth = progress.step * _PLAIN_LINES // max(1, progress.n_steps)
        if phase != self._told[1] or tenth > self._told[0]:  # a clock that rules the steps may take some back
            self._told = (tenth, phase)
            unit = "round" if progress.phase == "search" else "step"
            self._console.print(Text(f"{self._title}{phase}: {unit} {progress.step} of {progress.n_steps}  {state}"))


def _quality(progress: TrainingProgress) -> str:
    loss = "" if progress.loss is None else f"loss {progress.loss:.2e}  "
    where = "best" if progress.phase == "search" else "validation"
    return loss if progress.psnr_db is None else f"{loss}{where} {progress.psnr_db:.2f} dB  "
