"""acqplan for several coils: from design through a virtual scanner to an image."""

import json

import numpy as np
import pytest

from acqplan.plan.plan import Plan


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("coils")


def test_a_plan_for_coils_goes_the_whole_way(run, scans, folder):
    plan, acquired, image, truth = (folder / name for name in ("c.acqplan", "scan.npz", "image.npy", "truth.npy"))
    flags = ("--size", "16x16", "--budget", "60%", "--coils", 3, "--steps", 2, "--threads", 1)
    outcome = run("design", "mri", "--images", scans, *flags, "--designer", "poisson-disc", "-o", plan)
    assert outcome.code == 0, outcome.err
    assert Plan.load(plan).recipe.instrument.coils == 3
    assert "3, maps simulated" in run("show", plan).out
    subject = sorted(scans.iterdir())[0]
    outcome = run("simulate", plan, subject, "--noise", 0.002, "--truth", truth, "-o", acquired)
    assert outcome.code == 0, outcome.err
    assert "of 3 simulated coils" in outcome.err
    with np.load(acquired) as stored:
        assert stored["readings"].shape[1] == 3
        assert "coil_maps" not in stored.files  # a scanner doesn't know them either
    outcome = run("reconstruct", plan, acquired, "-o", image)
    assert outcome.code == 0, outcome.err
    known = np.abs(np.load(truth)).squeeze()
    error = np.abs(np.load(image)).squeeze() - known
    assert np.linalg.norm(error) < 0.2 * np.linalg.norm(known)
    fewer = folder / "fewer.npy"
    for given in ("2", "99%"):
        outcome = run("reconstruct", plan, acquired, "--virtual-coils", given, "--overwrite", "-o", fewer)
        assert outcome.code == 0, outcome.err
        difference = np.load(fewer) - np.load(image)
        assert 0 < np.linalg.norm(difference) < 0.2 * np.linalg.norm(known)
    outcome = run("reconstruct", plan, acquired, "--virtual-coils", "none", "-o", folder / "no.npy")
    assert outcome.code == 2
    assert "The virtual coils are 'none'" in outcome.err
    assert run("evaluate", plan, "--images", scans, "--limit", 2).code == 0


def test_coils_of_a_virtual_scanner_are_a_flag(run, plans, scans, folder):
    subject = sorted(scans.iterdir())[0]
    acquired = folder / "five.npz"
    assert run("simulate", plans / "points.acqplan", subject, "--coils", 5, "-o", acquired).code == 0
    with np.load(acquired) as stored:
        assert stored["readings"].shape[1] == 5
    # That plan's calibration region is too narrow for maps: one clear error, and nothing is written.
    outcome = run("reconstruct", plans / "points.acqplan", acquired, "-o", folder / "no.npy")
    assert outcome.code == 2
    assert "--calibration 8 or more" in outcome.err
    assert not (folder / "no.npy").exists()


def test_more_channels_than_planned_are_told(run, plans, scans, folder):
    plan, acquired, single = folder / "two.acqplan", folder / "eight.npz", folder / "one.acqplan"
    words = ("--budget", "2x", "--size", "16x16", "--calibration", 8, "--steps", 2, "--designer", "variable-density")
    for coils, made in (("1-2", plan), ("1", single)):
        outcome = run("design", "mri", "--images", scans, *words, "--coils", coils, "-o", made)
        assert outcome.code == 0, outcome.err
    assert "1 to 2, maps simulated" in run("show", plan).out
    for made, severity in ((plan, "note"), (single, "warning")):
        arguments = ("simulate", made, sorted(scans.iterdir())[0], "--coils", 8, "--overwrite", "-o", acquired)
        assert run(*arguments).code == 0
        (found,) = (f for f in json.loads(run("verify", made, acquired, "--json").out) if "channels" in f["subject"])
        assert found["severity"] == severity
        assert "--coils 8" in found["remedy"]
    told = run("reconstruct", single, acquired, "-o", folder / "8.npy").err
    assert "has 8 channels, the plan was made for 1:" in told


@pytest.mark.parametrize("coils", ["0", "-2", "65"])
def test_impossible_numbers_of_coils_are_refused(run, scans, folder, coils):
    outcome = run("design", "mri", "--images", scans, "--budget", "4x", "--coils", coils, "-o", folder / "no.acqplan")
    assert outcome.code == 2
    assert f"coils is {coils}" in outcome.err or f"--coils is '{coils}'" in outcome.err
    assert not (folder / "no.acqplan").exists()


def test_a_dmd_has_no_coils(run, plans, cells, folder):
    outcome = run("simulate", plans / "cells.acqplan", cells / "field0.tif", "--coils", 2, "-o", folder / "no.csv")
    assert outcome.code == 2
    assert "Leave --coils out" in outcome.err
