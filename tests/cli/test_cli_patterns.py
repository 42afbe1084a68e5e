"""Constraints and order of a pattern from the command line."""

import json

import numpy as np
import pytest

from acqplan.plan.plan import Plan
from acqplan.plan.recipe_text import from_toml

FIXED = ("--size", "16x16", "--designer", "uniform", "--reconstructor", "zero-filled", "--steps", 1, "--threads", 1)


@pytest.fixture
def design(run, scans, tmp_path):
    def call(*words, name="a.acqplan"):
        return run("design", "mri", "--images", scans, *FIXED, *words, "-o", tmp_path / name)

    return call


def test_a_turbo_spin_echo_plan(design, run, tmp_path):
    outcome = design(
        *("--pattern", "lines", "--budget", "50%", "--partial-fourier", "6/8", "--echo-train", 3, "--tr", "2s"),
        *("--effective-echo", 1, "--calibration", 2, "--forbidden", "15", "--required", "5,6"),
    )
    assert outcome.code == 0, outcome.err
    assert "50% is 8 lines, rounded down to 6: 2 whole trains of 3 echoes" in outcome.err
    plan = Plan.load(tmp_path / "a.acqplan")
    order = plan.pattern.order
    assert order.size == 6
    assert order.min() >= 4
    assert 15 not in order
    assert {5, 6, 7, 8} <= set(order.tolist())
    assert 8 in order.reshape(2, 3)[:, 0]
    shown = run("show", tmp_path / "a.acqplan")
    for text in ("segmented, 2 trains of 3 echoes, centre of k-space at echo 1; ky ", "4 s", "partial Fourier 0.75"):
        assert text in " ".join(shown.out.split())
    assert "rounded down to 6" in shown.err
    facts = json.loads(run("show", tmp_path / "a.acqplan", "--json").out)
    assert (facts["order"], facts["shots"], facts["acquisition_time_s"]) == ("segmented", 2, 4.0)


def test_every_export_plays_the_order(design, run, tmp_path):
    assert design("--budget", "4x", "--order", "centre-out", "--shutter", "elliptical").code == 0
    plan = Plan.load(tmp_path / "a.acqplan")
    assert run("export", tmp_path / "a.acqplan", "--to", "table", "-o", tmp_path / "table").code == 0
    rows = [
        line.split(",") for line in (tmp_path / "table" / "table.csv").read_text().splitlines() if line[0].isdigit()
    ]
    assert [int(row[1]) * 16 + int(row[2]) for row in rows] == plan.pattern.order.tolist()
    assert (np.diff(plan.sensing.distance()[plan.pattern.order]) > -1e-9).all()


def test_the_recipe_says_it_all(design, run, scans, tmp_path):
    words = ("--budget", "4x", "--one-of-conjugates", "--forbidden", "0-1:*", "--partial-fourier-side", "high")
    printed = run("design", "mri", "--images", scans, *FIXED, *words, "--dry-run").out
    recipe = from_toml(printed)
    assert recipe.pattern.forbidden == "0-31"
    assert (recipe.instrument.one_of_conjugates, recipe.instrument.partial_fourier_side) == (True, "high")
    (tmp_path / "r.toml").write_text(printed)
    again = run("design", "mri", "--recipe", tmp_path / "r.toml", "--both-conjugates", "--dry-run")
    assert from_toml(again.out).instrument.one_of_conjugates is False
    assert run("design", "mri", "--recipe", tmp_path / "r.toml", "--dry-run").out == printed


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--scan", "2d", "--pattern", "points"), "A pattern of points is asked of a 2D scan."),
        (("--shutter", "elliptical", "--pattern", "lines"), "elliptical shutter is asked for"),
        (("--partial-fourier", "4/8"), "partial_fourier is 0.5, expected a number above 0.5 and of at most 1"),
        (("--partial-fourier", "most"), "--partial-fourier is 'most'"),
        (("--partial-fourier", "3/0"), "--partial-fourier is '3/0'"),
        (("--budget", "65", "--echo-train", 4), "65 points is no multiple of the echo train of 4."),
        (("--budget", "1x", "--partial-fourier", "6/8"), "more than the 192 that may be measured"),
        (("--forbidden", "300"), "forbidden units 300 lie outside 0 to 255"),
        (("--required", "nowhere.txt"), "required units 'nowhere.txt' are no list"),
        (("--order", "centre-in"), "no order kind 'centre-in'"),
        (("--order", "random", "--effective-echo", 1), "effective_echo is given"),
        (("--effective-echo", 5, "--echo-train", 4), "effective echo is 5"),
    ],
)
def test_what_cannot_be_is_refused(refused, scans, tmp_path, words, said):
    budget = () if "--budget" in words else ("--budget", "4x")
    outcome = refused("design", "mri", "--images", scans, *FIXED, *budget, *words, "-o", tmp_path / "a.acqplan")
    assert said in outcome.err
    assert not list(tmp_path.iterdir())


def test_orders_are_listed(run):
    listed = {row["kind"]: row for row in json.loads(run("list", "orders", "--json").out)}
    assert {"linear", "centre-out", "interleaved", "random", "segmented"} <= set(listed)
    assert listed["centre-out"]["plans"] == ["MRI"]
    assert "centre-out" in run("list", "orders").out
