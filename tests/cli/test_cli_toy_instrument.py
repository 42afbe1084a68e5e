"""A third instrument in one folder goes through every command without a change elsewhere (`tests/toy/line_camera`)."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tifffile

import acqplan

TOY = Path(__file__).parents[1] / "toy"
PROGRAM = """
import contextlib, io, json, sys
from acqplan.cli import main
told = []
for words in json.loads(sys.argv[1]):
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = main(words)
    told.append([code, out.getvalue(), err.getvalue()])
print(json.dumps(told))
"""
DESIGN = "design line --images images --size 32x32 --steps 3 --threads 1"
COMMANDS = {
    "help": "design --help",
    "flags": "design line --help",
    "formats": "formats",
    "design": f"{DESIGN} --budget 12_rows --noise 0.02 --margin 2 -o rows.acqplan",
    "another": f"{DESIGN} --budget 1s --row-time 50ms --designer variable-density --order interleaved -o vd.acqplan",
    "no time": f"{DESIGN} --budget 1s -o never.acqplan",
    "no margin": "design dmd --images images --recipe line.toml --dry-run",
    "show": "show rows.acqplan --recipe",
    "page": "show rows.acqplan --html rows.html --png rows.png",
    "table": "export rows.acqplan --to table -o table",
    "numpy": "export rows.acqplan --to numpy -o numpy",
    "bart": "export rows.acqplan --to bart -o bart",
    "test": "test rows.acqplan vd.acqplan table",
    "simulate": "simulate rows.acqplan images/field3.tif --noise 0.01 -o acquired.h5 --truth truth.npy",
    "played": "simulate rows.acqplan images/field3.tif --exported table -o acquired.npz",
    "verify": "verify rows.acqplan acquired.h5",
    "another's": "verify vd.acqplan acquired.h5",
    "reconstruct": "reconstruct rows.acqplan acquired.h5 -o image.npy",
    "reconstruct played": "reconstruct rows.acqplan acquired.npz -o image.tif",
    "evaluate": "evaluate rows.acqplan --images images --json evaluated.json",
    "compare": "compare rows.acqplan vd.acqplan --images images",
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("toy")
    (folder / "images").mkdir()
    y, x = np.mgrid[:48, :64]
    for i in range(4):
        image = 500 + 400 * np.sin(x / (3 + i)) * np.cos(y / (4 + i)) + np.random.default_rng(i).random((48, 64))
        tifffile.imwrite(folder / "images" / f"field{i}.tif", image.astype(np.uint16))
    (folder / "line.toml").write_text('modality = "dmd"\n[pattern]\nmargin = 2\n')
    return folder


@pytest.fixture(scope="module")
def told(folder: Path) -> dict[str, tuple[int, str, str]]:
    """Exit code, standard output and errors of every command, run in one process that finds the toy."""
    words = [[word.replace("_", " ") for word in command.split()] for command in COMMANDS.values()]
    places = [str(TOY), str(Path(acqplan.__file__).parents[1]), *filter(None, [os.environ.get("PYTHONPATH")])]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(places)}
    command = [sys.executable, "-c", PROGRAM, json.dumps(words)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, env=environment, cwd=folder)
    assert done.returncode == 0, done.stderr
    return {name: tuple(each) for name, each in zip(COMMANDS, json.loads(done.stdout), strict=True)}


REFUSED = {"no time", "no margin", "bart", "another's"}


@pytest.mark.parametrize("name", sorted(set(COMMANDS) - REFUSED))
def test_every_command_works(told: dict[str, tuple[int, str, str]], name: str) -> None:
    code, _, err = told[name]
    assert code == 0, err


def test_the_command_line_offers_it(told: dict[str, tuple[int, str, str]]) -> None:
    assert "Plan a scan with a line camera" in told["help"][1]
    for flag in ("--margin", "--row-time", "--noise"):
        assert flag in told["flags"][1]
    for flag in ("--coils", "--photons", "--echo-train"):
        assert flag not in told["flags"][1]
    rows = {line.split()[0]: line for line in told["formats"][1].splitlines() if line.strip()}
    assert "line camera" in rows["numpy"]
    assert "line camera" not in rows["bart"]


def test_its_own_settings_and_budget_decide_the_plan(told: dict[str, tuple[int, str, str]], folder: Path) -> None:
    order = np.load(folder / "numpy" / "order.npy")
    assert order.size == 12
    assert order.min() >= 2
    assert order.max() < 30
    assert "margin = 2" in told["show"][1]
    assert "--row-time TIME" in told["no time"][2]
    assert "margin is given, which is for line camera" in told["no margin"][2]


def test_its_plans_prove_themselves(told: dict[str, tuple[int, str, str]]) -> None:
    rows = [line.split() for line in told["test"][1].splitlines()]
    assert sum("test vector   ok" in line for line in told["test"][1].splitlines()) == 2
    assert [row[0] for row in rows if row[1:2] == ["ok"]] == ["numpy", "table"]


def test_what_is_not_its_own_is_refused(told: dict[str, tuple[int, str, str]]) -> None:
    for name in REFUSED:
        assert told[name][0] == 2, name
    assert "can't hold a line_camera plan" in told["bart"][2]


def test_the_image_comes_back(told: dict[str, tuple[int, str, str]], folder: Path) -> None:
    image, truth = np.load(folder / "image.npy"), np.load(folder / "truth.npy")
    assert image.shape == truth.shape == (32, 32)
    measured = np.load(folder / "numpy" / "order.npy")
    error = np.abs(image - truth)[measured].mean()
    assert error < 0.25 * truth.std()
    assert json.loads((folder / "evaluated.json").read_text())["mean"]["plan"]["psnr_db"] > 0
