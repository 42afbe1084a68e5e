"""The long form: ``nice python tests/robustness --files 20000 --loops 500 --kills 200``.

Prints as it goes, keeps each faulty file with its traceback, and ends with the table of docs/reliability.md.
"""

from __future__ import annotations

import argparse
import os
import platform
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

_TESTS = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(_TESTS.parent), str(_TESTS)]

import torch  # noqa: E402

from robustness.fuzz import Report, fuzz  # noqa: E402
from robustness.kills import kill  # noqa: E402
from robustness.soak import soak  # noqa: E402
from robustness.targets import makers  # noqa: E402

_TOLD_EVERY_S = 15.0


class Progress:
    """Prints what a run says of itself, now and then."""

    def __init__(self, what: str) -> None:
        self._what, self._started, self._told = what, time.perf_counter(), 0.0

    def __call__(self, run: Any) -> None:
        now = time.perf_counter()
        if now - self._told > _TOLD_EVERY_S:
            self._told = now
            print(f"{self._what} {now - self._started:5.0f} s: {run.text()}", flush=True)


def main() -> int:
    """Run what was asked for; 1 if there was a fault."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--files", type=int, default=0, help="damaged files, shared out among all readers")
    parser.add_argument("--loops", type=int, default=0, help="random loops from design to image")
    parser.add_argument("--kills", type=int, default=0, help="processes killed at random moments")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", default="", help="readers whose name holds this")
    parser.add_argument("--keep", type=Path, default=Path("robustness-faults"), help="folder for faults")
    given = parser.parse_args()
    torch.set_num_threads(1)
    faults: list[str] = []
    if given.files:
        faults += _fuzz(given)
    with tempfile.TemporaryDirectory(prefix="acqplan-robustness-") as parent:
        for count, run in ((given.loops, soak), (given.kills, kill)):
            if count:
                folder = Path(parent) / run.__name__
                folder.mkdir()
                done = run(folder, count, given.seed, Progress(run.__name__))
                print(f"{run.__name__}: {done.text()}", flush=True)
                faults += done.faults
    for fault in faults:
        print(f"\n{fault}")
    print(
        f"\n{len(faults)} faults; {os.cpu_count()} cores, Python {platform.python_version()}, torch {torch.__version__}"
    )
    return int(bool(faults))


def _fuzz(given: argparse.Namespace) -> list[str]:
    """One reader after another, so that each one's cost and figures are seen."""
    names = [name for name in makers() if given.only in name]
    total, started = Report(), time.perf_counter()
    for number, name in enumerate(names):
        files = given.files // len(names) + (number < given.files % len(names))
        report = fuzz([name], files, given.seed, given.keep / name.replace(" ", "-"), Progress(name))
        print(f"{name}: {report.text()}", flush=True)
        total.counts += report.counts
        total.faults += report.faults
        total.peak_bytes = max(total.peak_bytes, report.peak_bytes)
        total.longest_s = max(total.longest_s, report.longest_s)
    print(f"fuzz: {total.text()} the longest; {time.perf_counter() - started:.0f} s in all", flush=True)
    return total.faults


if __name__ == "__main__":
    sys.exit(main())
