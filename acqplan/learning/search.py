"""The search for a pattern with the network that was trained on the family."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable

from acqplan.designers.searching import SearchingDesigner
from acqplan.learning.critic import NetworkCritic
from acqplan.learning.objective import build_objective
from acqplan.learning.pace import Stopwatch
from acqplan.learning.problem import Problem
from acqplan.learning.progress import Listener, Progress
from acqplan.learning.state import TrainingState

_LEAST_TRIES = 16  # in however few steps


def search(
    state: TrainingState,
    problem: Problem,
    seconds: float | None,
    listener: Listener | None,
    save: Callable[[], None],
) -> None:
    """Let a designer that searches come to its pattern; nothing of any other, or where no image may be seen.

    In a training of so many steps it tries about as many patterns at most, unless the recipe says how many rounds.

    Parameters
    ----------
    seconds
        No round begins later than this; None: however long it takes.
    listener
        Told after each round.
    save
        Saves the state where it is time to; called after each round.
    """
    designer = state.designer
    is_blind = state.network.n_parameters > 0 and not build_objective(problem).needs_truth
    if not isinstance(designer, SearchingDesigner) or is_blind:
        return
    network = state.network if state.device.type == "cpu" else copy.deepcopy(state.network).cpu()
    critic, watch, first = NetworkCritic(problem, network), Stopwatch(), designer.rounds_taken
    tries_allowed = _tries_allowed(problem, designer)
    while (
        (seconds is None or watch.seconds() < seconds)
        and designer.n_tries < tries_allowed
        and designer.search_round(critic)
    ):
        done, n_tries = designer.rounds_taken, designer.n_tries
        most = designer.most_rounds
        if n_tries and math.isfinite(tries_allowed):
            most = min(most, max(done, math.ceil(done * tries_allowed / n_tries)))
        if listener is not None:
            left = (most - done) * watch.seconds() / (done - first)
            remaining = left if seconds is None else min(left, max(0.0, seconds - watch.seconds()))
            listener(Progress("search", done, most, None, designer.quality_db, remaining))
        save()
    designer.settle(critic)


def _tries_allowed(problem: Problem, designer: SearchingDesigner) -> float:
    steps = problem.recipe.training.steps
    return math.inf if steps is None or designer.rounds is not None else max(steps, _LEAST_TRIES)
