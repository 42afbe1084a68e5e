"""Repeats at equal dose: learned ones beside water-filling, uniform repeats, and patterns that measure once.

    python benchmarks/dmd_repeats.py --steps 150 --threads 2
    python benchmarks/dmd_repeats.py --steps 150 --threads 2 --images sample:cells img2d.tif

Real fluorescence images; every pattern takes the same number of ± pairs of the same exposure, so the same dose and
light-on time, and trains the same network for the same steps. Three light levels. Prints PSNR and SSIM on held-out
tiles, and the paired difference of learned repeats to each other pattern with a 95 % bootstrap interval over the tiles.
``img2d.tif`` is in the package stardist (stardist/data/images): nuclei in a fluorescence microscope.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch

from acqplan.learning.training import design
from acqplan.plan.components import Component
from acqplan.plan.plan import Plan
from acqplan.plan.recipe import BudgetSettings, ImageSettings, Recipe, TrainingSettings

DESIGNERS = {
    "learned-repeats": {},
    "water-filling": {},
    "uniform-repeats": {"times": 2},
    "swaps": {},
    "variance-ordered": {},
    "zigzag": {},
    "low-pass": {},
    "low-sequency": {},
    "half-half": {},
}
LEARNED = "learned-repeats"
BOOTSTRAPS = 2000


def recipe(given: argparse.Namespace, images: str, photons: float, designer: str, seed: int) -> Recipe:
    """The same for every designer but for the pattern."""
    return Recipe(
        "dmd",
        seed,
        ImageSettings([images], [given.size, given.size], binning=given.binning),
        budget=BudgetSettings(given.budget),
        noise=Component("poisson_gaussian", {"photons": photons, "read_noise_e": given.read_noise}),
        designer=Component(designer, DESIGNERS[designer]),
        training=TrainingSettings(steps=given.steps, joint_share=given.joint_share, threads=given.threads),
    )


def of_tiles(plan: Plan, metric: str) -> np.ndarray[Any, np.dtype[np.float64]]:
    """One number for each held-out tile."""
    return np.array([row["plan"][metric] for row in plan.evidence["held_out"]["images"]])


def interval(difference: np.ndarray[Any, np.dtype[np.float64]]) -> tuple[float, float, float]:
    """Mean, and 95 % bootstrap interval over the tiles."""
    random = np.random.default_rng(0)
    means = [random.choice(difference, difference.size).mean() for _ in range(BOOTSTRAPS)]
    low, high = np.percentile(means, [2.5, 97.5])
    return float(difference.mean()), float(low), float(high)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", nargs="*", default=["sample:cells"])
    parser.add_argument("--photons", type=float, nargs="*", default=[2.0, 20.0, 200.0], help="of a full-scale pixel")
    parser.add_argument("--read-noise", type=float, default=2.0)
    parser.add_argument("--budget", default="25%")
    parser.add_argument("--size", type=int, default=64)
    parser.add_argument("--binning", type=int)
    parser.add_argument("--steps", type=int, default=150)
    parser.add_argument("--joint-share", type=float, default=0.5)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--designers", nargs="*", default=list(DESIGNERS), choices=list(DESIGNERS))
    parser.add_argument("--json", type=Path, help="also write every number")
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    started, written = time.perf_counter(), []
    for images in given.images:
        for photons in given.photons:
            print(f"\n{Path(images).name}, {photons:g} photo-electrons, {given.steps} steps, {given.seeds} seeds")
            print(f"{'pattern':18} {'units':>6} {'most':>5} {'PSNR/dB':>8} {'SSIM':>7}   learned: better by / dB")
            psnr: dict[str, list[np.ndarray[Any, np.dtype[np.float64]]]] = {}
            for designer in given.designers:
                plans = [design(recipe(given, images, photons, designer, seed)) for seed in range(given.seeds)]
                psnr[designer] = [of_tiles(plan, "psnr_db") for plan in plans]
                ssim = float(np.mean([of_tiles(plan, "ssim").mean() for plan in plans]))
                cost, counts = plans[0].evidence["exposure"], plans[0].pattern.counts
                row: dict[str, Any] = {
                    "images": Path(images).name,
                    "photons": photons,
                    "pattern": designer,
                    "units": int((counts > 0).sum()),
                    "most_repeats": int(counts.max()),
                    "psnr_db": float(np.mean(psnr[designer])),
                    "psnr_db_of_seeds": [float(values.mean()) for values in psnr[designer]],
                    "ssim": ssim,
                    "frames": cost["frames"],
                    "photo_electrons": cost["photo_electrons"],
                }
                text = ""
                if designer != LEARNED and LEARNED in psnr:
                    difference = np.mean(np.stack(psnr[LEARNED]) - np.stack(psnr[designer]), axis=0)
                    row["learned_is_better_db"] = interval(difference)
                    mean, low, high = row["learned_is_better_db"]
                    text = f"{mean:+.2f} ({low:+.2f} to {high:+.2f})"
                numbers = f"{row['units']:6} {row['most_repeats']:5} {row['psnr_db']:8.2f} {ssim:7.4f}"
                print(f"{designer:18} {numbers}   {text}", flush=True)
                written.append(row)
    print(f"\n{time.perf_counter() - started:.0f} s in all")
    if given.json is not None:
        given.json.write_text(json.dumps(written, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
