"""Seconds to check, build, write and read back a Pulseq file: 3D 256 × 256 points at 8x, and 2D slices.

    python benchmarks/pulseq_export.py

"written" includes the checks before, and reading the file once for the limits; "read" is the comparison with the plan.
pypulseq is imported before the clock starts.
"""

from __future__ import annotations

import json
import tempfile
import time
from pathlib import Path

import numpy as np

from acqplan.core.registry import find
from acqplan.formats.export import export
from acqplan.modalities.mri.formats.pulseq import Pulseq
from acqplan.modalities.mri.formats.pulseq.build import import_pypulseq
from acqplan.plan.plan import Plan
from acqplan.plan.recipe import Recipe
from acqplan.sensing.budget import Budget
from acqplan.sensing.pattern import Pattern


def plan_of(encoding: str, side: int, acceleration: int) -> Plan:
    """A plan of uniformly random units around a fully measured centre."""
    sensing = find("sensing", "cartesian_mri")((side, side), encoding)
    calibration = sensing.calibration_units(24)
    others = np.setdiff1d(np.arange(sensing.n_units), calibration)
    n = sensing.n_units // acceleration
    chosen = np.random.default_rng(0).permutation(others)[: n - len(calibration)]
    pattern = Pattern(np.sort(np.concatenate([calibration, chosen])), sensing.n_units, calibration)
    noise, reconstructor = find("noise", "complex_gaussian")(), find("reconstructors", "zero-filled")()
    return Plan(sensing, Budget(n, sensing.n_units, len(calibration)), pattern, noise, reconstructor, Recipe("mri"))


def main() -> None:
    """Print one row for each case."""
    cases = (
        ("3D 256 × 256, 8x", plan_of("points", 256, 8), Pulseq()),
        ("3D 256 × 256, 8x, format 1.4", plan_of("points", 256, 8), Pulseq(version="1.4")),
        ("2D 256, 4x, 20 slices", plan_of("lines", 256, 4), Pulseq(slices=20)),
    )
    import_pypulseq()
    print(f"{'case':32}{'written':>8}{'read':>8}{'all':>8}{'MB':>8}{'TRs':>8}")
    for name, plan, instrument in cases:
        with tempfile.TemporaryDirectory() as parent:
            folder = Path(parent) / "out"
            start = time.perf_counter()
            export(plan, instrument, folder)
            total = time.perf_counter() - start
            before = time.perf_counter()
            instrument.read(folder)
            read = time.perf_counter() - before
            manifest = json.loads((folder / "manifest.json").read_text())
            size = (folder / "sequence.seq").stat().st_size / 1e6
        n = (manifest["n_readings"] + manifest["dummies"]) * manifest["slices"]
        print(f"{name:32}{total - read:8.2f}{read:8.2f}{total:8.2f}{size:8.2f}{n:8d}")
        print(f"    scan {manifest['scan_time_s']:.1f} s, TE {manifest['te_ms']} ms, TR {manifest['tr_ms']} ms")


if __name__ == "__main__":
    main()
