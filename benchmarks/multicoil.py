"""Several coils: acqplan's plans beside BART's ``ecalib`` and ``pics`` on the same samples and on Poisson discs.

    python benchmarks/multicoil.py --minutes 6 --threads 2 --volume /usr/share/mricron/templates/ch2.nii.gz

ky lines at R = 4 and ky–kz points at R = 4 and 8 are learned from ``sample:brain`` (magnitudes; each gets a smooth
phase), received by simulated coils (new ones in every training batch), with complex noise in every coil. The test is
on slices of it that were held out, and on those of a volume of another subject (``--volume``; above, Debian's
mricron-data: Colin27, a head with its skull), each with a phase, coils and noise of its own.

* **Patterns**: the plan's own, and a variable-density Poisson disc of the same count with the same calibration region.
* **pics**: ℓ1-wavelets and total variation, 100 iterations, on both patterns. The weight is tuned for each regulariser,
  pattern and acceleration on other slices (validation), by mean PSNR over a grid; a best value at its end is marked.
* **Maps**: *estimated* from the undersampled data's calibration region, by ``ecalib`` for ``pics`` (one set, a kernel
  as narrow as acqplan's, not cropped) and by acqplan for the plan; then the *true* maps for both.
* **Scale**: images have a known one (``pics -w 1``), and true or normalised maps keep it: nothing is fitted. Magnitudes
  are compared with the noise-free truth; peak of PSNR and SSIM is each image's largest magnitude.
* **Seconds**: of one image, maps included, with ``--threads`` threads, the starting of BART's programs included.

Needs BART on the path and ``pip install "acqplan[mri,samples]"``.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from bart_pics import is_installed, pics

from acqplan.core import registry
from acqplan.core.seeding import torch_generator
from acqplan.images import ImageRecord, load_stacks
from acqplan.learning.evaluation import Scene, measures, simulated
from acqplan.learning.image_sets import evaluation_images
from acqplan.learning.resolve import resolve
from acqplan.learning.training import design
from acqplan.modalities.mri.sensing import CartesianMRI
from acqplan.modalities.mri.settings import MRISettings
from acqplan.plan.components import Component
from acqplan.plan.plan import Plan
from acqplan.plan.recipe import BudgetSettings, ImageSettings, Recipe, TrainingSettings
from acqplan.sensing.acquisition import Acquisition
from acqplan.sensing.pattern import Pattern

Complex = npt.NDArray[np.complex64]
SETTINGS = (("lines", "4x"), ("points", "4x"), ("points", "8x"))
ITERATIONS = 100
WEIGHTS = {"wavelet": (0.0005, 0.001, 0.002, 0.004, 0.008), "tv": (0.0005, 0.001, 0.002, 0.004, 0.008)}


@dataclass(frozen=True)
class Measured:
    """One image, measured with one pattern: readings in its order, and the k-space grid with zeros."""

    record: ImageRecord
    pattern: Pattern
    readings: Complex
    grid: Complex


def measured(records: Sequence[ImageRecord], plan: Plan, pattern: Pattern) -> list[Measured]:
    """Every pattern sees the same noise at the same position."""
    sensing = plan.sensing
    assert isinstance(sensing, CartesianMRI)
    everything = []
    for i, record in enumerate(records):
        _, coefficients, _ = simulated([record], Scene(sensing, pattern, plan.noise), seed=i)
        units = coefficients[0].numpy()
        grid = sensing.to_grid(coefficients)[0].numpy()
        everything.append(Measured(record, pattern, units[pattern.order], grid))
    return everything


# --- acqplan -----------------------------------------------------------------------------------------


def acqplan_image(plan: Plan, data: Measured, maps: Complex | None) -> Complex:
    acquisition = Acquisition(data.readings, data.pattern.digest, "benchmark", data.pattern.order, maps)
    return np.asarray(plan.reconstruct(acquisition))


# --- BART --------------------------------------------------------------------------------------------


def bart_image(plan: Plan, data: Measured, maps: Complex | None, regulariser: str, weight: float) -> Complex:
    """``pics`` with the given maps, or with those of ``ecalib``."""
    assert isinstance(plan.sensing, CartesianMRI)
    return pics(data.grid, data.pattern.mask, plan.sensing, maps, regulariser, weight, ITERATIONS)


# --- the comparison ----------------------------------------------------------------------------------


def poisson_disc(plan: Plan, recipe: Recipe) -> Pattern:
    """Of the plan's exact count and calibration region, by the designer that comes with acqplan."""
    problem = resolve(recipe)
    designer = registry.find("designers", "poisson-disc")(problem.design)
    pattern: Pattern = designer.freeze(torch_generator(0, "benchmark"))
    assert pattern.n_readings == plan.pattern.n_readings
    return pattern


def tuned(plan: Plan, data: Sequence[Measured], regulariser: str) -> tuple[float, bool]:
    """The weight with the best mean PSNR, and whether it lies at an end of the grid."""
    quality = []
    for weight in WEIGHTS[regulariser]:
        found = [(bart_image(plan, d, None, regulariser, weight), d.record) for d in data]
        rows = [measures(image, record.array, record.data_range) for image, record in found]
        quality.append(float(np.mean([row["psnr_db"] for row in rows])))
    best = int(np.argmax(quality))
    return WEIGHTS[regulariser][best], best in (0, len(quality) - 1)


def evenly(records: Sequence[ImageRecord], n: int) -> list[ImageRecord]:
    return [records[i] for i in np.unique(np.linspace(0, len(records) - 1, min(n, len(records))).round().astype(int))]


