"""From a recipe to a plan: train pattern and network together, freeze to the exact count, fine-tune, evaluate."""

from __future__ import annotations

import copy
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import cast

import torch

from acqplan.core.errors import OutputError, RecipeError
from acqplan.core.following import Follower, unfollowed
from acqplan.core.seeding import torch_generator
from acqplan.designers.searching import SearchingDesigner
from acqplan.images import ImageRecord
from acqplan.learning import checkpoint as checkpoints
from acqplan.learning.batches import Batches
from acqplan.learning.evaluation import Scene, evaluate
from acqplan.learning.evidence import evidence
from acqplan.learning.objective import build_objective
from acqplan.learning.pace import TIMED_STEPS, Clock, Stopwatch, timed
from acqplan.learning.problem import Problem
from acqplan.learning.progress import Listener, Progress
from acqplan.learning.resolve import resolve
from acqplan.learning.schedule import PARTS, Schedule
from acqplan.learning.search import search
from acqplan.learning.state import TrainingState
from acqplan.learning.step import take_step
from acqplan.learning.undersampled import undersampled_scans
from acqplan.learning.usual_pattern import usual_pattern
from acqplan.plan.compact import rounded
from acqplan.plan.components import Component
from acqplan.plan.plan import Plan
from acqplan.plan.recipe import Recipe
from acqplan.reconstructors.reconstructor import KnobReconstructor, Reconstructor
from acqplan.sensing.pattern import Pattern

CHECKPOINT_EVERY_S = 45.0  # a kill loses at most a minute
_JUDGED_IMAGES = 8
_VALIDATIONS = 12
_VALIDATION_SHARE = 0.1  # of the time, at most, where minutes rule


def design(
    recipe: Recipe,
    *,
    progress: Listener | None = None,
    preparing: Follower = unfollowed,
    warn: Callable[[str], None] = lambda warning: None,
    checkpoint: str | Path | None = None,
    resume: bool = False,
    keep: bool = False,
) -> Plan:
    """Train a plan.

    Same recipe with ``steps`` (not ``minutes``), same machine, same number of threads: the same plan, bit for bit.
    The plan's own recipe always has ``steps``, also when ``minutes`` were asked for: all of it, preparation and
    evaluation included, keeps to these however the machine's speed changes, and the recipe's ``pace`` tells how.
    Global random state is untouched.

    Parameters
    ----------
    recipe
        What to do; settings left open are decided (`acqplan.learning.resolve`).
    progress
        Called after every step.
    preparing
        Told what is done before the first.
    warn
        Told what went wrong without ending the training.
    checkpoint
        File to save the state of training in, every `CHECKPOINT_EVERY_S`, at an interruption and at the end;
        the caller removes it once the plan is saved. One that can't be written is told to ``warn``, once.
    resume
        Go on from ``checkpoint``. The result is that of an uninterrupted run with the same steps.
    keep
        Train no further than ``checkpoint``: freeze what there is.

    Raises
    ------
    AcqplanError
        The recipe, the images or the checkpoint can't be used.
    """
    watch = Stopwatch()
    path = None if checkpoint is None else Path(checkpoint)
    if (resume or keep) and path is None:
        raise RecipeError("There is no checkpoint to resume from.", "Name the checkpoint file.")
    problem = resolve(recipe, preparing)
    return trained(
        problem, watch, progress=progress, preparing=preparing, warn=warn, path=path, resume=resume, keep=keep
    )


def trained(
    problem: Problem,
    watch: Stopwatch,
    *,
    progress: Listener | None = None,
    preparing: Follower = unfollowed,
    warn: Callable[[str], None] = lambda warning: None,
    path: Path | None = None,
    resume: bool = False,
    keep: bool = False,
) -> Plan:
    """`design` of a problem whose images are read; ``watch`` has run since its minutes began."""
    with on_threads(problem.recipe.training.threads):
        preparing("preparing the training", 0, 0)
        state = TrainingState(problem)
        objective = build_objective(problem)
        is_blind = state.is_trainable and not objective.needs_truth
        batches = Batches(problem, state.device, undersampled_scans(problem, state.designer) if is_blind else None)
        step = partial(take_step, batches=batches, objective=objective)
        if (resume or keep) and path is not None:
            state.restore(checkpoints.load(path))
        else:
            _choose_steps(state, step, problem, watch, preparing)
        stored = _Checkpoint(state, path, warn)
        if keep:
            return _kept(state, batches, problem)
        try:
            _train(state, step, problem, progress, stored)
        finally:
            stored.save()
        return _plan(state, batches, problem)


