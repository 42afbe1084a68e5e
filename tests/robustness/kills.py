"""Kills at random moments: what was there stays whole, what comes is whole, and training loses at most a minute."""

from __future__ import annotations

import multiprocessing
import os
import signal
import time
import traceback
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from builders.instruments import SMALL as OPTIONS
from builders.trainings import make_recipe, write_scans

import acqplan
from acqplan.core.registry import kinds
from acqplan.formats.contracts import PatternFormat
from acqplan.learning import checkpoint, training
from acqplan.learning.progress import Progress
from acqplan.plan.plan import Plan
from acqplan.plan.recipe import Recipe

_EVERY_S = 0.05  # between checkpoints, instead of 45 s: a killed training lasts a second here
_STEPS = 120  # take a second, of which a forked process needs a tenth to begin
_SLOW_S = 1.0  # a step or a write that the machine was slow with
Random = np.random.Generator


@dataclass
class Kills:
    """What became of the killed processes."""

    kills: int = 0
    resumed: int = 0
    ended_before: int = 0
    longest_lost_s: float = 0.0
    faults: list[str] = field(default_factory=list)

    def text(self) -> str:
        """One line."""
        return (
            f"{self.kills} kills, {self.resumed} trainings resumed, {self.ended_before} had ended before; at most "
            f"{self.longest_lost_s:.2f} s of training lost with a checkpoint every {_EVERY_S} s; "
            f"{len(self.faults)} faults"
        )


def kill(folder: Path, kills: int, seed: int = 0, follow: Callable[[Kills], None] = lambda done: None) -> Kills:
    """Kill processes that design, export, simulate or reconstruct, in an empty folder."""
    done = Kills()
    scene = Scene(folder)
    jobs = (_design, _design, _export, _simulate, _reconstruct)
    number = 0
    while done.kills < kills:
        random = np.random.default_rng((seed, number))
        job = jobs[number % len(jobs)]
        own = folder / f"job{number}"
        own.mkdir()
        try:
            job(scene, own, random, done)
        except Exception:
            done.faults.append(f"{number} {job.__name__}: {traceback.format_exc()}")
        number += 1
        follow(done)
    return done


class Scene:
    """A recipe, the plan that it gives undisturbed, and data acquired with it."""

    def __init__(self, folder: Path) -> None:
        scans = write_scans(folder / "scans")
        self.recipe: Recipe = make_recipe(scans, steps=_STEPS)
        self.plan = acqplan.design(self.recipe)
        self.seconds = _time_of(lambda: acqplan.design(self.recipe))
        self.image = scans / "subject0.npy"
        self.acquired = folder / "acquired.h5"
        acqplan.simulate(self.plan, self.image, self.acquired)
        self.result = acqplan.reconstruct(self.plan, self.acquired).images


