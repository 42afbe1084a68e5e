"""How far images of test vectors move with the threads, vector instructions and libraries of one machine.

    python benchmarks/vector_rounding.py

A plan of every reconstructor on both instruments (96 × 96 points of the brain at 4x, with one coil and with six;
64 × 64 pixels of the cells at 25 %), trained for a few steps with one thread, and the two ready plans. ``acqplan test``
then runs in processes with other settings. Printed is ‖image − stored image‖ / ‖stored image‖ of each, the rounding
that the plan states, and the largest of all.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import acqplan
from acqplan import BudgetSettings, Component, ImageSettings, Recipe, TrainingSettings
from acqplan.core.registry import kinds
from acqplan.plan.plan import Plan

OLD = {"ATEN_CPU_CAPABILITY": "default", "MKL_ENABLE_INSTRUCTIONS": "SSE4_2", "ONEDNN_MAX_CPU_ISA": "SSE41"}
SETTINGS: dict[str, dict[str, str]] = {
    "1 thread": {"OMP_NUM_THREADS": "1"},
    "2 threads": {"OMP_NUM_THREADS": "2"},
    "AVX2": {"OMP_NUM_THREADS": "1", "ATEN_CPU_CAPABILITY": "avx2", "ONEDNN_MAX_CPU_ISA": "AVX2"},
    "SSE": {"OMP_NUM_THREADS": "1", **OLD},
    "no oneDNN": {"OMP_NUM_THREADS": "1", "NO_ONEDNN": "1"},
}
PROGRAM = """
import os, sys, torch
torch.backends.mkldnn.enabled = "NO_ONEDNN" not in os.environ
from acqplan.cli import main
main(["test", *sys.argv[1:], "--json"])
"""
READY = Path(__file__).parents[1] / "patterns"


def recipes() -> dict[str, Recipe]:
    found = {}
    for kind in kinds("reconstructors"):
        training, network = TrainingSettings(steps=15, threads=1), Component(kind)
        for modality, sample, size, budget in (("mri", "brain", 96, "4x"), ("dmd", "cells", 64, "25%")):
            found[f"{modality}-{kind}"] = Recipe(
                modality,
                images=ImageSettings([f"sample:{sample}"], [size, size]),
                budget=BudgetSettings(budget),
                designer=Component("variable-density" if modality == "mri" else "low-sequency"),
                reconstructor=network,
                training=training,
            )
    found["mri-unrolled-6-coils"] = found["mri-unrolled"].with_settings("images", coils=6)
    return found


def deviations(files: list[Path], setting: dict[str, str]) -> dict[str, float]:
    """Of the image, by the plan's name."""
    command = [sys.executable, "-c", PROGRAM, *map(str, files)]
    done = subprocess.run(command, capture_output=True, text=True, env=os.environ | setting, check=True)
    return {Path(proof["name"]).stem: proof["checks"][-1]["numbers"]["image"] for proof in json.loads(done.stdout)}


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        files = sorted(READY.glob("*/*.acqplan"))
        for name, recipe in recipes().items():
            files.append(Path(folder) / f"{name}.acqplan")
            acqplan.design(recipe).save(files[-1])
        rounding = {path.stem: plan.vector.rounding for path in files if (plan := Plan.load(path)).vector}
        found = {name: deviations(files, setting) for name, setting in SETTINGS.items()}
    print(f"{'plan':24}{'rounding':>11}" + "".join(f"{name:>11}" for name in found))
    for name, stated in rounding.items():
        print(f"{name:24}{stated:11.1e}" + "".join(f"{each[name]:11.1e}" for each in found.values()))
    print(f"{'largest':24}{'':11}" + "".join(f"{max(each.values()):11.1e}" for each in found.values()))


if __name__ == "__main__":
    main()