def one_setting(arguments: argparse.Namespace, encoding: str, budget: str) -> list[dict[str, Any]]:
    recipe = Recipe(
        "mri",
        arguments.seed,
        ImageSettings(["sample:brain"], [arguments.size] * 2),
        Component("cartesian_mri", {"encoding": encoding}),
        BudgetSettings(budget, calibration=arguments.calibration),
        Component("complex_gaussian", {"std": arguments.noise}),
        training=TrainingSettings(minutes=arguments.minutes, threads=arguments.threads),
        instrument=MRISettings(coils=arguments.coils),
    )
    started = time.perf_counter()
    plan = design(recipe)
    trained_s = time.perf_counter() - started
    images = resolve(plan.recipe).images
    tests = {"held-out slices": evenly(images.test, arguments.images)}
    if arguments.volume:
        stacks = load_stacks([arguments.volume])
        tests[Path(arguments.volume).name] = evenly(evaluation_images(plan.recipe, stacks).test, arguments.images)
    tuning = evenly(images.validation, arguments.tuning_images)
    patterns = {"plan's samples": plan.pattern, "Poisson disc": poisson_disc(plan, plan.recipe)}
    note = f"{plan.pattern.n_readings} of {plan.pattern.n_units} {plan.sensing.unit_name}s, calibration "
    print(
        f"\n## {encoding}, R = {budget[:-1]}: {note}{plan.recipe.budget.calibration} wide; "
        f"{plan.recipe.training.steps} steps in {trained_s:.0f} s\n",
        flush=True,
    )
    weights = {
        (name, regulariser): tuned(plan, measured(tuning, plan, pattern), regulariser)
        for name, pattern in patterns.items()
        for regulariser in WEIGHTS
    }
    rows = []
    for test, records in tests.items():
        for maps in ("estimated", "true"):
            data = {name: measured(records, plan, pattern) for name, pattern in patterns.items()}
            own = "plan's samples"
            some = [row_of("acqplan", own, data[own], maps, lambda d, m: acqplan_image(plan, d, m))]
            for (name, regulariser), (weight, at_end) in weights.items():
                some.append(
                    row_of(
                        f"pics {regulariser}",
                        name,
                        data[name],
                        maps,
                        lambda d, m, r=regulariser, w=weight: bart_image(plan, d, m, r, w),
                    )
                    | {"weight": weight, "weight_at_end": at_end}
                )
            show(test, maps, some)
            rows += [{"encoding": encoding, "budget": budget, "test": test, **row} for row in some]
    return rows


def row_of(method: str, samples: str, data: Sequence[Measured], maps: str, reconstruct: Any) -> dict[str, Any]:
    """Means over the images."""
    if method == "acqplan":  # what is imported at the first call isn't timed
        reconstruct(data[0], None)
    quality, seconds = [], []
    for each in data:
        given = each.record.coil_maps if maps == "true" else None
        started = time.perf_counter()
        image = reconstruct(each, given)
        seconds.append(time.perf_counter() - started)
        quality.append(measures(image, each.record.array, each.record.data_range))
    means = {name: float(np.mean([row[name] for row in quality])) for name in quality[0]}
    return {
        "method": method,
        "samples": samples,
        "maps": maps,
        "n_images": len(data),
        **means,
        "seconds": float(np.median(seconds)),
    }


def show(test: str, maps: str, rows: Sequence[dict[str, Any]]) -> None:
    ours = rows[0]["psnr_db"]
    print(f"{test}, {rows[0]['n_images']} images, {maps} maps")
    print(f"{'':14s} {'samples':15s} {'weight':>7s} {'PSNR/dB':>8s} {'SSIM':>7s} {'NRMSE':>7s} {'s':>6s} {'ours':>7s}")
    for row in rows:
        weight = f"{row['weight']:g}{'!' if row['weight_at_end'] else ''}" if "weight" in row else ""
        print(
            f"{row['method']:14s} {row['samples']:15s} {weight:>8s} {row['psnr_db']:8.2f} {row['ssim']:7.4f} "
            f"{row['nrmse']:7.4f} {row['seconds']:6.2f} {ours - row['psnr_db']:+8.2f}"
        )
    best = max(row["psnr_db"] for row in rows if row["samples"] == "Poisson disc")
    print(f"acqplan above the best pics on a Poisson disc: {ours - best:+.2f} dB\n", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=6.0, help="of training, for each of the three plans")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--size", type=int, default=128, help="a multiple of 4: see acqplan/instruments/bart.py")
    parser.add_argument("--coils", type=int, default=8)
    parser.add_argument("--noise", type=float, default=0.005)
    parser.add_argument("--calibration", type=int, default=None)
    parser.add_argument("--images", type=int, default=6, help="of each test set")
    parser.add_argument("--tuning-images", type=int, default=3)
    parser.add_argument("--settings", type=int, nargs="*", default=[0, 1, 2], help="of " + str(SETTINGS))
    parser.add_argument("--volume", default="", help="of another subject, to test on too")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    if not is_installed():
        sys.exit("BART isn't on the path.")
    if arguments.size % 4:
        sys.exit("Choose a size that is a multiple of 4.")
    os.environ["OMP_NUM_THREADS"] = str(arguments.threads)
    torch.set_num_threads(arguments.threads)
    rows = [row for i in arguments.settings for row in one_setting(arguments, *SETTINGS[i])]
    if arguments.json:
        arguments.json.write_text(
            json.dumps({"arguments": vars(arguments), "rows": rows}, indent=2, default=str) + "\n"
        )


if __name__ == "__main__":
    main()
