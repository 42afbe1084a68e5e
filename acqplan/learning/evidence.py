"""What a finished plan says of itself: how good it is on held-out images, what it costs, and what to be wary of."""

from __future__ import annotations

from typing import Any

from acqplan.learning.evaluation import Scene, evaluate
from acqplan.learning.resolve import Problem
from acqplan.modalities.dmd.exposure import exposure, scheme_advice, typical_electrons
from acqplan.modalities.mri.coils import MIN_WIDTH
from acqplan.reconstructors.reconstructor import Reconstructor
from acqplan.sensing.pattern import Pattern


def evidence(problem: Problem, pattern: Pattern, network: Reconstructor) -> dict[str, Any]:
    """JSON-ready: what the pattern and its network, on the CPU, make of the test images, and on what grounds."""
    images = problem.images
    scene = Scene(problem.sensing, pattern, problem.noise)
    found: dict[str, Any] = {
        "held_out": evaluate(scene, {"plan": network}, images.test).summary(),
        "training_images": images.fingerprint,
        "n_train": len(images.train),
        "n_test": len(images.test),
        "warnings": [*images.warnings, *_coil_warnings(problem, pattern)],
        "data_range": "largest magnitude of each held-out image",
    }
    found |= _light(problem, pattern)
    if problem.notes:
        found["notes"] = list(problem.notes)
    if images.n_coils > 1:
        found["coils"] = {"n": images.n_coils, "maps": images.maps_source}
    return found


def _light(problem: Problem, pattern: Pattern) -> dict[str, Any]:
    """What the plan costs in light, and which display scheme suits; nothing where nothing is lit."""
    sensing, budget, noise = problem.sensing, problem.design.budget, problem.noise
    electrons = typical_electrons(problem.images, noise)
    advice = scheme_advice(sensing, noise, budget, electrons)
    cost = exposure(sensing, budget, pattern, electrons=electrons, power_w=problem.recipe.budget.power_w)
    return ({"exposure": cost} if cost else {}) | ({"scheme": advice.spec()} if advice else {})


def _coil_warnings(problem: Problem, pattern: Pattern) -> list[str]:
    """Whether the pattern's calibration region is wide enough for coil maps."""
    width = problem.recipe.budget.calibration or 0
    if problem.images.n_coils == 1 or width >= MIN_WIDTH:
        return []
    return [
        f"The calibration region is {width} wide: coil maps can't be estimated from it, which needs {MIN_WIDTH}; "
        "acquired data have to bring their own."
    ]
