"""From a recipe to a plan: train pattern and network together, freeze to the exact count, fine-tune, evaluate."""

from __future__ import annotations

import copy
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch

from acqplan.core.errors import RecipeError
from acqplan.core.seeding import torch_generator
from acqplan.learning import checkpoint as checkpoints
from acqplan.learning.batches import Batches
from acqplan.learning.evaluation import Scene, evaluate
from acqplan.learning.evidence import evidence
from acqplan.learning.objective import build_objective
from acqplan.learning.pace import TIMED_STEPS, PhaseClock, timed
from acqplan.learning.problem import Problem
from acqplan.learning.resolve import resolve
from acqplan.learning.schedule import Schedule
from acqplan.learning.state import TrainingState
from acqplan.learning.step import take_step
from acqplan.learning.undersampled import undersampled_scans
from acqplan.plan.plan import Plan
from acqplan.plan.recipe import Recipe
from acqplan.reconstructors.reconstructor import KnobReconstructor

CHECKPOINT_EVERY_S = 45.0  # a kill loses at most a minute
_VALIDATION_IMAGES = 8
_VALIDATIONS = 12


@dataclass(frozen=True)
class Progress:
    """What training tells while it runs.

    ``phase`` is ``joint`` or ``fine-tune``; ``psnr_db`` the latest on validation images, None before the first.
    """

    phase: str
    step: int
    n_steps: int
    loss: float
    psnr_db: float | None
    remaining_s: float


Listener = Callable[[Progress], None]


def design(
    recipe: Recipe,
    *,
    progress: Listener | None = None,
    checkpoint: str | Path | None = None,
    resume: bool = False,
) -> Plan:
    """Train a plan.

    Same recipe with ``steps`` (not ``minutes``), same machine, same number of threads: the same plan, bit for bit.
    The plan's own recipe always has ``steps``, also when ``minutes`` were asked for. Global random
    state is untouched.

    Parameters
    ----------
    recipe
        What to do; settings left open are decided (`acqplan.learning.resolve`).
    progress
        Called after every step.
    checkpoint
        File to save the state of training in, every `CHECKPOINT_EVERY_S`, at an interruption and at the end;
        the caller removes it once the plan is saved.
    resume
        Go on from ``checkpoint``. The result is that of an uninterrupted run with the same steps.

    Raises
    ------
    AcqplanError
        The recipe, the images or the checkpoint can't be used.
    """
    path = None if checkpoint is None else Path(checkpoint)
    if resume and path is None:
        raise RecipeError("There is no checkpoint to resume from.", "Name the checkpoint file.")
    problem = resolve(recipe)
    with _threads(problem.recipe.training.threads):
        state = TrainingState(problem)
        objective = build_objective(problem)
        is_blind = state.is_trainable and not objective.needs_truth
        batches = Batches(problem, state.device, undersampled_scans(problem, state.designer) if is_blind else None)
        step = partial(take_step, batches=batches, objective=objective)
        if resume and path is not None:
            state.restore(checkpoints.load(path))
        else:
            _choose_steps(state, step, problem)
        try:
            _train(state, step, problem, progress, path)
        finally:
            if path is not None and state.step > 0 and state.is_between_steps:
                checkpoints.save(state.save(), path)
        return _plan(state, batches, problem)


def _choose_steps(state: TrainingState, step: Callable[[TrainingState], float], problem: Problem) -> None:
    """As many as the recipe asks for, or as its minutes allow; none where there is nothing to train."""
    settings = problem.recipe.training
    if not state.is_trainable:
        return
    if settings.steps is not None:
        state.schedule = Schedule.of(settings.steps, settings.joint_share)
        return
    assert settings.minutes is not None
    trial = state.throw_away_copy()
    trial.schedule = Schedule(2 * TIMED_STEPS, TIMED_STEPS)
    state.schedule, state.pace = timed(settings.minutes, settings.joint_share, lambda: step(trial), trial.freeze)


def _train(
    state: TrainingState,
    step: Callable[[TrainingState], float],
    problem: Problem,
    listener: Listener | None,
    path: Path | None,
) -> None:
    """Take the steps that are left: joint training, the freeze, fine-tuning."""
    clock, saved, psnr_db = PhaseClock(state.step), time.perf_counter(), None
    while state.step < state.schedule.steps:
        if state.is_joint and state.step == state.schedule.joint_steps:
            joint = clock.elapsed(state.step)
            state.freeze()
            state.schedule = state.pace.refitted(state.schedule, joint)
            clock = PhaseClock(state.step)

        loss = step(state)

        n_steps = state.schedule.steps
        if listener is not None:
            if state.step % max(1, n_steps // _VALIDATIONS) == 0 or state.step == n_steps:
                psnr_db = _validation_psnr(state, problem)
            seconds = clock.elapsed(state.step).seconds_per_step
            remaining_s = state.pace.remaining_s(state.schedule, state.step, seconds, is_joint=state.is_joint)
            phase = "joint" if state.is_joint else "fine-tune"
            listener(Progress(phase, state.step, n_steps, loss, psnr_db, remaining_s))

        if path is not None and time.perf_counter() - saved > CHECKPOINT_EVERY_S:
            checkpoints.save(state.save(), path)
            saved = time.perf_counter()
    if state.is_joint:
        state.freeze()


def _validation_psnr(state: TrainingState, problem: Problem) -> float:
    """Of the network as it is, on a few validation images and the pattern that would be frozen now."""
    with torch.random.fork_rng(devices=[]):
        pattern = state.pattern or state.designer.freeze(torch_generator(0, "validation"))
    records = problem.images.validation
    chosen = records[:: max(1, len(records) // _VALIDATION_IMAGES)][:_VALIDATION_IMAGES]
    network = state.network if state.device.type == "cpu" else copy.deepcopy(state.network).cpu()
    scene = Scene(problem.sensing, pattern, problem.noise)
    return evaluate(scene, {"plan": network}, chosen).means["plan"]["psnr_db"]


def _plan(state: TrainingState, batches: Batches, problem: Problem) -> Plan:
    """The frozen pattern with its network, its evidence, and the recipe that makes it again."""
    assert state.pattern is not None
    steps, joint_steps = state.schedule.steps, state.schedule.joint_steps
    recipe = problem.recipe.with_settings(
        "training",
        minutes=None,
        steps=max(1, steps),
        joint_share=joint_steps / max(1, steps),
        threads=torch.get_num_threads(),
    )
    network = state.network.cpu()
    network.eval()
    if isinstance(network, KnobReconstructor):
        _calibrate_knobs(network, state, batches, recipe.seed)
    found = evidence(problem, state.pattern, network)
    return Plan(problem.sensing, problem.design.budget, state.pattern, problem.noise, network, recipe, found)


def _calibrate_knobs(network: KnobReconstructor, state: TrainingState, batches: Batches, seed: int) -> None:
    """Fix which setting each position of a knob stands for, on a batch of what the network was trained on."""
    noise = torch_generator(seed, "last touches")  # another name would draw other numbers
    target = batches.on(torch.device("cpu")).draw(state, noise)
    with torch.inference_mode():
        network.even_out(target.coefficients, target.counts, target.sensing)


@contextmanager
def _threads(n: int) -> Iterator[None]:
    """With so many CPU threads; 0 leaves them as they are."""
    before = torch.get_num_threads()
    if n > 0:
        torch.set_num_threads(n)
    try:
        yield
    finally:
        torch.set_num_threads(before)
