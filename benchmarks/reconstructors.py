"""Every reconstructor on the same patterns: quality on held-out images, time and size. Writes docs/reconstructors.md.

    python benchmarks/reconstructors.py --minutes 1.5 --json results.json     # an hour on one core
    python benchmarks/reconstructors.py --from results.json                   # the page again, from its numbers

The pattern of a row's table is drawn once (variable density), and every network is trained on it for the same time,
from the same images. The classical solvers' one weight is tuned on validation images.
"""

from __future__ import annotations

import argparse
import json
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from acqplan.core import registry
from acqplan.core.math.metrics import hfen, psnr, ssim
from acqplan.learning.evaluation import Scene, simulated
from acqplan.learning.problem import Problem
from acqplan.learning.resolve import resolve
from acqplan.learning.training import design
from acqplan.plan.components import Component
from acqplan.plan.recipe import BudgetSettings, ImageSettings, Recipe, TrainingSettings
from acqplan.reconstructors.reconstructor import Reconstructor

PAGE = Path(__file__).parents[1] / "docs" / "reconstructors.md"
MARKS = ("<!-- measured: begin -->", "<!-- measured: end -->")
SETTINGS = {
    "MRI 4x": ("mri", "4x"),
    "MRI 8x": ("mri", "8x"),
    "DMD 1/4": ("dmd", "25%"),
    "DMD 1/8": ("dmd", "12.5%"),
}
CLASSICAL = ("wavelet", "tv", "hqs")
TRAINED: list[tuple[str, str, dict[str, float] | None]] = [
    ("unet", "unet", None),
    ("unrolled", "unrolled", None),
    ("cascade", "cascade", None),
    ("hqsnet, supervised", "hqsnet", {"mse": 1.0}),
    ("hqsnet", "hqsnet", None),
    ("hqsnet, held-back", "hqsnet", {"held-back": 1.0}),
    ("unrolled, held-back", "unrolled", {"held-back": 1.0}),
    ("hyper, l1 to ssim", "hyper", None),
]
TIMED, TUNED_ON, TESTED_ON = 4, 3, 12  # images


def base_recipe(modality: str, amount: str, minutes: float | None, threads: int, steps: int | None = None) -> Recipe:
    """The demo's images and noise; ``steps`` instead of ``minutes`` where given."""
    is_mri = modality == "mri"
    return Recipe(
        modality,
        images=ImageSettings(["sample:brain"] if is_mri else ["sample:cells"], [128, 128] if is_mri else [64, 64]),
        budget=BudgetSettings(amount),
        noise=None if is_mri else Component("poisson_gaussian", {"photons": 200.0}),
        designer=Component("variable-density"),
        training=TrainingSettings(minutes=None if steps else minutes, steps=steps, threads=threads),
    )


def measure(reconstructor: Reconstructor, scene: Scene, records: Any) -> dict[str, float]:
    """Mean quality over the records, and seconds for one image on its own."""
    _, coefficients, sensing = simulated(records, scene)
    counts = torch.from_numpy(scene.pattern.counts.astype(np.float32))[None]
    with torch.inference_mode():
        assert sensing.noise_level is not None
        told = [sensing.with_noise_level(level) for level in sensing.noise_level.split(8)]
        images = [reconstructor(part, counts, of) for part, of in zip(coefficients.split(8), told, strict=True)]
        durations = []
        for one in coefficients[:TIMED].split(1):
            started = time.perf_counter()
            reconstructor(one, counts, sensing.with_noise_level(sensing.noise_level[:1]))
            durations.append(time.perf_counter() - started)
    found = torch.cat(images).numpy() / scene.noise.image_scale
    rows = [
        (psnr(x, r.array, float(r.data_range)), ssim(x, r.array, float(r.data_range)), hfen(x, r.array))
        for x, r in zip(found, records, strict=True)
    ]
    means = np.mean(rows, axis=0)
    return {
        "psnr_db": float(means[0]),
        "ssim": float(means[1]),
        "hfen": float(means[2]),
        "seconds": float(np.median(durations)),
        "parameters": reconstructor.n_parameters,
    }


def evenly(records: Any, n: int) -> list[Any]:
    """At most n of the records, evenly over all."""
    return [records[i] for i in np.unique(np.linspace(0, len(records) - 1, n).round().astype(int))]


def tuned(kind: str, problem: Problem, scene: Scene) -> tuple[Reconstructor, str]:
    """The classical solver with the weight, a power of two, that is best on validation images; what it is."""
    records = evenly(problem.images.validation, TUNED_ON)
    scores: dict[int, float] = {}

    def made(power: int) -> Reconstructor:
        weight = 2.0**power
        options = {"wavelet_weight": weight / 2, "tv_weight": weight / 2} if kind == "hqs" else {"weight": weight}
        reconstructor: Reconstructor = registry.find("reconstructors", kind)(**options)
        return reconstructor

    def score(power: int) -> float:
        if power not in scores:
            scores[power] = measure(made(power), scene, records)["psnr_db"]
        return scores[power]

    power = -7
    while True:  # uphill; the score has one top
        best = max((power - 1, power, power + 1), key=score)
        if best == power:
            return made(power), f"{kind}, weight {2.0**power:.2g}"
        power = best


