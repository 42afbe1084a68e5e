"""Pulseq from the command line: settings as options, the scan time, one clear message for what can't be played."""

from __future__ import annotations

import json

import pytest

from acqplan.plan.plan import Plan

pytest.importorskip("pypulseq")


def test_export_of_slices_says_the_scan_time(run, lines, tmp_path):
    words = (
        "slices=3",
        "rotation=[[0,0,1],[0,-1,0],[1,0,0]]",
        "version=1.4",
        "tr_ms=100",
        "fov-mm=[200,180]",
        "dummies=4",
    )
    options = [word for each in words for word in ("--option", each)]
    outcome = run("export", lines, "--to", "pulseq", *options, "-o", tmp_path / "out")
    assert outcome.code == 0
    manifest = json.loads((tmp_path / "out/manifest.json").read_text())
    assert (manifest["pulseq"], manifest["slices"], manifest["field_of_view_mm"][:2]) == ("1.4.1", 3, [200, 180])
    plan = Plan.load(lines)
    assert manifest["scan_time_s"] == pytest.approx(0.1 * (4 + plan.pattern.n_readings), abs=0.1)
    assert "The scan takes 0:01 min (TE " in outcome.err
    assert "TR 99.99 ms" in outcome.err  # three times 33.33 ms, on the raster of blocks
    assert "revision 1" in (tmp_path / "out/sequence.seq").read_text()


def test_all_that_cannot_be_played_is_said_at_once(refused, points, tmp_path):
    words = ("--option", "te_ms=0.5", "--option", "tr_ms=1", "--option", "dwell_us=0.77")
    said = refused("export", points, "--to", "pulseq", *words, "-o", tmp_path / "out").err
    for part in ("TE of 0.5 ms is too short: at least", "TR of 1 ms is too short: at least", "0.8 µs is"):
        assert part in said.replace("\n", " ")


@pytest.mark.parametrize("word", ["scanner=other", "max_grad_mt_m=-3", "fov_mm=wide", "flip_angle=10"])
def test_an_impossible_option(refused, points, tmp_path, word):
    refused("export", points, "--to", "pulseq", "--option", word, "-o", tmp_path / "out")


def test_a_played_sequence_is_simulated_and_reconstructed(run, points, scans, tmp_path):
    assert run("export", points, "--to", "pulseq", "--option", "dummies=2", "-o", tmp_path / "out").code == 0
    words = (
        "simulate",
        points,
        scans / "subject0.nii.gz",
        "--exported",
        tmp_path / "out",
        "-o",
        tmp_path / "acquired.h5",
    )
    assert run(*words).code == 0
    assert run("reconstruct", points, tmp_path / "acquired.h5", "-o", tmp_path / "image.npy").code == 0
