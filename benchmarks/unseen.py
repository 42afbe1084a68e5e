"""Patterns on subjects that nobody trained on: plans, searched, learned and tuned fixed ones, and classical rivals.

    acqplan base mri --images train/ --size 128x128 --pattern lines --steps 12000 -o lines.acqbase
    python benchmarks/unseen.py mri --train train/ --test test/ --size 128x128 --pattern lines --budget 4x \\
        --base lines.acqbase --steps 1000 --seeds 0 1 2
    python benchmarks/unseen.py mri --train train/ --test test/ --plans brain-8x.acqplan --rival-budgets 5x 8x

Both folders hold a sub-folder for each subject. Every designer gets the same base, the same steps and the same exact
count; for each seed the pattern is searched, drawn or learned anew and the network trained on it. ``--plans`` measures
plans that are there instead; they have to be of one size and kind. Nothing has seen the images of the test folder.

Rivals (``rivals.py``) reconstruct the same test images, with the same noise, from the first plan's samples and from
patterns that are tuned for them, at its budget or at those of ``--rival-budgets``; BART's ``pics`` where BART is on the
path. They are tuned on ``--tuning-images`` of the training folder. Several coils (``--coils``) have maps that both are
given, or with ``--estimated-maps`` each estimates from the calibration region: the plan and its solvers as acqplan
does, ``pics`` by ``ecalib``. With ``--raw`` all of it is of fully sampled raw k-space instead of the test folder: every
other image tunes the rivals, the others are the test; a single image is both, which flatters them.

Printed are PSNR and SSIM, means over subjects of means over their images, and the difference to the first row with a
95 % bootstrap interval over subjects.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from measured_images import Images, RawScans, Simulated
from rivals import Contest, solvers

from acqplan.core import registry
from acqplan.core.statistics import bootstrap_interval
from acqplan.images import ImageRecord, load_stacks
from acqplan.learning.image_sets import evaluation_images
from acqplan.learning.training import design
from acqplan.modalities.mri.settings import MRISettings
from acqplan.plan.components import Component
from acqplan.plan.plan import Plan
from acqplan.plan.recipe import BudgetSettings, ImageSettings, Recipe, TrainingSettings

DESIGNERS = {
    "mri": ("variable-density", "poisson-disc", "low-pass", "zigzag", "density", "swaps", "learned"),
    "dmd": (
        *("low-pass", "low-sequency", "zigzag", "half-half", "variance-ordered", "variable-density", "water-filling"),
        *("uniform-repeats", "density", "swaps", "learned", "learned-repeats"),
    ),
}
Row = dict[str, Any]


def recipe_of(arguments: argparse.Namespace, designer: str, budget: str, seed: int) -> Recipe:
    """What is designed; a designer may have options: ``variable-density:power=2.5``."""
    kind, _, words = designer.partition(":")
    options = {name: json.loads(value) for name, value in (word.split("=") for word in words.split(",") if word)}
    size = [int(side) for side in arguments.size.split("x")]
    is_mri = arguments.modality == "mri"
    noise = Component("poisson_gaussian", {"photons": arguments.photons}) if arguments.photons else None
    training = TrainingSettings(
        steps=arguments.steps, base=arguments.base, threads=arguments.threads, joint_share=arguments.joint_share
    )
    recipe = Recipe(
        arguments.modality,
        seed=seed,
        images=ImageSettings([str(arguments.train)], size),
        sensing=Component("cartesian_mri", {"encoding": arguments.pattern}) if is_mri else None,
        budget=BudgetSettings(budget),
        noise=noise,
        designer=Component(kind, options),
        training=training,
    )
    return recipe if arguments.coils is None else replace(recipe, instrument=MRISettings(coils=arguments.coils))


def images_of(plan: Plan, folder: Path, every: int, most: int | None = None) -> list[ImageRecord]:
    """Every so-manieth image of a folder as the plan sees it, ``most`` of these evenly over all."""
    records = list(evaluation_images(plan.recipe, load_stacks([folder])).test[::every])
    if most is None or most >= len(records):
        return records
    return [records[i] for i in np.linspace(0, len(records) - 1, most).round().astype(int)]


def of_subjects(rows: list[Row], metric: str) -> dict[str, float]:
    """Mean over each subject's images (and seeds)."""
    subjects = sorted({row["subject"] for row in rows})
    return {each: float(np.mean([row[metric] for row in rows if row["subject"] == each])) for each in subjects}


def by_subject(rows: list[Row], metric: str) -> float:
    """Mean over subjects."""
    return float(np.mean(list(of_subjects(rows, metric).values())))


def difference(rows: list[Row], others: list[Row], metric: str) -> str:
    """Of two lists of the same subjects: mean over them, and its interval."""
    ours, theirs = of_subjects(rows, metric), of_subjects(others, metric)
    gains = np.array([ours[each] - theirs[each] for each in ours])
    interval = bootstrap_interval(gains, np.arange(gains.size))
    digits = 2 if metric == "psnr_db" else 4
    words = "" if interval is None else f" ({interval[0]:+.{digits}f} to {interval[1]:+.{digits}f})"
    return f"{gains.mean():+.{digits}f}{words}"


