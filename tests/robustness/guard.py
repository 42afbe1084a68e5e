"""What reading one file may cost: ten seconds, and memory of four times the file and 512 MiB; a crash is seen too."""

from __future__ import annotations

import logging
import multiprocessing
import os
import resource
import signal
import threading
import time
import traceback
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any

from acqplan.core.errors import AcqplanError

MOST_SECONDS = 10.0
FREE_BYTES, TIMES = 512 << 20, 4
_VIRTUAL_BYTES = 6 << 30  # address space that costs no memory: stacks of threads, a read of more than the file holds
_IN_NATIVE_CODE_S = 5.0  # beyond the time, until the process is ended: HDF5 doesn't return for a signal


@dataclass(frozen=True)
class Outcome:
    """How a reading ended: ``read``, ``refused`` or ``fault``, with what it cost and what was said."""

    ended: str
    seconds: float = 0.0
    extra_bytes: int = 0
    said: str = ""


class Hang(BaseException):
    """Raised by the alarm; nothing catches it on its way."""


def watched(call: Callable[[], None], file_bytes: int) -> Outcome:
    """Run ``call`` in this process; an `AcqplanError` is a refusal, any other exception a fault."""
    before = _reset_peak()
    started = time.perf_counter()
    allowed = FREE_BYTES + TIMES * file_bytes
    try:
        with _alarm(MOST_SECONDS), _limited(allowed + _VIRTUAL_BYTES), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            call()
        ended, said = "read", ""
    except AcqplanError as error:
        ended, said = "refused", str(error)
        if _is_of_memory(error) and "claims" not in said:
            ended, said = "fault", f"out of memory: {traceback.format_exc()}"
    except (Exception, Hang):
        ended, said = "fault", traceback.format_exc()
    extra = _peak() - before
    seconds = time.perf_counter() - started
    if ended != "fault" and extra > allowed:
        ended, said = "fault", f"{extra >> 20} MiB of memory, {allowed >> 20} MiB are allowed; {ended}: {said}"
    return Outcome(ended, seconds, extra, said)


def in_workers(jobs: Iterator[Any], work: Callable[[Any], Outcome], batch: int = 200) -> Iterator[tuple[Any, Outcome]]:
    """(job, outcome) of each, from forked processes, each for ``batch`` jobs; one may crash or hang."""
    worker: Worker | None = None
    try:
        for job in jobs:
            if worker is None or worker.done >= batch:
                if worker is not None:
                    worker.end()
                worker = Worker(work)
            outcome = worker.outcome_of(job)
            yield job, outcome
            if not worker.process.is_alive():
                worker = None
    finally:
        if worker is not None:
            worker.end()


class Worker:
    """A forked process that answers one job after another."""

    def __init__(self, work: Callable[[Any], Outcome]) -> None:
        context = multiprocessing.get_context("fork")
        self._ours, theirs = context.Pipe()
        self.process = context.Process(target=_answer, args=(theirs, self._ours, work), daemon=True)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # that other threads were not forked is known
            self.process.start()
        theirs.close()
        self.done = 0

    def outcome_of(self, job: Any) -> Outcome:
        """The answer, or a fault if the process ends or doesn't answer in time."""
        started = time.perf_counter()
        self.done += 1
        self._ours.send(job)
        try:
            if self._ours.poll(MOST_SECONDS + _IN_NATIVE_CODE_S):
                answer: Outcome = self._ours.recv()
                return answer
            said = "hang: no answer, and none to the alarm"
        except EOFError:
            self.process.join()
            said = f"crash: the process ended with {self.process.exitcode}"
        self.end()
        return Outcome("fault", time.perf_counter() - started, 0, said)

    def end(self) -> None:
        """End the process."""
        self._ours.close()
        self.process.kill()
        self.process.join()


def _answer(connection: Connection, other_end: Connection, work: Callable[[Any], Outcome]) -> None:
    other_end.close()
    logging.disable(logging.CRITICAL)  # tifffile tells of each damaged tag
    while True:
        try:
            job = connection.recv()
        except EOFError:
            os._exit(0)
        connection.send(work(job))


@contextmanager
def _alarm(seconds: float) -> Iterator[None]:
    def ring(number: int, frame: Any) -> None:
        raise Hang

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


@contextmanager
def _limited(extra_bytes: int) -> Iterator[None]:
    """A bound of the address space beyond what there is, so that a fault doesn't harm the machine."""
    before = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (_status("VmSize") + extra_bytes, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)


def _reset_peak() -> int:
    """Bytes in memory now; the peak is counted from here on."""
    with open("/proc/self/clear_refs", "w") as stream:
        stream.write("5")
    return _status("VmRSS")


def _peak() -> int:
    return _status("VmHWM")


def _status(name: str) -> int:
    with open("/proc/self/status") as stream:
        for line in stream:
            if line.startswith(f"{name}:"):
                return int(line.split()[1]) << 10
    raise RuntimeError(f"the system doesn't tell {name}")


def _is_of_memory(error: BaseException | None) -> bool:
    seen = 0
    while error is not None and seen < 20:
        if isinstance(error, MemoryError) or "llocate memory" in str(error) or "bad_alloc" in str(error):
            return True
        error, seen = error.__cause__ or error.__context__, seen + 1
    return False
