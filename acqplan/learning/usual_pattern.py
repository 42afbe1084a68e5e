"""Whether a usual pattern, tuned, would have done as well as the one that was searched for."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import torch

from acqplan.core import registry
from acqplan.core.errors import BudgetError, RecipeError
from acqplan.core.measures import MEASURES
from acqplan.core.seeding import torch_generator
from acqplan.core.statistics import Effect, effect
from acqplan.designers.designer import Designer
from acqplan.designers.searching import SearchingDesigner
from acqplan.designers.tuned import TunedDesigner
from acqplan.learning.critic import NetworkCritic
from acqplan.learning.evaluation import Evaluation, Scene, evaluate
from acqplan.learning.evidence import HARDLY_TRAINED
from acqplan.learning.problem import Problem
from acqplan.learning.state import TrainingState
from acqplan.sensing.pattern import Pattern

_MOST_IMAGES = 36  # held out, that both patterns are judged on


def usual_pattern(state: TrainingState, problem: Problem) -> dict[str, Any] | None:
    """JSON-ready: the best usual pattern beside the frozen one, both with the network that the search judged by.

    Its kind and parameter are chosen by training and validation images, as the search was; then both patterns are
    measured on held-out images, which choose nothing. Called at the freeze, before the network is trained on one of
    them. None where no network of a family judged: the pattern wasn't searched for, is a usual one itself, or the
    network had hardly been trained.
    """
    designer, kinds = state.designer, problem.modality.usual_designers
    if not isinstance(designer, SearchingDesigner) or isinstance(designer, TunedDesigner) or state.pattern is None:
        return None
    is_untrained = state.network.n_parameters > 0 and problem.recipe.training.base is None
    if not designer.rounds_taken or (is_untrained and state.step < HARDLY_TRAINED):
        return None
    network = state.network if state.device.type == "cpu" else copy.deepcopy(state.network).cpu()
    was_training = network.training
    network.eval()
    try:
        critic = NetworkCritic(problem, network)
        rivals = [rival for kind in kinds if (rival := _tuned(kind, problem, critic)) is not None]
        if not rivals:
            return None
        counts = np.stack([pattern.counts for _, pattern in rivals]).astype(np.int64)
        chosen, pattern = rivals[int((critic.quality(counts) + critic.guard(counts)).argmax())]
        records = problem.images.test
        places = np.unique(np.linspace(0, len(records) - 1, min(_MOST_IMAGES, len(records))).round().astype(int))
        shown = [records[place] for place in places]

        def measured(pattern: Pattern) -> Evaluation:
            return evaluate(Scene(problem.sensing, pattern, problem.noise), {"plan": network}, shown)

        effects = compared(measured(pattern), measured(state.pattern))
    finally:
        network.train(was_training)
    found: dict[str, Any] = {"designer": chosen.kind, "n_images": len(shown)}
    if isinstance(chosen, TunedDesigner):
        found |= {"parameter": chosen.parameter, "value": chosen.present}
    return found | {"measures": {name: each.spec() for name, each in effects.items()}}


def compared(first: Evaluation, second: Evaluation) -> dict[str, Effect]:
    """By measure, the first against the second on the same images."""
    subjects = [row["subject"] for row in first.rows]
    return {
        name: effect(
            first.values("plan", name),
            second.values("plan", name),
            subjects,
            larger_is_better=MEASURES[name].larger_is_better,
        )
        for name in first.rows[0]["plan"]
    }


def _tuned(kind: str, problem: Problem, critic: NetworkCritic) -> tuple[Designer, Pattern] | None:
    """A usual designer and its pattern, its parameter as the critic has it; None where it has none of this count."""
    try:
        designer: Designer = registry.find("designers", kind)(problem.design)
        if isinstance(designer, TunedDesigner):
            while designer.search_round(critic):
                pass
        with torch.random.fork_rng(devices=[]):
            return designer, designer.freeze(torch_generator(problem.recipe.seed, "usual pattern"))
    except (BudgetError, RecipeError):
        return None
