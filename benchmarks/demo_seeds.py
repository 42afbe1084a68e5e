"""The demonstration over several seeds: learned against fixed patterns at the same count, one table.

    python benchmarks/demo_seeds.py --seeds 3 --minutes 5 --threads 2 --json seeds.json

Every row is the mean PSNR in dB over the held-out images of the sample; ``gain`` is the learned plan's minus
that row's, for the same seed: same images, noise, network and training time (with --steps: number of steps).
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from pathlib import Path

from acqplan.workflow.demonstration import demonstrate, setups


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--minutes", type=float, default=5.0, help="training time of one demonstration")
    parser.add_argument("--steps", type=int, help="of each training, instead of minutes")
    parser.add_argument("--threads", type=int, default=0)
    parser.add_argument("--modality", choices=("mri", "dmd"), action="append")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    results: dict[str, dict[str, list[float]]] = {}
    for modality in arguments.modality or ("mri", "dmd"):
        rows: dict[str, list[float]] = {}
        for seed in range(arguments.seeds):
            started = time.perf_counter()
            with tempfile.TemporaryDirectory() as folder:
                minutes = arguments.minutes * setups()[modality].share
                options = {"steps": arguments.steps, "seed": seed, "threads": arguments.threads}
                shown = demonstrate(modality, Path(folder), minutes, **options)
            for each in shown.contestants:
                rows.setdefault(f"{each.designer} + {each.reconstructor}", []).append(each.means["psnr_db"])
            for each in shown.contestants:
                print(f"  {each.designer} + {each.reconstructor}: {each.means['psnr_db']:.2f} dB", flush=True)
            steps = shown.learned.plan.recipe.training.steps
            print(f"{modality} seed {seed}: {steps} steps each, {time.perf_counter() - started:.0f} s", flush=True)
        learned = next(iter(rows.values()))
        print(f"\n{modality:44s} {'PSNR / dB per seed':30s} gain of learned (mean; smallest)")
        for name, values in rows.items():
            gains = [ours - theirs for ours, theirs in zip(learned, values, strict=True)]
            per_seed = "  ".join(f"{value:6.2f}" for value in values)
            print(f"{name:44s} {per_seed:30s} {statistics.mean(gains):+.2f}; {min(gains):+.2f}")
        results[modality] = rows
    if arguments.json:
        arguments.json.write_text(json.dumps(results, indent=2) + "\n")


if __name__ == "__main__":
    main()
