"""The state of a training: all that changes from step to step, and so all that a checkpoint holds."""

from __future__ import annotations

import copy
import hashlib
import json
from typing import Any

import numpy as np
import torch
from torch import nn

from acqplan.core.errors import PlanFileError, RecipeError
from acqplan.core.seeding import torch_generator
from acqplan.learning.best import Best, better_of
from acqplan.learning.pace import Pace
from acqplan.learning.problem import Problem, arranged, build_designer, build_reconstructor
from acqplan.learning.schedule import Schedule
from acqplan.plan.recipe_text import to_toml
from acqplan.sensing.pattern import Pattern

_STREAMS = ("batches", "noise", "designer", "criterion")  # another name would draw other numbers


class TrainingState:
    """Network and designer at their start, until steps move them or `restore` brings back a saved state.

    Attributes
    ----------
    network, designer, optimisers
        What is trained, and by what; the network is on ``device``, the designer on the CPU.
    generators
        A stream of random numbers for each purpose; ``noise`` is on ``device``, the others on the CPU.
    schedule, pace
        How many steps there are, and how long they take.
    pattern
        Frozen, in the order of acquisition; None during joint training.
    usual
        What was found of a usual pattern beside the frozen one (`acqplan.learning.usual_pattern`), or None.
    best
        The best state of fine-tuning so far, where the recipe keeps that.
    step
        The next one, from 0.
    is_between_steps
        False while a step is being taken: a state that a half-taken step leaves isn't worth saving.
    """

    def __init__(self, problem: Problem) -> None:
        self._problem = problem
        self.device = _device(problem.recipe.training.device)
        self.designer = build_designer(problem)
        self.network = build_reconstructor(problem).to(self.device)
        self.optimisers = self._fresh_optimisers()
        self.generators = self._fresh_generators(problem.recipe.seed)
        self.schedule, self.pace = Schedule(0, 0), Pace()
        self.pattern: Pattern | None = None
        self.usual: dict[str, Any] | None = None
        self.best: Best | None = None
        self.step = 0
        self.is_between_steps = True

    @property
    def precision(self) -> torch.dtype:
        """In which the network convolves while it is trained."""
        return torch.bfloat16 if self._problem.recipe.training.precision == "bfloat16" else torch.float32

    @property
    def is_trainable(self) -> bool:
        """Whether there is anything for a step to move."""
        return self.network.n_parameters > 0 or self.designer.is_learned

    @property
    def is_joint(self) -> bool:
        """Whether the pattern is trained together with the network still."""
        return self.pattern is None

    @property
    def recipe_digest(self) -> str:
        """SHA-256 of the resolved recipe and the training images: what a checkpoint belongs to."""
        text = to_toml(self._problem.recipe) + self._problem.images.fingerprint
        return hashlib.sha256(text.encode()).hexdigest()

    def counts(self) -> torch.Tensor:
        """float32[K] of this step, on the CPU: the frozen pattern's, or drawn by the designer."""
        if self.pattern is not None and not self.designer.keeps_drawing:
            return torch.from_numpy(self.pattern.counts.astype(np.float32))
        self.designer.set_progress(self.schedule.progress(self.step))
        return self.designer.relaxed(self.generators["designer"])

    def freeze(self) -> None:
        """Fix the pattern: what the designer has come to, in the order of acquisition."""
        self.pattern = arranged(self.designer.freeze(self.generators["designer"]), self._problem)

    def judge(self) -> None:
        """Remember the network as it is, if it is the best so far and the recipe asks for that one."""
        if self._problem.recipe.training.keep_best and self.pattern is not None:
            self.best = better_of(self.best, self.network, self.step, self.pattern, self._problem)

    def throw_away_copy(self) -> TrainingState:
        """A state to try steps on, which leaves this one as it is; its random numbers are others."""
        trial = copy.copy(self)
        trial.network, trial.designer = copy.deepcopy((self.network, self.designer))
        trial.optimisers = trial._fresh_optimisers()
        trial.generators = trial._fresh_generators(0)
        return trial

    def save(self) -> dict[str, Any]:
        """Everything that `restore` needs: a tree of tensors, numbers and texts (see `checkpoint`)."""
        return {
            "recipe_digest": self.recipe_digest,
            "step": self.step,
            "steps": self.schedule.steps,
            "joint_steps": self.schedule.joint_steps,
            "pace": np.array(self.schedule.pace, np.int64),
            "time": {name: value for name, value in vars(self.pace).items() if value is not None},
            "order": None if self.pattern is None else self.pattern.order,
            "usual": None if self.usual is None else json.dumps(self.usual),
            "best": None if self.best is None else self.best.save(),
            "reconstructor": self.network.state_dict(),
            "designer": self.designer.state_dict(),
            "optimisers": {
                name: {str(i): values for i, values in optimiser.state_dict()["state"].items()}
                for name, optimiser in self.optimisers.items()
            },
            "generators": {name: generator.get_state() for name, generator in self.generators.items()},
        }

    def restore(self, tree: dict[str, Any]) -> None:
        """Go back to a saved state; `PlanFileError` if it is damaged, or of another recipe or other images."""
        if tree.get("recipe_digest") != self.recipe_digest:
            raise PlanFileError(
                "The checkpoint belongs to another recipe or to other images.", "Start again without --resume."
            )
        if "time" not in tree:
            raise PlanFileError("The checkpoint is of another version of acqplan.", "Start again without --resume.")
        try:
            self._restore(tree)
        except Exception as error:  # torch and the designers raise many kinds on a tree that isn't theirs
            raise PlanFileError(
                "The checkpoint is damaged: it holds no state.", "Start again without --resume."
            ) from error

    def _restore(self, tree: dict[str, Any]) -> None:
        self.step = int(tree["step"])
        self.schedule = Schedule(int(tree["steps"]), int(tree["joint_steps"]), tuple(tree["pace"].tolist()))
        self.pace = Pace(**{name: float(value) for name, value in tree["time"].items()})
        if "order" in tree:
            design = self._problem.design
            self.pattern = Pattern(tree["order"].numpy(), design.sensing.n_units, design.calibration)
            if self.pattern.n_readings != design.budget.n_readings:
                raise ValueError("its pattern has another count")
        self.usual = json.loads(tree["usual"]) if "usual" in tree else None
        self.best = Best(**tree["best"]) if "best" in tree else None
        self.network.load_state_dict(tree.get("reconstructor", {}))
        self.designer.load_state_dict(tree.get("designer", {}))
        for name, optimiser in self.optimisers.items():
            whole = optimiser.state_dict()
            whole["state"] = {int(i): values for i, values in tree["optimisers"].get(name, {}).items()}
            optimiser.load_state_dict(whole)
        for name, generator in self.generators.items():
            generator.set_state(tree["generators"][name])

    def _fresh_optimisers(self) -> dict[str, torch.optim.Optimizer]:
        rate = self._problem.recipe.training.learning_rate
        weights = list(self.network.parameters()) or [nn.Parameter(torch.zeros(0))]
        return {
            "reconstructor": torch.optim.Adam(weights, lr=rate, betas=(0.9, 0.99), fused=True),
            "designer": self.designer.optimiser(rate),
        }

    def _fresh_generators(self, seed: int) -> dict[str, torch.Generator]:
        cpu = torch.device("cpu")
        return {name: torch_generator(seed, name, self.device if name == "noise" else cpu) for name in _STREAMS}


def _device(name: str) -> torch.device:
    try:
        device = torch.device(name)
        torch.zeros(1, device=device)
    except (RuntimeError, AssertionError) as error:
        raise RecipeError(
            f"The device {name!r} can't be used here.", "Use --device cpu, or cuda with a GPU."
        ) from error
    return device