class _Checkpoint:
    """The file of a state; that it can't be written (a full disk) ends no training."""

    def __init__(self, state: TrainingState, path: Path | None, warn: Callable[[str], None]) -> None:
        self._state, self._path, self._warn = state, path, warn
        self._saved, self._has_warned = time.perf_counter(), False

    def save_in_time(self) -> None:
        """Save once `CHECKPOINT_EVERY_S` have passed."""
        if time.perf_counter() - self._saved > CHECKPOINT_EVERY_S:
            self.save()

    def save(self) -> None:
        """Save, unless there is nothing worth it."""
        self._saved = time.perf_counter()
        if self._path is None or self._state.step == 0 or not self._state.is_between_steps:
            return
        try:
            checkpoints.save(self._state.save(), self._path)
        except OutputError as error:
            if not self._has_warned:
                self._warn(f"{error.problem} Training goes on; if it is interrupted now, what it has learned is lost.")
            self._has_warned = True


def _choose_steps(
    state: TrainingState,
    step: Callable[[TrainingState], float],
    problem: Problem,
    watch: Stopwatch,
    preparing: Follower,
) -> None:
    """As many as the recipe asks for, or as its minutes allow; none where there is nothing to train."""
    settings = problem.recipe.training
    if not state.is_trainable:
        return
    if settings.steps is not None:
        state.schedule = Schedule.of(settings.steps, settings.joint_share, settings.pace)
        return
    assert settings.minutes is not None
    preparing("timing a few steps", 0, 0)
    trial = state.throw_away_copy()
    trial.schedule = Schedule(2 * TIMED_STEPS, TIMED_STEPS)
    n_test = len(problem.images.test)

    def finish() -> float:
        records = problem.images.test[:_JUDGED_IMAGES]
        _psnr_db(trial, problem, records)
        return n_test / len(records)

    seconds = settings.minutes * 60 - watch.seconds()
    state.pace = timed(seconds, settings.joint_share, lambda: step(trial), trial.freeze, finish)


def _train(
    state: TrainingState,
    step: Callable[[TrainingState], float],
    problem: Problem,
    listener: Listener | None,
    stored: _Checkpoint,
) -> None:
    """Take the steps that are left: joint training, the freeze, fine-tuning."""
    settings = problem.recipe.training
    if not state.is_trainable:
        if state.is_joint:
            search(state, problem, _seconds(settings.minutes), listener, stored.save_in_time)
            state.freeze()
            state.usual = usual_pattern(state, problem)
        return
    clock, judge = Clock(state.pace, state.step, settings.joint_share), _Judge(state, problem)
    while state.step != settings.stop_at:
        state.schedule = clock.fitted(state.schedule, state.step, is_joint=state.is_joint)
        if state.is_joint and state.step == state.schedule.joint_steps:
            search(state, problem, clock.left(is_joint=True).search_s, listener, stored.save_in_time)
            state.freeze()
            state.usual = usual_pattern(state, problem)
            clock.freeze(state.step)
            state.schedule = clock.fitted(state.schedule, state.step, is_joint=False)
        if not state.is_joint and state.schedule.ends_part(state.step):
            state.judge()
        if state.step >= state.schedule.steps:
            break

        loss = step(state)

        clock.tick(state.step)
        state.pace = clock.left(is_joint=state.is_joint)
        if listener is not None:
            phase, n_steps = "joint" if state.is_joint else "fine-tune", state.schedule.steps
            remaining_s = clock.remaining_s(state.schedule, state.step, is_joint=state.is_joint)
            listener(Progress(phase, state.step, n_steps, loss, judge.psnr_db(), remaining_s))
        stored.save_in_time()
    if state.is_joint:
        state.freeze()


def _seconds(minutes: float | None) -> float | None:
    return None if minutes is None else minutes * 60


