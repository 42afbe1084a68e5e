"""From a recipe to a plan: train pattern and network together, freeze to the exact count, fine-tune, evaluate."""

from __future__ import annotations

import copy
import hashlib
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from acqplan.core.errors import PlanFileError, RecipeError
from acqplan.core.seeding import torch_generator
from acqplan.designers.designer import Designer
from acqplan.learning import checkpoint as checkpoints
from acqplan.learning.evaluation import Scene, evaluate
from acqplan.learning.measured_set import MeasuredSet
from acqplan.learning.resolve import Problem, arranged, build_criterion, build_designer, build_reconstructor, resolve
from acqplan.learning.schedule import Schedule
from acqplan.modalities.dmd.exposure import exposure, scheme_advice, typical_electrons
from acqplan.modalities.mri.coils import MIN_WIDTH
from acqplan.plan.plan import Plan
from acqplan.plan.recipe import Recipe, to_toml
from acqplan.reconstructors.losses import Target
from acqplan.reconstructors.reconstructor import KnobReconstructor, Reconstructor
from acqplan.sensing.measurement import measure
from acqplan.sensing.model import SensingModel
from acqplan.sensing.pattern import Pattern

CHECKPOINT_EVERY_S = 45.0  # a kill loses at most a minute
_TIMED_STEPS = 9
_VALIDATION_IMAGES = 8
_VALIDATIONS = 12
_STREAMS = ("batches", "noise", "designer", "criterion")


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
    problem = resolve(recipe)
    with _settings(problem.recipe):
        path = None if checkpoint is None else Path(checkpoint)
        run = _Run(problem)
        if resume:
            if path is None:
                raise RecipeError("There is no checkpoint to resume from.", "Name the checkpoint file.")
            run.restore(checkpoints.load(path))
        else:
            run.plan_steps()
        try:
            run.train(progress, path)
        finally:
            if path is not None and run.step > 0 and run.is_between_steps:
                checkpoints.save(run.state(), path)
        return run.finish()


@contextmanager
def _settings(recipe: Recipe) -> Iterator[None]:
    before = torch.get_num_threads()
    if recipe.training.threads > 0:
        torch.set_num_threads(recipe.training.threads)
    try:
        yield
    finally:
        torch.set_num_threads(before)


