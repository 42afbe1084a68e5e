"""What a finished plan says of itself: how good it is on held-out images, what it costs, and what to be wary of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from acqplan.learning.base import base_of
from acqplan.learning.best import Best
from acqplan.learning.evaluation import Evaluation, Scene, evaluate
from acqplan.learning.noisy_truth import noisy_truth_warnings
from acqplan.learning.problem import Problem
from acqplan.plan.plan import Plan
from acqplan.reconstructors.reconstructor import Reconstructor
from acqplan.reconstructors.supplied import Shares
from acqplan.sensing.pattern import Pattern

HARDLY_TRAINED = 100  # steps
MOST_ROWS = 500  # of single images: thousands of tiles would make the evidence larger than the network


def evidence(problem: Problem, pattern: Pattern, network: Reconstructor, best: Best | None = None) -> dict[str, Any]:
    """JSON-ready: what the pattern and its network, on the CPU, make of the test images, and on what grounds.

    ``best``: where its weights were chosen among those of a fine-tuning; beside it stands the network of its base then.
    """
    images = problem.images
    scene = Scene(problem.sensing, pattern, problem.noise)
    told = problem.modality.evidence(
        problem.recipe, problem.sensing, problem.design.budget, pattern, problem.noise, images
    )
    base = base_of(problem.recipe)
    networks = {"plan": network} | ({"base": base.reconstructor} if base is not None and best is not None else {})
    held_out = evaluate(scene, networks, images.test, with_supplied=True)
    adapted = adaptation(held_out, best, base) if best is not None and base is not None else {}
    found: dict[str, Any] = {
        "held_out": held_out.summary(MOST_ROWS),
        "training_images": images.fingerprint,
        "n_train": len(images.train),
        "n_test": len(images.test),
        "warnings": [
            *training_warnings(problem, network),
            *adaptation_warnings(adapted),
            *base_warnings(problem, base),
            *noisy_truth_warnings(held_out, images.test),
            *images.warnings,
            *told.pop("warnings", []),
        ],
        "data_range": "largest magnitude of each held-out image",
    }
    found["supplied"] = supplied_on_average(held_out)
    found |= told | ({"adapted": adapted} if adapted else {})
    if problem.notes:
        found["notes"] = list(problem.notes)
    return found


def supplied_on_average(held_out: Evaluation) -> dict[str, Any]:
    """JSON-ready: means of `acqplan.reconstructors.supplied.Shares`, of all images and of each subject."""
    subjects: dict[str, list[Shares]] = {}
    for place, each in held_out.supplied.items():
        subjects.setdefault(held_out.rows[place]["subject"], []).append(each)
    return {
        "mean": _mean(list(held_out.supplied.values())),
        "subjects": {subject: _mean(of_subject) for subject, of_subject in sorted(subjects.items())},
        "n_images": len(held_out.supplied),
    }


def _mean(found: Sequence[Shares]) -> dict[str, float]:
    return {name: float(np.mean([getattr(each, name) for each in found])) for name in vars(found[0])}


def adaptation(held_out: Evaluation, best: Best, base: Plan) -> dict[str, Any]:
    """What training on from another plan's network gained: on validation images, which chose, and on held-out ones."""
    return {
        "plan_id": base.plan_id,
        "before": held_out.means["base"],
        "after": held_out.means["plan"],
        "n_images": len(held_out.rows),
        "steps": best.step - best.first_step,
        "validation_gain_db": best.psnr_db - best.first_db,
    }


def adaptation_warnings(adapted: Mapping[str, Any]) -> list[str]:
    """Where it gained nothing."""
    if not adapted:
        return []
    found, name, before, after = [], f"plan {adapted['plan_id'][:12]}", adapted["before"], adapted["after"]
    if not adapted["steps"]:
        found.append(
            f"Training on these images made the network no better on the validation images, in PSNR and without loss "
            f"of SSIM: the weights of {name} were kept as they were."
        )
    elif lost := [words for metric, words in (("psnr_db", "PSNR"), ("ssim", "SSIM")) if after[metric] < before[metric]]:
        found.append(f"On the held-out images the adapted network is below that of {name} in {' and '.join(lost)}.")
    return found


def base_warnings(problem: Problem, base: Plan | None) -> list[str]:
    """Where the network that training started from may have been trained on images that are held out here."""
    if base is None:
        return []
    here, there = problem.recipe, base.recipe
    trained_on = sorted(set(here.images.paths) & set(there.images.train_only or []))
    if trained_on:
        return [
            f"Training started from the network of plan {base.plan_id[:12]}, which was trained on all images of "
            f"{', '.join(trained_on)}: it has seen the held-out ones, and these numbers aren't evidence."
        ]
    shared = sorted(set(here.images.paths) & set(there.images.paths))
    split_here, split_there = ((each.seed, each.images.held_out, each.images.validation) for each in (here, there))
    if not shared or split_here == split_there:
        return []
    return [
        f"Training started from the network of plan {base.plan_id[:12]}, which was trained on images of "
        f"{', '.join(shared)}, split otherwise: it may have seen the held-out ones. Use the same seed."
    ]


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
    if taken < HARDLY_TRAINED and training.base is None:
        found.append(
            f"THE NETWORK WAS HARDLY TRAINED: there was time for {taken} steps only, and its images are hardly better "
            "than untrained ones. Train for more --minutes, or with a smaller size, fewer coils or a smaller network."
        )
    return found
