"""What faults of a microscope cost: the ready DMD plan, its exported frames played by the virtual microscope.

    python benchmarks/dmd_faults.py

Held-out tiles of the plan's own sample. PSNR against the true tile after one least-squares factor for the brightness,
which a lamp that changes can't tell: mean over the tiles, and the difference to no fault with its standard error.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch

from acqplan.core.math.metrics import psnr
from acqplan.formats.export import export
from acqplan.learning.image_sets import read_images, training_images
from acqplan.modalities.dmd.formats.dmd_tiff import DmdTiff
from acqplan.modalities.dmd.formats.trace import Trace
from acqplan.modalities.dmd.microscope import Microscope, record_traces
from acqplan.modalities.dmd.noise import PoissonGaussian
from acqplan.modalities.dmd.traces.files import write_table
from acqplan.plan.plan import Plan

PLAN = Path(__file__).parents[1] / "patterns" / "cells-12.5pct" / "cells-12.5pct.acqplan"
NO_FAULT = "no fault"
ROWS: list[tuple[str, dict[str, Any], dict[str, Any], dict[str, float]]] = [
    # name, faults, how it is read, changes of the noise
    (NO_FAULT, {}, {}, {}),
    ("lamp -20 % over the scan", {"lamp_drift": -0.2}, {}, {}),
    ("  corrected by pairs", {"lamp_drift": -0.2}, {"drift": "pairs"}, {}),
    ("  corrected by references, 1 in 33", {"lamp_drift": -0.2, "reference_every": 32}, {}, {}),
    ("lamp ±10 %, three waves", {"lamp_ripple": 0.1}, {}, {}),
    ("  corrected by pairs", {"lamp_ripple": 0.1}, {"drift": "pairs"}, {}),
    ("  corrected by references, 1 in 33", {"lamp_ripple": 0.1, "reference_every": 32}, {}, {}),
    ("1 % of the frames dropped", {"dropped": 0.01}, {}, {}),
    ("4 % of the frames dropped", {"dropped": 0.04}, {}, {}),
    ("0.1 % of the mirrors stuck off", {"stuck_off": 0.001}, {}, {}),
    ("1 % of the mirrors stuck off", {"stuck_off": 0.01}, {}, {}),
    ("1 % of the mirrors stuck on", {"stuck_on": 0.01}, {}, {}),
    ("dark counts 10^4 e a frame", {}, {}, {"dark_e": 1e4}),
    ("dark counts 10^5 e a frame", {}, {}, {"dark_e": 1e5}),
]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tiles", type=int, default=8)
    parser.add_argument("--scale", type=int, default=4, help="mirrors per pixel, along each axis")
    given = parser.parse_args()
    torch.set_num_threads(1)
    plan = Plan.load(PLAN)
    noise = plan.noise
    assert isinstance(noise, PoissonGaussian)
    tiles = training_images(plan.recipe, plan.recipe.images, read_images(plan.recipe)).test
    tiles = [tiles[i] for i in np.unique(np.linspace(0, len(tiles) - 1, given.tiles).round().astype(int))]
    n_frames = plan.pattern.n_readings * plan.sensing.frames_per_unit
    rows, columns = plan.sensing.image_shape
    print(
        f"{PLAN.stem}: {len(tiles)} held-out tiles of {rows} x {columns}, {n_frames} frames, {noise.photons:g} photons"
    )
    started = time.perf_counter()
    without: Any = None
    with tempfile.TemporaryDirectory() as parent:
        folder, trace = Path(parent) / "frames", Path(parent) / "trace.h5"
        instrument = DmdTiff(device=f"{columns * given.scale}x{rows * given.scale}", scale=given.scale)
        export(plan, instrument, folder)
        for name, faults, reading, changes in ROWS:
            faults = {**faults, **({"dropped": round(faults["dropped"] * n_frames)} if "dropped" in faults else {})}
            model = PoissonGaussian(**{**noise.spec(), **changes})
            scores = []
            recorded = record_traces(plan, instrument, folder, tiles, microscope=Microscope(**faults), noise=model)
            for tile, each in zip(tiles, recorded, strict=True):
                write_table(each.table, trace)
                image = plan.reconstruct(Trace(**reading).read_acquired(trace, plan)) / noise.image_scale
                factor = float((image * tile.array).sum() / (image**2).sum())
                scores.append(psnr(factor * image, tile.array, float(tile.data_range)))
            if without is None:
                without = np.array(scores)
            change = np.array(scores) - without
            error = change.std(ddof=1) / np.sqrt(change.size) if change.size > 1 else 0.0
            told = "" if name == NO_FAULT else f"   {change.mean():+6.2f} ± {error:.2f} dB"
            print(f"{name:38s} {np.mean(scores):6.2f} dB{told}", flush=True)
    print(f"{time.perf_counter() - started:.0f} s")


if __name__ == "__main__":
    main()
