"""What a finished plan says of itself: how good it is on held-out images, what it costs, and what to be wary of."""

from __future__ import annotations

from typing import Any

from acqplan.learning.evaluation import Scene, evaluate
from acqplan.learning.problem import Problem
from acqplan.reconstructors.reconstructor import Reconstructor
from acqplan.sensing.pattern import Pattern

HARDLY_TRAINED = 100  # steps


def evidence(problem: Problem, pattern: Pattern, network: Reconstructor) -> dict[str, Any]:
    """JSON-ready: what the pattern and its network, on the CPU, make of the test images, and on what grounds."""
    images = problem.images
    scene = Scene(problem.sensing, pattern, problem.noise)
    told = problem.modality.evidence(
        problem.recipe, problem.sensing, problem.design.budget, pattern, problem.noise, images
    )
    found: dict[str, Any] = {
        "held_out": evaluate(scene, {"plan": network}, images.test).summary(),
        "training_images": images.fingerprint,
        "n_train": len(images.train),
        "n_test": len(images.test),
        "warnings": [*training_warnings(problem, network), *images.warnings, *told.pop("warnings", [])],
        "data_range": "largest magnitude of each held-out image",
    }
    found |= told
    if problem.notes:
        found["notes"] = list(problem.notes)
    return found


def training_warnings(problem: Problem, network: Reconstructor) -> list[str]:
    """That a network was trained less than anyone meant it to be: for want of time, or because it was interrupted.

    Who asks for a number of steps gets so many, and no warning.
    """
    training = problem.recipe.training
    if training.steps is None or (training.pace is None and training.stop_at is None) or not network.n_parameters:
        return []
    found, taken = [], training.stop_at or training.steps
    if training.stop_at is not None:
        joint = round(training.steps * training.joint_share)
        tuned = "" if taken > joint else " and the network was never fine-tuned on the frozen pattern"
        found.append(f"The training was interrupted and kept as it was: it took {taken} steps{tuned}.")
    if taken < HARDLY_TRAINED:
        found.append(
            f"THE NETWORK WAS HARDLY TRAINED: there was time for {taken} steps only, and its images are hardly better "
            "than untrained ones. Train for more --minutes, or with a smaller size, fewer coils or a smaller network."
        )
    return found