class _Judge:
    """How good the network is on validation images, about a dozen times during a training."""

    def __init__(self, state: TrainingState, problem: Problem) -> None:
        self._state, self._problem = state, problem
        self._since, self._took_s, self._latest = Stopwatch(), 0.0, cast(float | None, None)

    def psnr_db(self) -> float | None:
        """After a step: the latest, or a new one where it is time for one."""
        state, n_steps = self._state, self._state.schedule.steps
        is_due = state.step % max(1, n_steps // _VALIDATIONS) == 0 or state.step == n_steps
        if state.pace.joint_s is not None:  # what a validation takes is taken from the steps
            is_due &= self._took_s <= _VALIDATION_SHARE * self._since.seconds()
        if is_due:
            before = Stopwatch()
            records = self._problem.images.validation
            chosen = records[:: max(1, len(records) // _JUDGED_IMAGES)][:_JUDGED_IMAGES]
            self._latest = _psnr_db(state, self._problem, chosen)
            self._took_s, self._since = before.seconds(), Stopwatch()
        return self._latest


def _psnr_db(state: TrainingState, problem: Problem, records: Sequence[ImageRecord]) -> float:
    """Of the network as it is, with the pattern that would be frozen now."""
    with torch.random.fork_rng(devices=[]):
        pattern = state.pattern or state.designer.freeze(torch_generator(0, "validation"))
    network = state.network if state.device.type == "cpu" else copy.deepcopy(state.network).cpu()
    scene = Scene(problem.sensing, pattern, problem.noise)
    return evaluate(scene, {"plan": network}, records).means["plan"]["psnr_db"]


def _kept(state: TrainingState, batches: Batches, problem: Problem) -> Plan:
    """The plan of a training that goes no further."""
    if state.is_joint:
        state.freeze()
    schedule = state.schedule
    if state.step == schedule.steps and len(schedule.pace) in (0, 2 * PARTS):  # trained to the end
        return _plan(state, batches, problem)
    if schedule.pace:
        pace = (*schedule.pace, *[0] * (2 * PARTS - len(schedule.pace)))
        state.schedule = Schedule(sum(pace), sum(pace[:PARTS]), pace)
    return _plan(state, batches, replace(problem, recipe=problem.recipe.with_settings("training", stop_at=state.step)))


def _plan(state: TrainingState, batches: Batches, problem: Problem) -> Plan:
    """The frozen pattern with its network, its evidence, and the recipe that makes it again."""
    assert state.pattern is not None
    steps, joint_steps = state.schedule.steps, state.schedule.joint_steps
    recipe = problem.recipe.with_settings(
        "training",
        minutes=None,
        steps=max(1, steps),
        joint_share=joint_steps / max(1, steps),
        pace=list(state.schedule.pace) or None,
        threads=torch.get_num_threads(),
    )
    if isinstance(state.designer, SearchingDesigner) and state.designer.n_rounds:
        asked = recipe.designer
        options = {**asked.options, "rounds": state.designer.rounds_taken}
        recipe = replace(recipe, designer=Component(asked.kind, options))
    state.judge()
    network = state.network.cpu()
    network.eval()
    if state.best is not None:
        network.load_state_dict(state.best.weights)
    if isinstance(network, KnobReconstructor) and not (state.best is not None and state.best.is_first):
        _calibrate_knobs(network, state, batches, recipe.seed)
    if recipe.training.compact:
        halves = rounded({name: value.numpy() for name, value in network.state_dict().items()})
        network.load_state_dict({name: torch.from_numpy(array) for name, array in halves.items()})
    found = evidence(replace(problem, recipe=recipe), state.pattern, network, state.best)
    if isinstance(state.designer, SearchingDesigner) and state.designer.rounds_taken:
        found["search"] = state.designer.found()
    if state.usual is not None:
        found["usual"] = state.usual
    budget, pattern, noise = problem.design.budget, state.pattern, problem.noise
    return Plan(problem.sensing, budget, pattern, noise, network, recipe, found).with_vector()


def fine_tuned(
    problem: Problem, pattern: Pattern, *, progress: Listener | None = None, preparing: Follower = unfollowed
) -> tuple[Reconstructor, int]:
    """The network of the problem's recipe, or its base's, trained for this one pattern alone; in how many steps.

    The network is on the CPU; how long it is trained is what the recipe says. Nothing is evaluated or stored.
    """
    watch = Stopwatch()
    with on_threads(problem.recipe.training.threads):
        state = TrainingState(problem)
        state.pattern = pattern
        step = partial(take_step, batches=Batches(problem, state.device), objective=build_objective(problem))
        _choose_steps(state, step, problem, watch, preparing)
        _train(state, step, problem, progress, _Checkpoint(state, None, lambda warning: None))
        network: Reconstructor = state.network.cpu()
        return network.eval(), state.step


def _calibrate_knobs(network: KnobReconstructor, state: TrainingState, batches: Batches, seed: int) -> None:
    """Fix which setting each position of a knob stands for, on a batch of what the network was trained on."""
    noise = torch_generator(seed, "last touches")  # another name would draw other numbers
    target = batches.on(torch.device("cpu")).draw(state, noise)
    with torch.inference_mode():
        network.even_out(target.coefficients, target.counts, target.sensing)


@contextmanager
def on_threads(n: int) -> Iterator[None]:
    """With so many CPU threads; 0 leaves them as they are."""
    before = torch.get_num_threads()
    if n > 0:
        torch.set_num_threads(n)
    try:
        yield
    finally:
        torch.set_num_threads(before)