class _Run:
    """The state of one training: everything that a checkpoint holds."""

    def __init__(self, problem: Problem) -> None:
        self.problem = problem
        settings = problem.recipe.training
        self.device = _device(settings.device)
        self.sensing = copy.deepcopy(problem.sensing).to(self.device)
        self.designer: Designer = build_designer(problem)
        self.reconstructor: Reconstructor = build_reconstructor(problem).to(self.device)
        self.optimisers = self._fresh_optimisers()
        self.criterion = build_criterion(problem)
        seed = problem.recipe.seed
        self.generators = {
            name: torch_generator(seed, name, self.device if name == "noise" else "cpu") for name in _STREAMS
        }
        self.scans = None if self.criterion.needs_truth or not self.is_trainable else self._scans()
        self.schedule = Schedule(0, 0)
        self.pattern: Pattern | None = None
        self.step = 0
        self.is_between_steps = True  # a half-taken step isn't saved
        self.seconds_left: float | None = None
        self.fine_tuning_cost = 1.0  # seconds of a fine-tuning step over those of a joint step

    def _fresh_optimisers(self) -> dict[str, torch.optim.Optimizer]:
        rate = self.problem.recipe.training.learning_rate
        weights = list(self.reconstructor.parameters()) or [nn.Parameter(torch.zeros(0))]
        return {
            "reconstructor": torch.optim.Adam(weights, lr=rate, betas=(0.9, 0.99)),
            "designer": self.designer.optimiser(rate),
        }

    def _scans(self) -> MeasuredSet:
        """All that is known of the training images where their truth mustn't be seen."""
        problem = self.problem
        generators = [torch_generator(problem.recipe.seed, name) for name in ("designer", "scans")]
        pattern = self.designer.freeze(generators[0])
        images = problem.images
        return MeasuredSet(images.train, pattern, problem.sensing, problem.noise, generators[1], images.maps_of)

    @property
    def is_trainable(self) -> bool:
        return self.reconstructor.n_parameters > 0 or self.designer.is_learned

    def plan_steps(self) -> None:
        """Decide how many steps the recipe's minutes allow, from a few steps timed on a copy."""
        settings = self.problem.recipe.training
        if not self.is_trainable:
            return
        if settings.steps is not None:
            self.schedule = Schedule(settings.steps, round(settings.steps * settings.joint_share))
            return
        assert settings.minutes is not None
        started = time.perf_counter()
        trial = copy.copy(self)
        trial.reconstructor, trial.designer = copy.deepcopy((self.reconstructor, self.designer))
        trial.optimisers = trial._fresh_optimisers()
        trial.generators = {name: torch_generator(0, name, g.device) for name, g in self.generators.items()}
        joint = trial._seconds_per_step()
        trial.pattern = trial.designer.freeze(trial.generators["designer"])
        self.fine_tuning_cost = trial._seconds_per_step() / joint
        self.seconds_left = settings.minutes * 60 - (time.perf_counter() - started)
        share = settings.joint_share
        steps = max(2, int(self.seconds_left / (joint * (share + (1 - share) * self.fine_tuning_cost))))
        self.schedule = Schedule(steps, round(steps * share))

    def _seconds_per_step(self) -> float:
        """Mean over a few steps, which are taken: a designer may have cheap ones and dear ones."""
        self.schedule = Schedule(_TIMED_STEPS, _TIMED_STEPS)
        durations = []
        for self.step in range(_TIMED_STEPS):
            before = time.perf_counter()
            self.one_step()
            durations.append(time.perf_counter() - before)
        return float(np.mean(durations[1:]))

    def train(self, progress: Listener | None, path: Path | None) -> None:
        """Run the steps that are left, from `step` on."""
        phase_started = saved = time.perf_counter()
        first_step, psnr = self.step, None
        while self.step < self.schedule.steps:
            if self.step == self.schedule.joint_steps and self.pattern is None:
                self._freeze(time.perf_counter() - phase_started, self.step - first_step)
                phase_started, first_step = time.perf_counter(), self.step
            self.is_between_steps = False
            loss = self.one_step()
            self.step += 1
            self.is_between_steps = True
            every = max(1, self.schedule.steps // _VALIDATIONS)
            if progress is not None and (self.step % every == 0 or self.step == self.schedule.steps):
                psnr = self._validation_psnr()
            now = time.perf_counter()
            if progress is not None:
                per_step = (now - phase_started) / (self.step - first_step)
                phase, left = "fine-tune", float(self.schedule.steps - self.step)
                if self.pattern is None:
                    fine_tuning = self.schedule.steps - self.schedule.joint_steps
                    phase, left = "joint", left - fine_tuning + self.fine_tuning_cost * fine_tuning
                progress(Progress(phase, self.step, self.schedule.steps, loss, psnr, per_step * left))
            if path is not None and now - saved > CHECKPOINT_EVERY_S:
                checkpoints.save(self.state(), path)
                saved = now
        if self.pattern is None:
            self.pattern = self._final_pattern()

    def one_step(self) -> float:
        """One optimiser step on network and, before the freeze, pattern; returns the loss."""
        rate = self.schedule.rate(self.step)
        target = self._simulated() if self.scans is None else self._scanned(self.scans)
        if self.pattern is None and self.designer.wants_errors():
            self._show_errors(target)
        loss = self.criterion(self.reconstructor, target, self.generators["criterion"])
        for optimiser in self.optimisers.values():
            optimiser.zero_grad(set_to_none=True)
        if not loss.requires_grad:
            return float(loss.detach())
        loss.backward()
        nn.utils.clip_grad_norm_(list(self.reconstructor.parameters()), 1.0)
        for optimiser in self.optimisers.values():
            optimiser.param_groups[0]["lr"] = optimiser.defaults["lr"] * rate
            optimiser.step()
        return float(loss.detach())

    def _show_errors(self, target: Target) -> None:
        """Tell the designer what the network makes of this batch."""
        assert target.truth is not None
        with torch.no_grad():
            image = self.reconstructor(target.coefficients, target.counts, target.sensing)
            error = target.sensing.coefficients(image - target.truth).abs().square().mean(0)
        whole = error.flatten(1).sum(1) if error.ndim > 1 else error
        self.designer.learn(target.counts[0], whole / self.problem.noise.image_scale**2)

    def _last_touches(self, network: Reconstructor) -> None:
        """On a batch of what it was trained on."""
        if not isinstance(network, KnobReconstructor):
            return
        cpu = torch.device("cpu")
        self.sensing, self.device = self.sensing.to(cpu), cpu
        self.generators["noise"] = torch_generator(self.problem.recipe.seed, "last touches")
        target = self._simulated() if self.scans is None else self._scanned(self.scans)
        with torch.inference_mode():
            network.even_out(target.coefficients, target.counts, target.sensing)

    def _simulated(self) -> Target:
        """A batch of images, measured with the pattern as it is now."""
        if self.pattern is None:
            self.designer.set_progress(self.schedule.progress(self.step))
            counts = self.designer.relaxed(self.generators["designer"])
        else:
            counts = torch.from_numpy(self.pattern.counts.astype(np.float32))
        counts = counts[None].to(self.device)
        noise = self.problem.noise
        images, maps = self.problem.images.coil_batch(self._batch_size, self.generators["batches"])
        images, sensing = images.to(self.device) * noise.image_scale, self._sensing_with(maps)
        coefficients = measure(images, counts, sensing, noise, self.generators["noise"])
        return Target(coefficients, counts, sensing, images)

    def _scanned(self, scans: MeasuredSet) -> Target:
        coefficients, counts, maps = scans.batch(self._batch_size, self.generators["batches"])
        return Target(coefficients.to(self.device), counts.to(self.device), self._sensing_with(maps))

    def _coil_warnings(self) -> list[str]:
        width = self.problem.recipe.budget.calibration or 0
        if self.problem.images.n_coils == 1 or width >= MIN_WIDTH:
            return []
        return [
            f"The calibration region is {width} wide: coil maps can't be estimated from it, which needs {MIN_WIDTH}; "
            "acquired data have to bring their own."
        ]

    def _sensing_with(self, coil_maps: torch.Tensor | None) -> SensingModel:
        return self.sensing if coil_maps is None else self.sensing.with_coil_maps(coil_maps.to(self.device))

    @property
    def _batch_size(self) -> int:
        size = self.problem.recipe.training.batch_size
        assert size is not None
        return size

    def _freeze(self, seconds: float, steps: int) -> None:
        """Fix the pattern and, where minutes were asked for, fit the second phase to the time that is left."""
        self.pattern = self._final_pattern()
        if self.seconds_left is not None and steps > 0:
            self.seconds_left -= seconds
            planned = self.schedule.steps - self.schedule.joint_steps
            # A network that isn't fine-tuned is worth little: a busy machine may take longer than asked for.
            more = max(planned // 2, int(self.seconds_left / (self.fine_tuning_cost * seconds / steps)), 1)
            self.schedule = Schedule(self.schedule.joint_steps + more, self.schedule.joint_steps)

    def _final_pattern(self) -> Pattern:
        """What the designer has come to, in the order of acquisition."""
        return arranged(self.designer.freeze(self.generators["designer"]), self.problem)

    def _validation_psnr(self) -> float:
        with torch.random.fork_rng(devices=[]):
            pattern = self.pattern or self.designer.freeze(torch_generator(0, "validation"))
        records = self.problem.images.validation
        chosen = records[:: max(1, len(records) // _VALIDATION_IMAGES)][:_VALIDATION_IMAGES]
        return evaluate(
            Scene(self.problem.sensing, pattern, self.problem.noise), {"plan": self._network_on_cpu()}, chosen
        ).means["plan"]["psnr_db"]

    def _network_on_cpu(self) -> Reconstructor:
        if self.device.type == "cpu":
            return self.reconstructor
        return copy.deepcopy(self.reconstructor).cpu()

    def state(self) -> dict[str, Any]:
        """Everything that `restore` needs."""
        return {
            "recipe_digest": _digest(self.problem),
            "step": self.step,
            "steps": self.schedule.steps,
            "joint_steps": self.schedule.joint_steps,
            "seconds_left": self.seconds_left,
            "fine_tuning_cost": self.fine_tuning_cost,
            "order": None if self.pattern is None else self.pattern.order,
            "reconstructor": self.reconstructor.state_dict(),
            "designer": self.designer.state_dict(),
            "optimisers": {
                name: {str(i): values for i, values in optimiser.state_dict()["state"].items()}
                for name, optimiser in self.optimisers.items()
            },
            "generators": {name: generator.get_state() for name, generator in self.generators.items()},
        }

    def restore(self, tree: dict[str, Any]) -> None:
        """Go back to a saved state; `PlanFileError` if it belongs to another recipe or other images."""
        if tree.get("recipe_digest") != _digest(self.problem):
            raise PlanFileError(
                "The checkpoint belongs to another recipe or to other images.", "Start again without --resume."
            )
        self.step = int(tree["step"])
        self.schedule = Schedule(int(tree["steps"]), int(tree["joint_steps"]))
        self.seconds_left = tree.get("seconds_left")
        self.fine_tuning_cost = float(tree["fine_tuning_cost"])
        if "order" in tree:
            design = self.problem.design
            self.pattern = Pattern(tree["order"].numpy(), design.sensing.n_units, design.calibration)
        self.reconstructor.load_state_dict(tree.get("reconstructor", {}))
        self.designer.load_state_dict(tree.get("designer", {}))
        for name, optimiser in self.optimisers.items():
            saved = tree["optimisers"].get(name, {})
            whole = optimiser.state_dict()
            whole["state"] = {int(i): values for i, values in saved.items()}
            optimiser.load_state_dict(whole)
        for name, generator in self.generators.items():
            generator.set_state(tree["generators"][name])

    def finish(self) -> Plan:
        """The plan, with its evidence on the test images."""
        assert self.pattern is not None
        problem, images = self.problem, self.problem.images
        recipe = problem.recipe.with_settings(
            "training",
            minutes=None,
            steps=max(1, self.schedule.steps),
            joint_share=self.schedule.joint_steps / max(1, self.schedule.steps),
            threads=torch.get_num_threads(),
        )
        network = self.reconstructor.cpu()
        network.eval()
        self._last_touches(network)
        scene = Scene(problem.sensing, self.pattern, problem.noise)
        evidence = {
            "held_out": evaluate(scene, {"plan": network}, images.test).summary(),
            "training_images": images.fingerprint,
            "n_train": len(images.train),
            "n_test": len(images.test),
            "warnings": [*images.warnings, *self._coil_warnings()],
            "data_range": "largest magnitude of each held-out image",
        }
        evidence |= _light(problem, self.pattern)
        if problem.notes:
            evidence["notes"] = list(problem.notes)
        if images.n_coils > 1:
            evidence["coils"] = {"n": images.n_coils, "maps": images.maps_source}
        return Plan(problem.sensing, problem.design.budget, self.pattern, problem.noise, network, recipe, evidence)


def _light(problem: Problem, pattern: Pattern) -> dict[str, Any]:
    """What the plan costs in light, and which display scheme suits; nothing where nothing is lit."""
    sensing, budget, noise = problem.sensing, problem.design.budget, problem.noise
    electrons = typical_electrons(problem.images, noise)
    advice = scheme_advice(sensing, noise, budget, electrons)
    cost = exposure(sensing, budget, pattern, electrons=electrons, power_w=problem.recipe.budget.power_w)
    return ({"exposure": cost} if cost else {}) | ({"scheme": advice.spec()} if advice else {})


def _device(name: str) -> torch.device:
    try:
        device = torch.device(name)
        torch.zeros(1, device=device)
    except (RuntimeError, AssertionError) as error:
        raise RecipeError(
            f"The device {name!r} can't be used here.", "Use --device cpu, or cuda with a GPU."
        ) from error
    return device


def _digest(problem: Problem) -> str:
    text = to_toml(problem.recipe) + problem.images.fingerprint
    return hashlib.sha256(text.encode()).hexdigest()
