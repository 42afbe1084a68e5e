"""Exports of many frames: time, size and peak memory of each format, in a process of its own.

    python benchmarks/dmd_export.py                    every format, 1,024 frames of 1920x1080
    python benchmarks/dmd_export.py alp --frames 8192  the whole catalogue of 64x64 pairs

Writing, reading back with the comparison of every mirror, and renaming into place are timed together; packing
the frames without writing them is timed alone.
"""

from __future__ import annotations

import argparse
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

FORMATS = ("alp", "dlpc900", "dmd-tiff", "png", "micromanager", "spas")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("formats", nargs="*", default=list(FORMATS))
    parser.add_argument("--frames", type=int, default=1024)
    parser.add_argument("--device", default="1920x1080")
    parser.add_argument("--side", type=int, default=64, help="pixels of the pattern along each side")
    parser.add_argument("--one", action="store_true", help="measure here, in this process")
    chosen = parser.parse_args()
    if chosen.one:
        measure(chosen.formats[0], chosen.frames, chosen.device, chosen.side)
        return
    print("| format | frames | packed alone | export | files | peak memory |\n|---|---|---|---|---|---|", flush=True)
    for kind in chosen.formats:
        words = [kind, "--frames", str(chosen.frames), "--device", chosen.device, "--side", str(chosen.side), "--one"]
        subprocess.run([sys.executable, __file__, *words], check=True)


def measure(kind: str, n_frames: int, device: str, side: int) -> None:
    import numpy as np
    import torch

    from acqplan.core.registry import find
    from acqplan.formats.export import export
    from acqplan.modalities.dmd.formats.dmd_frames import frames_of
    from acqplan.modalities.dmd.noise import PoissonGaussian
    from acqplan.modalities.dmd.sensing import HadamardDMD
    from acqplan.plan.plan import Plan
    from acqplan.plan.recipe import Recipe
    from acqplan.reconstructors.zero_filled import ZeroFilled
    from acqplan.sensing.budget import Budget
    from acqplan.sensing.pattern import Pattern

    torch.set_num_threads(1)
    sensing = HadamardDMD((side, side))
    n_readings = n_frames // sensing.frames_per_unit
    order = np.random.default_rng(0).permutation(sensing.n_units)[:n_readings]
    pattern = Pattern(order, sensing.n_units)
    plan = Plan(sensing, Budget(n_readings, sensing.n_units), pattern, PoissonGaussian(), ZeroFilled(), Recipe("dmd"))
    settings: dict[str, Any] = {"device": device}
    if kind == "spas":
        settings["files"] = "png"
    instrument = find("instruments", kind)(**settings)
    start = time.perf_counter()
    for _ in frames_of(order, sensing, instrument.placement(sensing.image_shape)):
        pass
    packed_s = time.perf_counter() - start
    with tempfile.TemporaryDirectory() as parent:
        folder = Path(parent) / "out"
        start = time.perf_counter()
        export(plan, instrument, folder)
        export_s = time.perf_counter() - start
        n_bytes = sum(path.stat().st_size for path in folder.rglob("*"))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"| `{kind}` | {n_frames} | {packed_s:.1f} s | {export_s:.1f} s | {n_bytes / 1e6:.1f} MB | {peak:.0f} MiB |")


if __name__ == "__main__":
    main()