def killed_after(seconds: float, call: Callable[[], Any]) -> bool:
    """Run ``call`` in a forked process that is killed after some seconds; False if it had ended before."""
    context = multiprocessing.get_context("fork")
    process = context.Process(target=_quietly, args=(call,), daemon=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        process.start()
    process.join(seconds)
    is_killed = process.is_alive()
    if is_killed:
        assert process.pid is not None
        os.kill(process.pid, signal.SIGKILL)
    process.join()
    assert is_killed or process.exitcode == 0, f"the process ended with {process.exitcode}"
    return is_killed


def _quietly(call: Callable[[], Any]) -> None:
    training.CHECKPOINT_EVERY_S = _EVERY_S
    call()
    os._exit(0)


def _design(scene: Scene, folder: Path, random: Random, done: Kills) -> None:
    """Killed up to three times, resumed each time: the plan is the undisturbed one."""
    output, state, times = folder / "plan.acqplan", folder / "run.checkpoint", folder / "times"

    def design(resume: bool) -> None:
        with times.open("a") as stream:

            def note(progress: Progress) -> None:
                stream.write(f"{progress.step} {time.time()}\n")
                stream.flush()

            plan = acqplan.design(scene.recipe, checkpoint=state, resume=resume, progress=note)
        plan.save(output, overwrite=True)

    for _ in range(int(random.integers(1, 4))):
        is_resumed = state.exists()
        times.write_text("")
        is_killed = killed_after(random.uniform(0.1, 0.9) * scene.seconds, lambda resume=is_resumed: design(resume))
        killed_at = time.time()
        if output.exists():
            assert Plan.load(output).plan_id == scene.plan.plan_id
        if not is_killed:
            done.ended_before += 1
            return
        done.kills += 1
        done.resumed += is_resumed
        _little_is_lost(state, times, killed_at, done)
    done.resumed += state.exists()
    design(state.exists())
    assert Plan.load(output).plan_id == scene.plan.plan_id, "the resumed plan is another"
    left = {path.name for path in folder.iterdir()}
    assert left <= {"plan.acqplan", "run.checkpoint", "times"}, f"left behind: {sorted(left)}"


def _little_is_lost(state: Path, times: Path, killed_at: float, done: Kills) -> None:
    lines = [line.split() for line in times.read_text().splitlines() if line.count(" ") == 1]
    taken = {int(step): float(when) for step, when in lines}
    if not taken:
        return
    kept = checkpoint.load(state)["step"] if state.exists() else 0
    lost = [when for step, when in taken.items() if step > kept]
    if lost:
        seconds = max(taken.values()) - min(lost)
        done.longest_lost_s = max(done.longest_lost_s, seconds)
        assert seconds <= _EVERY_S + _SLOW_S, f"{seconds:.2f} s of training were lost"


def _export(scene: Scene, folder: Path, random: Random, done: Kills) -> None:
    """An export over an older one: the old one or the new one is there, whole, and nothing else after the next."""
    fitting = [
        kind
        for kind, cls in kinds("instruments").items()
        if issubclass(cls, PatternFormat)
        and scene.plan.sensing.kind in cls.sensing_kinds()
        and not cls(**OPTIONS.get(kind, {})).check(scene.plan)
    ]
    kind = fitting[int(random.integers(len(fitting)))]
    target = folder / "exported"

    def export() -> None:
        acqplan.export(scene.plan, kind, target, options=OPTIONS.get(kind, {}), overwrite=True)

    export()
    _kill_once(export, random, done)
    if not target.exists():  # killed between taking the old one away and putting the new one there
        export_of_the_next = folder / "next"
        acqplan.export(scene.plan, kind, export_of_the_next, options=OPTIONS.get(kind, {}))
    assert kinds("instruments")[kind]().read(target).pattern == scene.plan.pattern
    export()
    _only(folder, {"exported", "next"})


def _simulate(scene: Scene, folder: Path, random: Random, done: Kills) -> None:
    target = folder / f"acquired{('.h5', '.npz', '.mrd', '.cfl')[int(random.integers(4))]}"

    def simulate() -> None:
        acqplan.simulate(scene.plan, scene.image, target, overwrite=True)

    simulate()
    _kill_once(simulate, random, done)
    assert np.allclose(acqplan.reconstruct(scene.plan, target, assume_plan=True).images, scene.result, atol=1e-4)
    simulate()
    _only(folder, {target.name, target.with_suffix(".hdr").name})


def _reconstruct(scene: Scene, folder: Path, random: Random, done: Kills) -> None:
    suffixes = (".npy", ".h5", ".nii.gz", ".tif")
    target = folder / f"image{suffixes[int(random.integers(len(suffixes)))]}"

    def reconstruct() -> None:
        acqplan.reconstruct(scene.plan, scene.acquired, target, part="magnitude", overwrite=True)

    reconstruct()
    before = target.read_bytes()
    _kill_once(reconstruct, random, done)
    assert target.stat().st_size == len(before), "a damaged image"
    reconstruct()
    _only(folder, {target.name})


def _kill_once(call: Callable[[], None], random: Random, done: Kills) -> None:
    if killed_after(random.uniform(0.02, 0.9) * _time_of(call), call):
        done.kills += 1
    else:
        done.ended_before += 1


def _time_of(call: Callable[[], Any]) -> float:
    started = time.perf_counter()
    call()
    return time.perf_counter() - started


def _only(folder: Path, names: set[str]) -> None:
    left = {path.name for path in folder.iterdir()}
    assert left <= names, f"left behind: {sorted(left - names)}"
