"""What one image of several coils takes: acqplan's maps and network beside BART's ``ecalib`` and ``pics``.

    python benchmarks/one_image.py
    python benchmarks/one_image.py --shape 230x180 --coils 8 --budget 4x --turns 7 --threads 2

The network has the size of a real one but hardly any training: only its time is looked at. Both get the same readings
and estimate the coil maps from the calibration region; ``pics`` takes 100 iterations with wavelets. Their turns
alternate; told are medians of wall seconds and the median of the ratios of each turn. BART's seconds hold the start of
two programs and files in a temporary folder. The command ``acqplan reconstruct`` is timed as a whole process, on four
slices of an ISMRMRD file.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from bart_pics import is_installed, pics

import acqplan
from acqplan.learning.evaluation import Scene, simulated
from acqplan.learning.resolve import resolve
from acqplan.modalities.mri.sensing import CartesianMRI
from acqplan.modalities.mri.settings import MRISettings
from acqplan.plan.components import Component
from acqplan.plan.recipe import with_preset

ITERATIONS, WEIGHT = 100, 0.002
SLICES = (80, 83)


def seconds(what: Callable[[], object]) -> float:
    """How long it takes."""
    before = time.perf_counter()
    what()
    return time.perf_counter() - before


def main() -> None:
    """Time, and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", default="sample:brain")
    parser.add_argument("--shape", default="230x180")
    parser.add_argument("--coils", type=int, default=8)
    parser.add_argument("--budget", default="4x")
    parser.add_argument("--network", default="unrolled:medium")
    parser.add_argument("--turns", type=int, default=7)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    os.environ["OMP_NUM_THREADS"] = str(arguments.threads)
    kind, _, preset = arguments.network.partition(":")
    recipe = acqplan.Recipe(
        "mri",
        images=acqplan.ImageSettings([arguments.images], [int(side) for side in arguments.shape.split("x")]),
        budget=acqplan.BudgetSettings(arguments.budget),
        designer=Component("poisson-disc", {"power": 2.0}),
        instrument=MRISettings(coils=arguments.coils),
        training=acqplan.TrainingSettings(steps=1, threads=arguments.threads),
    )
    recipe = replace(recipe, reconstructor=Component(kind))
    recipe = with_preset(recipe, "reconstructor", preset) if preset else recipe
    plan = acqplan.design(recipe)
    assert isinstance(plan.sensing, CartesianMRI)
    record = resolve(plan.recipe).images.test[0]
    _, coefficients, _ = simulated([record], Scene(plan.sensing, plan.pattern, plan.noise))
    grid = plan.sensing.to_grid(coefficients)[0].numpy()
    readings, order = coefficients[0].numpy()[plan.pattern.order], plan.pattern.order
    acquisition = acqplan.Acquisition(readings, plan.pattern.digest, "benchmark", order)
    turns = []
    for _ in range(arguments.turns + 1):
        own = seconds(lambda: plan.reconstruct(acquisition))
        bart = float("nan")
        if is_installed():
            given = (grid, plan.pattern.mask, plan.sensing, None, "wavelet", WEIGHT, ITERATIONS)
            bart = seconds(lambda given=given: pics(*given))  # type: ignore[misc]
        turns.append((own, bart))
    own, bart = np.array(turns[1:]).T  # the first is to warm up
    print(f"one slice of {arguments.shape}, {arguments.coils} coils, {arguments.network}, {arguments.threads} threads:")
    print(f"acqplan, maps and network: {np.median(own):.3f} s; BART ecalib and pics: {np.median(bart):.3f} s; ", end="")
    print(f"ratio {np.median(bart / own):.2f}")
    whole_command(plan, arguments)


def whole_command(plan: acqplan.Plan, arguments: argparse.Namespace) -> None:
    """``acqplan reconstruct`` of four slices."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        plan.save(folder / "plan.acqplan")
        acqplan.simulate(plan, arguments.images, folder / "scan.h5", slices=SLICES)
        command = [sys.executable, "-m", "acqplan", "reconstruct", "plan.acqplan", "scan.h5", "-o", "image.nii.gz"]
        taken = [
            seconds(lambda: subprocess.run([*command, "--overwrite"], cwd=folder, check=True, capture_output=True))
            for _ in range(arguments.turns)
        ]
    print(f"acqplan reconstruct of four slices, the whole process: {np.median(taken):.2f} s")


if __name__ == "__main__":
    main()