@dataclass
class Table:
    """Prints a row when it is there, and keeps all of them."""

    title: str
    file: Path | None
    stored: dict[str, list[Row]]
    first: list[Row] | None = field(default=None, init=False)

    def __post_init__(self) -> None:
        print(f"\n{self.title}")
        print("| what | PSNR / dB | SSIM | Δ PSNR | Δ SSIM | each seed |\n|---|---|---|---|---|---|", flush=True)

    def add(self, name: str, seeds: Sequence[list[Row]]) -> None:
        """The rows of each seed."""
        rows = [row for each in seeds for row in each]
        self.first = rows if self.first is None else self.first
        self.stored[f"{self.title}: {name}"] = rows
        if self.file is not None:
            self.file.write_text(json.dumps(self.stored), encoding="utf-8")
        each = ", ".join(f"{by_subject(one, 'psnr_db'):.2f}" for one in seeds)
        print(
            f"| {name} | {by_subject(rows, 'psnr_db'):.2f} | {by_subject(rows, 'ssim'):.4f} | "
            f"{difference(rows, self.first, 'psnr_db')} | {difference(rows, self.first, 'ssim')} | {each} |",
            flush=True,
        )


def with_coils(plan: Plan, coils: int | None) -> Plan:
    """The plan for so many coils, as images are prepared for it."""
    if coils is None:
        return plan
    return replace(plan, recipe=plan.recipe.with_settings("images", coils=coils))


def tested(arguments: argparse.Namespace, plan: Plan) -> tuple[Images, Images]:
    """What is measured, and what rivals are tuned on."""
    if arguments.raw:
        tune, rest = RawScans.of_files(plan, arguments.raw).halves()
        return rest, tune
    estimates = arguments.estimated_maps

    def simulated(records: list[ImageRecord]) -> Simulated:
        return Simulated(records, plan.sensing, plan.noise, estimates)

    test = simulated(images_of(plan, arguments.test, arguments.every))
    return test, simulated(images_of(plan, arguments.train, 1, arguments.tuning_images))


def designed(arguments: argparse.Namespace, budget: str, table: Table) -> tuple[Plan, Images, Images]:
    """Every designer at a budget; the first plan, and what it was tested on."""
    first: tuple[Plan, Images, Images] | None = None
    for designer in arguments.designers or DESIGNERS[arguments.modality]:
        seeds = []
        for seed in arguments.seeds:
            plan = design(recipe_of(arguments, designer, budget, seed))
            first = (plan, *tested(arguments, plan)) if first is None else first
            seeds.append(first[1].rows_of_plan(plan))
        table.add(designer, seeds)
    assert first is not None, "no designer is named"
    return first


def measured(arguments: argparse.Namespace, table: Table) -> tuple[Plan, Images, Images]:
    """The plans that were named; the first one, and what it was tested on."""
    plans = {path.stem: with_coils(Plan.load(path), arguments.coils) for path in arguments.plans}
    first = next(iter(plans.values()))
    test, tuning = tested(arguments, first)
    for name, plan in plans.items():
        if (plan.sensing.kind, plan.sensing.spec()) != (first.sensing.kind, first.sensing.spec()):
            raise SystemExit(f"{name} measures otherwise than {next(iter(plans))}: compare plans of one size and kind.")
        table.add(f"{name}, {plan.budget.acceleration:.3g}x", [test.rows_of_plan(plan)])
    return first, test, tuning


def add_rivals(arguments: argparse.Namespace, first: tuple[Plan, Images, Images], table: Table) -> None:
    """Each classical solver at each of the budgets."""
    plan, test, tuning = first
    own = plan.recipe.budget.amount
    estimates = arguments.estimated_maps or bool(arguments.raw)
    for budget in dict.fromkeys(arguments.rival_budgets or [own]):
        contest = Contest(plan, str(arguments.train), budget, tuning)
        for solver in solvers(arguments.modality, estimates_maps=estimates):
            patterns = {"the plan": plan.pattern} if budget == own else {}
            for rival in contest.rivals(solver, patterns, arguments.seeds):
                table.add(f"{budget}: {rival.name}", [test.rows(rival.network, each) for each in rival.patterns])


def main() -> None:
    """Train or load, measure, print, and store after each row."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("modality", choices=list(registry.kinds("modalities")))
    parser.add_argument("--train", type=Path, required=True)
    parser.add_argument("--test", type=Path)
    parser.add_argument("--raw", nargs="+", help="fully sampled raw k-space to test on, of the plan's matrix")
    parser.add_argument("--plans", type=Path, nargs="+", help="measure these instead of designing")
    parser.add_argument("--size", default="128x128")
    parser.add_argument("--pattern", default="lines")
    parser.add_argument("--budget", nargs="+", default=["4x"])
    parser.add_argument("--photons", type=float)
    parser.add_argument("--coils", type=int)
    parser.add_argument("--estimated-maps", action="store_true")
    parser.add_argument("--designers", nargs="+", help="default: the usual ones of the instrument, all tuned alike")
    parser.add_argument("--rivals", action=argparse.BooleanOptionalAction, default=True)
    parser.add_argument("--rival-budgets", nargs="+", help="default: that of the first plan")
    parser.add_argument("--tuning-images", type=int, default=6)
    parser.add_argument("--base")
    parser.add_argument("--steps", type=int, default=1000)
    parser.add_argument("--joint-share", type=float, default=0.6)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--every", type=int, default=4, help="take every so-manieth test image")
    parser.add_argument("--threads", type=int, default=0)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    if (arguments.test is None) == (arguments.raw is None):
        parser.error("name --test or --raw")
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    stored: dict[str, list[Row]] = {}
    if arguments.plans:
        table = Table(f"{arguments.modality}, plans", arguments.json, stored)
        first = measured(arguments, table)
        if arguments.rivals:
            add_rivals(arguments, first, table)
        return
    for budget in arguments.budget:
        kind = f"mri {arguments.pattern}" if arguments.modality == "mri" else arguments.modality
        title = f"{kind}, {budget}, {arguments.steps} steps, seeds {arguments.seeds}"
        table = Table(title, arguments.json, stored)
        first = designed(arguments, budget, table)
        if arguments.rivals:
            add_rivals(arguments, first, table)


if __name__ == "__main__":
    main()
