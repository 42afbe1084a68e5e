"""Patterns on subjects that nobody trained on: searched, learned and tuned fixed ones, trained alike.

    acqplan base mri --images train/ --size 128x128 --pattern lines --steps 12000 -o lines.acqbase
    python benchmarks/unseen.py mri --train train/ --test test/ --size 128x128 --pattern lines --budget 4x \\
        --base lines.acqbase --steps 1000 --seeds 0 1 2

Both folders hold a sub-folder for each subject. Every designer gets the same base, the same steps and the same exact
count; for each seed the pattern is searched, drawn or learned anew and the network trained on it. Nothing has seen the
images of the test folder before. Printed are PSNR and SSIM, means over subjects of means over their images, and the
difference to the first designer with a 95 % bootstrap interval over subjects.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np

from acqplan.core import registry
from acqplan.images import load_stacks
from acqplan.learning.evaluation import Scene, evaluate
from acqplan.learning.image_sets import evaluation_images
from acqplan.learning.training import design
from acqplan.plan.components import Component
from acqplan.plan.plan import Plan
from acqplan.plan.recipe import BudgetSettings, ImageSettings, Recipe, TrainingSettings
from acqplan.workflow.compare import bootstrap_interval

DESIGNERS = ("variable-density", "poisson-disc", "low-pass", "density", "swaps", "learned")


def recipe_of(arguments: argparse.Namespace, designer: str, budget: str, seed: int) -> Recipe:
    """What is designed; a designer may have options: ``variable-density:power=2.5``."""
    kind, _, words = designer.partition(":")
    options = {name: json.loads(value) for name, value in (word.split("=") for word in words.split(",") if word)}
    size = [int(side) for side in arguments.size.split("x")]
    sensing = None
    if arguments.modality == "mri":
        sensing = Component("cartesian_mri", {"encoding": arguments.pattern})
    noise = Component("poisson_gaussian", {"photons": arguments.photons}) if arguments.photons else None
    training = TrainingSettings(
        steps=arguments.steps, base=arguments.base, threads=arguments.threads, joint_share=arguments.joint_share
    )
    return Recipe(
        arguments.modality,
        seed=seed,
        images=ImageSettings([str(arguments.train)], size),
        sensing=sensing,
        budget=BudgetSettings(budget),
        noise=noise,
        designer=Component(kind, options),
        training=training,
    )


def measured(plan: Plan, test: Path, every: int) -> list[dict[str, Any]]:
    """Subject, PSNR and SSIM of every so-manieth test image."""
    records = evaluation_images(plan.recipe, load_stacks([test])).test[::every]
    rows = evaluate(Scene(plan.sensing, plan.pattern, plan.noise), {"plan": plan.reconstructor}, records).rows
    return [{"subject": row["subject"], **row["plan"]} for row in rows]


def of_subjects(rows: list[dict[str, Any]], metric: str) -> dict[str, float]:
    """Mean over each subject's images (and seeds)."""
    subjects = sorted({row["subject"] for row in rows})
    return {each: float(np.mean([row[metric] for row in rows if row["subject"] == each])) for each in subjects}


def by_subject(rows: list[dict[str, Any]], metric: str) -> float:
    """Mean over subjects."""
    return float(np.mean(list(of_subjects(rows, metric).values())))


def difference(rows: list[dict[str, Any]], others: list[dict[str, Any]], metric: str) -> str:
    """Of two lists of the same subjects: mean over them, and its interval."""
    ours, theirs = of_subjects(rows, metric), of_subjects(others, metric)
    gains = np.array([ours[each] - theirs[each] for each in ours])
    interval = bootstrap_interval(gains, np.arange(gains.size))
    digits = 2 if metric == "psnr_db" else 4
    words = "" if interval is None else f" ({interval[0]:+.{digits}f} to {interval[1]:+.{digits}f})"
    return f"{gains.mean():+.{digits}f}{words}"


def main() -> None:
    """Train, measure, print, and store after each training."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("modality", choices=list(registry.kinds("modalities")))
    parser.add_argument("--train", type=Path, required=True)
    parser.add_argument("--test", type=Path, required=True)
    parser.add_argument("--size", default="128x128")
    parser.add_argument("--pattern", default="lines")
    parser.add_argument("--budget", nargs="+", default=["4x"])
    parser.add_argument("--photons", type=float)
    parser.add_argument("--designers", nargs="+", default=list(DESIGNERS))
    parser.add_argument("--base")
    parser.add_argument("--steps", type=int, default=1000)
    parser.add_argument("--joint-share", type=float, default=0.6)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--every", type=int, default=4, help="take every so-manieth test image")
    parser.add_argument("--threads", type=int, default=0)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    found: dict[str, list[dict[str, Any]]] = {}
    for budget in arguments.budget:
        first: list[dict[str, Any]] | None = None
        print(f"\n{arguments.modality} {arguments.pattern}, {budget}, {arguments.steps} steps, seeds {arguments.seeds}")
        print(f"| {'designer':24} | PSNR / dB | SSIM | Δ PSNR | Δ SSIM | each seed |", flush=True)
        for designer in arguments.designers:
            seeds = []
            for seed in arguments.seeds:
                plan = design(recipe_of(arguments, designer, budget, seed))
                seeds.append(measured(plan, arguments.test, arguments.every))
                found[f"{budget} {designer} {seed}"] = seeds[-1]
                if arguments.json is not None:
                    arguments.json.write_text(json.dumps(found), encoding="utf-8")
            rows = [row for each in seeds for row in each]
            first = rows if first is None else first
            each = ", ".join(f"{by_subject(one, 'psnr_db'):.2f}" for one in seeds)
            print(
                f"| {designer:24} | {by_subject(rows, 'psnr_db'):.2f} | {by_subject(rows, 'ssim'):.4f} | "
                f"{difference(rows, first, 'psnr_db')} | {difference(rows, first, 'ssim')} | {each} |",
                flush=True,
            )


if __name__ == "__main__":
    main()
