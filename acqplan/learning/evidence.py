"""What a finished plan says of itself: how good it is on held-out images, what it costs, and what to be wary of."""

from __future__ import annotations

from typing import Any

from acqplan.learning.evaluation import Scene, evaluate
from acqplan.learning.problem import Problem
from acqplan.reconstructors.reconstructor import Reconstructor
from acqplan.sensing.pattern import Pattern


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
        "warnings": [*images.warnings, *told.pop("warnings", [])],
        "data_range": "largest magnitude of each held-out image",
    }
    found |= told
    if problem.notes:
        found["notes"] = list(problem.notes)
    return found
