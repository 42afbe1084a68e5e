"""The network as it was when it was best on the validation images."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch

from acqplan.learning.evaluation import Scene, evaluate
from acqplan.learning.problem import Problem
from acqplan.reconstructors.reconstructor import Reconstructor
from acqplan.sensing.pattern import Pattern

LEAST_GAIN_DB = 0.02  # by which a later state has to be better than the first: less is chance
LOSABLE_SSIM = 0.002  # by which it may be worse in SSIM
_MOST_IMAGES = 24


@dataclass(frozen=True, eq=False)
class Best:
    """The best state of fine-tuning so far.

    Attributes
    ----------
    first_db, psnr_db
        Mean PSNR on the validation images of the network that fine-tuning began with, and of the best one.
    first_ssim
        Mean SSIM of the first one; a better one's may be lower by `LOSABLE_SSIM`.
    step
        The steps that the best one had taken; ``first_step`` where none was better.
    weights
        Its weights, on the CPU.
    """

    first_step: int
    first_db: float
    first_ssim: float
    step: int
    psnr_db: float
    weights: Mapping[str, torch.Tensor]

    @property
    def is_first(self) -> bool:
        """Whether no step made the network better."""
        return self.step == self.first_step

    def save(self) -> dict[str, Any]:
        """For a checkpoint."""
        return {**vars(self), "weights": dict(self.weights)}


def better_of(best: Best | None, network: Reconstructor, step: int, pattern: Pattern, problem: Problem) -> Best:
    """The network as it is after so many steps, if it is better than the best one so far."""
    records = problem.images.validation
    chosen = records[:: -(-len(records) // _MOST_IMAGES)]
    judged = copy.deepcopy(network).cpu().eval()
    scene = Scene(problem.sensing, pattern, problem.noise)
    found = evaluate(scene, {"plan": judged}, chosen).means["plan"]
    psnr_db, ssim = found["psnr_db"], found["ssim"]
    if best is None:
        return Best(step, psnr_db, ssim, step, psnr_db, judged.state_dict())
    is_sound = ssim >= best.first_ssim - LOSABLE_SSIM
    if is_sound and psnr_db > max(best.psnr_db, best.first_db + LEAST_GAIN_DB):
        return Best(best.first_step, best.first_db, best.first_ssim, step, psnr_db, judged.state_dict())
    return best