def run(name: str, minutes: float, threads: int, rows_again: list[str], before: dict[str, Any]) -> dict[str, Any]:
    """All rows of one setting; or those of an earlier run with some of its networks trained again."""
    recipe = base_recipe(*SETTINGS[name], minutes, threads)
    first = design(replace(recipe, reconstructor=Component("zero-filled")))
    problem = resolve(recipe)
    scene = Scene(first.sensing, first.pattern, first.noise)
    test = evenly(problem.images.test, TESTED_ON)
    trained = [entry for entry in TRAINED if not rows_again or entry[0] in rows_again]
    if rows_again:
        return {**before, "rows": [*_again(before["rows"], recipe, scene, test, trained, name)]}
    rows = [{"name": "zero-filled", "minutes": 0.0, **measure(first.reconstructor, scene, test)}]
    for kind in CLASSICAL:
        reconstructor, label = tuned(kind, problem, scene)
        rows.append({"name": label, "minutes": 0.0, **measure(reconstructor, scene, test)})
        print(name, rows[-1], flush=True)
    rows += networks(recipe, scene, test, trained, name)
    return {"count": first.pattern.n_readings, "units": first.sensing.n_units, "n_test": len(test), "rows": rows}


def _again(rows: list[Any], recipe: Recipe, scene: Scene, test: Any, trained: list[Any], name: str) -> list[Any]:
    new = {row["name"]: row for row in networks(recipe, scene, test, trained, name)}
    return [new.get(row["name"], row) for row in rows]


def networks(recipe: Recipe, scene: Scene, test: Any, trained: list[Any], name: str) -> list[dict[str, Any]]:
    """A row for each network, trained on the scene's pattern."""
    rows = []
    for label, kind, loss in trained:
        chosen = replace(recipe, reconstructor=Component(kind)).with_settings("training", loss=loss)
        started = time.perf_counter()
        plan = design(chosen)
        passed = (time.perf_counter() - started) / 60
        assert plan.pattern == scene.pattern
        row = {"name": label, "minutes": passed, "steps": plan.recipe.training.steps}
        rows.append({**row, **measure(plan.reconstructor, scene, test)})
        print(name, rows[-1], flush=True)
    return rows


def markdown(results: dict[str, Any]) -> str:
    """The tables."""
    parts = []
    for name, table in results.items():
        lines = [
            f"### {name}: {table['count']} of {table['units']}, {table['n_test']} held-out images",
            "",
            "| reconstructor | PSNR / dB | SSIM | HFEN | s per image | parameters | minutes of training |",
            "|---|---|---|---|---|---|---|",
        ]
        for row in table["rows"]:
            minutes = f"{row['minutes']:.1f} ({row['steps']} steps)" if row["minutes"] else "none"
            lines.append(
                f"| {row['name']} | {row['psnr_db']:.2f} | {row['ssim']:.4f} | {row['hfen']:.3f} | "
                f"{row['seconds']:.3f} | {row['parameters']} | {minutes} |"
            )
        parts.append("\n".join(lines))
    return "\n\n".join(parts)


def write_page(results: dict[str, Any]) -> None:
    """Put the tables between the page's marks."""
    text = PAGE.read_text(encoding="utf-8")
    before, rest = text.split(MARKS[0])
    after = rest.split(MARKS[1])[1]
    PAGE.write_text(f"{before}{MARKS[0]}\n\n{markdown(results)}\n\n{MARKS[1]}{after}", encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=1.5, help="of training for each network")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--only", nargs="*", default=list(SETTINGS))
    parser.add_argument("--json", type=Path, help="write all numbers")
    parser.add_argument("--rows", nargs="*", default=[], help="train only these again; the rest is taken from --json")
    parser.add_argument("--from", dest="source", type=Path, help="numbers of an earlier run: only write the page")
    given = parser.parse_args()
    if given.source is not None:
        write_page(json.loads(given.source.read_text(encoding="utf-8")))
        return
    torch.set_num_threads(given.threads)
    results = json.loads(given.json.read_text(encoding="utf-8")) if given.rows else {}
    for name in given.only:
        results[name] = run(name, given.minutes, given.threads, given.rows, results.get(name, {}))
        if given.json is not None:
            given.json.write_text(json.dumps(results, indent=1), encoding="utf-8")
    print(markdown(results))


if __name__ == "__main__":
    main()
