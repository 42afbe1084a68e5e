"""What a designer chooses with a network that stays as it is: any budget's pattern without training."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from acqplan.core import registry
from acqplan.core.errors import RecipeError
from acqplan.designers.searching import SearchingDesigner
from acqplan.learning.critic import NetworkCritic
from acqplan.learning.evaluation import Scene
from acqplan.learning.pace import Stopwatch
from acqplan.learning.problem import Problem, build_reconstructor
from acqplan.learning.progress import Listener
from acqplan.learning.search import search
from acqplan.learning.state import TrainingState
from acqplan.reconstructors.reconstructor import Reconstructor

_TRIES = 16, 400  # of a search, least and most


@dataclass(frozen=True, eq=False)
class Choice:
    """A pattern, in the order of acquisition, the network that it was chosen for, and what a search came to."""

    problem: Problem
    scene: Scene
    network: Reconstructor
    found: dict[str, Any] = field(default_factory=dict)


def chosen(problem: Problem, tries: int, listener: Listener | None = None) -> Choice:
    """What the problem's designer chooses with the network of its recipe's base.

    As the search of a design that starts from that base, before its fine-tuning. A designer that searches tries about
    ``tries`` patterns; a fixed one tunes its parameter, however many that takes.

    Raises
    ------
    RecipeError
        The designer learns together with the network.
    """
    kind = problem.recipe.designer.kind
    if registry.find("designers", kind).is_learned:
        raise RecipeError(
            f"The designer {kind} learns its pattern together with a network, which here stays as it is.",
            "Choose one that searches, such as swaps, or a fixed one.",
        )
    recipe = problem.recipe.with_settings("training", steps=tries, minutes=None)
    problem = replace(problem, recipe=recipe)
    state = TrainingState(problem)
    network = state.network.eval()
    search(state, problem, None, listener, lambda: None)
    state.freeze()
    assert state.pattern is not None
    designer = state.designer
    found = designer.found() if isinstance(designer, SearchingDesigner) and designer.rounds_taken else {}
    return Choice(problem, Scene(problem.sensing, state.pattern, problem.noise), network, found)


def tries_in(seconds: float, problems: Sequence[Problem]) -> int:
    """How many patterns each search may try, so that all take so many seconds; tuning a parameter doesn't count."""
    searched = [problem for problem in problems if _is_long(problem)]
    if not searched:
        return _TRIES[0]
    problem = searched[0]
    critic, counts = NetworkCritic(problem, build_reconstructor(problem)), problem.design.fixed_counts[None]
    critic.quality(counts, 1)  # the first call takes longer
    watch = Stopwatch()
    critic.quality(counts)
    return int(np.clip(seconds / len(searched) / max(1e-6, watch.seconds()), *_TRIES))


def _is_long(problem: Problem) -> bool:
    cls = registry.find("designers", problem.recipe.designer.kind)
    return issubclass(cls, SearchingDesigner) and not cls.has_usual
