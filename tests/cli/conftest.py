"""Tiny images and plans, made once, and a way to call the command line in this process."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import tifffile
from builders.images import blobs, snapshot, write_volume

from acqplan.cli import main

MRI_SIZE, DMD_SIZE = "16x16", "16x16"


@dataclass(frozen=True)
class Outcome:
    """What a command left behind."""

    code: int
    out: str
    err: str


@pytest.fixture(scope="session")
def scans(tmp_path_factory):
    folder = tmp_path_factory.mktemp("images") / "scans"
    folder.mkdir()
    for i in range(4):
        write_volume(folder / f"subject{i}.nii.gz", i)
    return folder


@pytest.fixture(scope="session")
def more_scans(tmp_path_factory):
    folder = tmp_path_factory.mktemp("images") / "more-scans"
    folder.mkdir()
    for i in range(2):
        write_volume(folder / f"other{i}.nii.gz", 10 + i)
    return folder


@pytest.fixture(scope="session")
def cells(tmp_path_factory):
    folder = tmp_path_factory.mktemp("images") / "cells"
    folder.mkdir()
    for i in range(4):
        tifffile.imwrite(folder / f"field{i}.tif", (1000 * blobs(20 + i, (48, 64))).astype(np.uint16))
    return folder


@pytest.fixture(scope="session")
def plans(tmp_path_factory, scans, cells):
    """A folder with points.acqplan, lines.acqplan (variable density) and cells.acqplan."""
    folder = tmp_path_factory.mktemp("plans")
    mri = ["design", "mri", "--images", str(scans), "--size", MRI_SIZE, "--steps", "2", "--threads", "1"]
    points = [*mri, "--budget", "4x", "--pattern", "points", "-o", str(folder / "points.acqplan")]
    lines = [*mri, "--budget", "2x", "--pattern", "lines", "--calibration", "2", "--designer", "variable-density"]
    dmd = ["design", "dmd", "--images", str(cells), "--size", DMD_SIZE, "--steps", "2", "--threads", "1"]
    assert main(points) == 0
    assert main([*lines, "-o", str(folder / "lines.acqplan")]) == 0
    assert main([*dmd, "--budget", "12.5%", "--photons", "200", "-o", str(folder / "cells.acqplan")]) == 0
    return folder


@pytest.fixture(scope="session")
def lines_base(tmp_path_factory, scans):
    """A base for lines."""
    path = tmp_path_factory.mktemp("base") / "lab.acqbase"
    words = ("base", "mri", "--images", scans, "--size", MRI_SIZE, "--pattern", "lines", "--steps", 2, "--threads", 1)
    assert main([str(word) for word in (*words, "-o", path)]) == 0
    return path


@pytest.fixture(scope="session")
def knob_plan(tmp_path_factory, plans):
    """A hyper plan on the points plan's pattern, with an acquisition."""
    folder = tmp_path_factory.mktemp("knob")
    source = str(plans / "points.acqplan")
    plan, acquired = str(folder / "hyper.acqplan"), str(folder / "acquired.h5")
    hyper = ("--reconstructor", "hyper", "--loss", "data-consistency", "--loss", "tv")
    assert main(["design", "mri", "--pattern-from", source, *hyper, "--steps", "2", "--threads", "1", "-o", plan]) == 0
    image = folder / "image.npy"
    np.save(image, np.random.default_rng(0).random((16, 16)).astype(np.float32))
    assert main(["simulate", plan, str(image), "-o", acquired]) == 0
    return folder


@pytest.fixture
def points(plans):
    return plans / "points.acqplan"


@pytest.fixture
def lines(plans):
    return plans / "lines.acqplan"


@pytest.fixture
def dmd(plans):
    return plans / "cells.acqplan"


@pytest.fixture
def run(capsys):
    """Call the command line with these words."""

    def call(*words):
        capsys.readouterr()
        code = main([str(word) for word in words])
        captured = capsys.readouterr()
        return Outcome(code, captured.out, captured.err)

    return call


@pytest.fixture
def refused(run, tmp_path):
    """Call the command line and check that it refuses: exit 2, one cause, one remedy, and no file touched."""

    def call(*words):
        before = snapshot(tmp_path)
        outcome = run(*words)
        assert outcome.code == 2, outcome
        assert outcome.out == ""
        cause, remedy = outcome.err.splitlines()
        assert cause.startswith("Error: ")
        assert len(cause) > 20
        assert remedy.startswith("Remedy: ")
        assert len(remedy) > 10
        assert "Traceback" not in outcome.err
        assert snapshot(tmp_path) == before
        return outcome

    return call


@pytest.fixture
def own_scans(scans, tmp_path):
    """A copy of the scans to spoil."""
    return Path(shutil.copytree(scans, tmp_path / "scans"))
