"""HQS-Net without the truth: objective and time against the converged solver, quality against supervised training.

    python benchmarks/unsupervised.py --minutes 2

For each acceleration one variable-density pattern of the brain sample. Objective: that of ``hqs`` with the weights that
the network was trained with, on held-out scans, as a ratio to the converged solver's. Quality: PSNR at the noise of
training times 0.5, 1, 2 and 4.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from reconstructors import base_recipe, evenly, measure

from acqplan.learning.evaluation import Scene, simulated
from acqplan.learning.resolve import resolve
from acqplan.learning.training import design
from acqplan.plan.components import Component
from acqplan.reconstructors.hqs import HQS
from acqplan.reconstructors.losses import DataConsistency, Target, TotalVariation, WaveletNorm
from acqplan.reconstructors.reconstructor import Reconstructor

LOSSES: dict[str, dict[str, float] | None] = {
    "without the truth": None,
    "held-back": {"held-back": 1.0},
    "supervised": {"mse": 1.0},
}
NOISE = (0.5, 1.0, 2.0, 4.0)
IMAGES = 12


def objective(image: torch.Tensor, target: Target) -> torch.Tensor:
    """Per image, over pixels · rms²."""
    return (
        DataConsistency()(image, target)
        + 0.002 * WaveletNorm()(image, target)
        + 0.005 * TotalVariation()(image, target)
    )


def judged(reconstructor: Reconstructor, scene: Scene, records: Any) -> tuple[torch.Tensor, float]:
    """Objective of each image, and seconds for one on its own (median)."""
    _, coefficients, sensing = simulated(records, scene)
    counts = torch.from_numpy(scene.pattern.counts.astype(np.float32))[None]
    values, durations = [], []
    with torch.inference_mode():
        assert sensing.noise_level is not None
        levels = sensing.noise_level.split(1)
        for one, level in zip(coefficients.split(1), levels, strict=True):
            started = time.perf_counter()
            image = reconstructor(one, counts, sensing.with_noise_level(level))
            durations.append(time.perf_counter() - started)
            values.append(objective(image, Target(one, counts, sensing)))
    return torch.cat(values), float(np.median(durations))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=2.0)
    parser.add_argument("--steps", type=int, help="of each training, instead of minutes")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--budget", nargs="*", default=["4x", "8x"])
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    for budget in given.budget:
        recipe = base_recipe("mri", budget, given.minutes, given.threads, given.steps)
        records = evenly(resolve(recipe).images.test, IMAGES)
        classical = HQS(iterations=2000, tolerance=1e-6)
        print(f"\n{budget}: PSNR / dB at noise x{', x'.join(map(str, NOISE))}; objective and time over hqs's")
        reference: tuple[torch.Tensor, float] | None = None
        for name, loss in LOSSES.items():
            chosen = replace(recipe, reconstructor=Component("hqsnet")).with_settings("training", loss=loss)
            plan = design(chosen)
            scene = Scene(plan.sensing, plan.pattern, plan.noise)
            if reference is None:
                reference = judged(classical, scene, records)
                show("hqs, converged", classical, scene, records, reference)
            show(f"hqsnet, {name}", plan.reconstructor, scene, records, reference)


def show(name: str, network: Reconstructor, scene: Scene, records: Any, reference: tuple[torch.Tensor, float]) -> None:
    """One line."""
    std = scene.noise.spec()["std"]
    scores = [
        measure(network, replace(scene, noise=replace(scene.noise, std=std * factor)), records)["psnr_db"]  # type: ignore[type-var]
        for factor in NOISE
    ]
    values, seconds = judged(network, scene, records)
    ratio = values / reference[0]
    print(
        f"{name:28s} {'  '.join(f'{score:6.2f}' for score in scores)}   objective x{float(ratio.mean()):.3f} "
        f"(worst x{float(ratio.max()):.3f}), time x{seconds / reference[1]:.3f} ({seconds * 1e3:.0f} ms)",
        flush=True,
    )


if __name__ == "__main__":
    main()
