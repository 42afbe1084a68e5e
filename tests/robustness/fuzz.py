"""Damage the files of every reader, and see each refused or read, in time and in little memory."""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from robustness.guard import Outcome, in_workers, watched
from robustness.mutations import mutated
from robustness.target import Target
from robustness.targets import makers


@dataclass
class Report:
    """What became of the files."""

    counts: Counter[str] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)
    peak_bytes: int = 0
    longest_s: float = 0.0

    def add(self, name: str, outcome: Outcome) -> None:
        """Count one; the name is told with a fault."""
        self.counts[outcome.ended] += 1
        self.peak_bytes = max(self.peak_bytes, outcome.extra_bytes)
        self.longest_s = max(self.longest_s, outcome.seconds)
        if outcome.ended == "fault":
            self.faults.append(f"{name}: {outcome.said}")

    def text(self) -> str:
        """One line."""
        counts = ", ".join(f"{self.counts[name]} {name}" for name in ("refused", "read", "fault"))
        return (
            f"{self.counts.total()} files: {counts}; at most {self.peak_bytes / 2**20:.0f} MiB beyond the start, "
            f"{self.longest_s:.2f} s"
        )


@dataclass(frozen=True)
class _Job:
    target: int
    content: bytes
    way: str


def fuzz(
    names: list[str],
    files: int,
    seed: int = 0,
    keep: Path | None = None,
    follow: Callable[[Report], None] = lambda report: None,
) -> Report:
    """Damage ``files`` files of the readers ``names``, shared out among their targets.

    Parameters
    ----------
    keep
        Folder for the files that were faults, each with its traceback.
    follow
        Called after every hundredth file.
    """
    report, made = Report(), makers()
    with tempfile.TemporaryDirectory(prefix="acqplan-fuzz-") as parent:
        targets: list[Target] = []
        for number, name in enumerate(names):
            folder = Path(parent) / str(number)
            folder.mkdir()
            targets += made[name](folder)
        originals = [target.path.read_bytes() for target in targets]

        def work(job: _Job) -> Outcome:
            target = targets[job.target]
            target.path.write_bytes(job.content)
            try:
                return watched(target.read, len(job.content))
            finally:
                target.path.write_bytes(originals[job.target])

        for target, outcome in in_workers(iter(range(len(targets))), lambda number: watched(targets[number].read, 0)):
            if outcome.ended != "read":
                report.add(f"{targets[target].name}, undamaged", Outcome("fault", said=outcome.said))
        for job, outcome in in_workers(_jobs(originals, files, seed), work):
            target = targets[job.target]
            if outcome.ended == "fault":
                target.path.write_bytes(originals[job.target])  # the process may have ended before it did
                if keep is not None:
                    _keep(keep, f"{report.counts.total():06d}-{target.path.name}", job, target, outcome)
            report.add(f"{target.name}, {job.way}", outcome)
            if report.counts.total() % 100 == 0:
                follow(report)
    return report


def _jobs(originals: list[bytes], files: int, seed: int) -> Iterator[_Job]:
    for number in range(files):
        target = number % len(originals)
        random = np.random.default_rng((seed, number))
        content, way = mutated(originals[target], random)
        if random.random() < 0.15:
            content, again = mutated(content, random, is_sound=False)
            way = f"{way}, {again}"
        yield _Job(target, content, way)


def _keep(folder: Path, name: str, job: _Job, target: Target, outcome: Outcome) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(job.content)
    (folder / f"{name}.txt").write_text(f"{target.name}: {job.way}\n{outcome.said}\n", encoding="utf-8")
