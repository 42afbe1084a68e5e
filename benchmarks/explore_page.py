"""How long the explore page takes from a knob's move to the drawn picture, in headless Chromium.

    python benchmarks/explore_page.py --size 256 --threads 2

An untrained network of the default size is as fast as a trained one. Time runs in the browser, from the request to the
canvas; the median and the 90th percentile over positions one after the other.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "cli"))
from test_cli_explore_page import Browser, answers, free_port, wait_for

from acqplan.cli import main as acqplan_main

POSITIONS = 40
PROGRAM = "import sys; from acqplan.cli import main; sys.exit(main(sys.argv[1:]))"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--plan", type=Path, help="use this plan and --acquired instead")
    parser.add_argument("--acquired", type=Path)
    parser.add_argument("--picture", type=Path, help="also save a picture of the page (PNG)")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        plan, acquired = given.plan, given.acquired
        if plan is None:
            plan, acquired = made(Path(name), given.size)
        print(measured(plan, acquired, given.threads, given.picture))


def made(folder: Path, size: int) -> tuple[Path, Path]:
    """A plan and an acquisition of made-up images: only their size matters."""
    random = np.random.default_rng(0)
    for i in range(3):
        np.save(folder / f"{i}.npy", random.random((2, size, size)).astype(np.float32))
    plan, acquired = folder / "hyper.acqplan", folder / "acquired.h5"
    words = ["design", "mri", "--images", str(folder), "--budget", "4x", "--designer", "low-pass"]
    words += ["--reconstructor", "hyper", "--steps", "2", "-o", str(plan)]
    assert acqplan_main(words) == 0
    assert acqplan_main(["simulate", str(plan), str(folder / "0.npy"), "-o", str(acquired)]) == 0
    return plan, acquired


def measured(plan: Path, acquired: Path, threads: int, picture: Path | None) -> str:
    """One line."""
    port = free_port()
    words = ["explore", str(plan), str(acquired), "--serve", "--no-browser", "--port", str(port)]
    environment = {**os.environ, "OMP_NUM_THREADS": str(threads)}
    server = subprocess.Popen([sys.executable, "-c", PROGRAM, *words], env=environment, stdout=-3)
    browser = None
    try:
        wait_for(lambda: answers(f"http://127.0.0.1:{port}/"), "the server")
        browser = Browser(f"http://127.0.0.1:{port}/")
        browser.wait("Boolean(window.panes && panes.pixels.now && panes.pixels.zero)")
        for position in np.linspace(0.02, 0.98, POSITIONS):
            browser.run(f"panes.turn(0, {position:.3f})")
            browser.wait("!panes.state.busy")
        took = browser.run("panes.drawn.map((each) => each.took)")[-POSITIONS:]
        if picture is not None:
            browser.save_picture(picture)
    finally:
        if browser is not None:
            browser.close()
        server.terminate()
        server.wait()
    return f"{len(took)} positions: median {np.median(took):.0f} ms, 90th percentile {np.percentile(took, 90):.0f} ms"


if __name__ == "__main__":
    main()
