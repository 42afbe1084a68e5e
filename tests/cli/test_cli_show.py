"""show, formats, list, and the pages."""

import json
import re
from dataclasses import replace

import numpy as np
import pytest

from acqplan.cli.pattern_picture import picture
from acqplan.plan.plan import Plan
from acqplan.plan.recipe import as_resolved
from acqplan.plan.recipe_text import from_toml
from acqplan.report.figures import error_gain, pattern_colours, png


@pytest.mark.parametrize("name", ["points", "lines", "cells"])
def test_show_tells_everything(run, plans, name):
    path = plans / f"{name}.acqplan"
    outcome = run("show", path)
    plan = Plan.load(path)
    assert outcome.code == 0
    for text in (plan.plan_id, plan.pattern.digest, plan.reconstructor.kind, plan.recipe.designer.kind):
        assert text in outcome.out
    assert f"{plan.pattern.n_readings} of {plan.pattern.n_units}" in outcome.out


def test_show_recipe_and_json(run, points):
    plan = Plan.load(points)
    assert as_resolved(from_toml(run("show", points, "--recipe").out)) == plan.recipe
    facts = json.loads(run("show", points, "--json").out)
    assert (facts["plan_id"], facts["count"], facts["acceleration"]) == (plan.plan_id, 64, 4.0)


@pytest.mark.parametrize("name", ["points", "lines", "cells"])
def test_the_report_of_a_plan_opens_on_its_own(run, plans, tmp_path, name):
    assert run("show", plans / f"{name}.acqplan", "--html", tmp_path / "plan.html").code == 0
    html = (tmp_path / "plan.html").read_text()
    check_alone(html)
    assert Plan.load(plans / f"{name}.acqplan").plan_id in html


def test_the_report_of_a_comparison_opens_on_its_own(run, points, lines, more_scans, tmp_path):
    words = ("--images", more_scans, "--html", tmp_path / "c.html")
    assert run("compare", points, lines, *words).code == 0
    html = (tmp_path / "c.html").read_text()
    check_alone(html)
    assert "Not the same budget" in html
    assert "over 2 subjects, each counting once" in html
    assert '<th scope="col">HFEN</th>' in html


@pytest.mark.parametrize(("plan", "name", "head"), [("points", "hfen", "HFEN"), ("cells", "frc", "FRC / px⁻¹")])
def test_each_instrument_has_its_measure_of_resolution_in_its_tables(run, plans, tmp_path, plan, name, head):
    path = plans / f"{plan}.acqplan"
    told = json.loads(run("show", path, "--json", "--html", tmp_path / "a.html").out)["evidence"]["held_out"]
    assert {*told["mean"]["plan"]} == {"psnr_db", "ssim", "nrmse", name}
    assert told["mean"]["plan"][name] == pytest.approx(np.mean([row["plan"][name] for row in told["images"]]))
    assert f'<th scope="col">{head}</th>' in (tmp_path / "a.html").read_text()
    words = {"hfen": "HFEN {:.4f}", "frc": "FRC cutoff {:.3f} per pixel"}[name]
    assert words.format(told["mean"]["plan"][name]) in run("show", path).out


def test_a_plan_of_an_earlier_version_has_an_empty_cell(run, points, tmp_path):
    plan = Plan.load(points)
    evidence = json.loads(json.dumps(plan.evidence))
    held_out = evidence["held_out"]
    for means in (held_out["mean"], *held_out["subjects"].values(), *held_out["images"]):
        for of in ("plan", "zero_filled"):
            del means[of]["hfen"]
    replace(plan, evidence=evidence).save(tmp_path / "old.acqplan")
    assert "HFEN" not in run("show", tmp_path / "old.acqplan", "--html", tmp_path / "old.html").out
    html = (tmp_path / "old.html").read_text()
    assert '<th scope="col">HFEN</th>' in html
    assert "<td></td>" in html


def check_alone(html):
    """No script, and nothing that a browser would fetch."""
    assert html.startswith("<!doctype html>")
    assert "<script" not in html
    assert "<link" not in html
    assert all(source.startswith("data:image/png;base64,") for source in re.findall(r'src="([^"]*)"', html))
    assert not re.search(r"https?:|url\(|@import", html)


def test_names_are_escaped_in_a_page(run, scans, tmp_path):
    folder = tmp_path / "<script>"
    folder.mkdir()
    for path in scans.iterdir():
        (folder / path.name).write_bytes(path.read_bytes())
    words = ("--size", "16x16", "--budget", "4x", "--steps", 1, "-o", tmp_path / "a.acqplan")
    assert run("design", "mri", "--images", folder, *words).code == 0
    assert run("show", tmp_path / "a.acqplan", "--html", tmp_path / "a.html").code == 0
    check_alone((tmp_path / "a.html").read_text())


def test_formats(run):
    table = run("formats").out
    listed = {row["kind"]: row for row in json.loads(run("formats", "--json").out)}
    assert listed["table"]["acquired_of"] == ["hadamard_dmd"]  # MRI has no acquired data of that format
    assert ".csv (DMD)" in table
    assert {"numpy", "table", "bart", "dmd-tiff", "hdf5"} <= set(listed)
    assert all(kind in table for kind in listed)
    assert listed["bart"]["acquired_suffixes"] == [".cfl"]


@pytest.mark.parametrize(("role", "kind"), [("designers", "learned"), ("reconstructors", "unrolled")])
def test_list(run, role, kind):
    assert kind in run("list", role).out
    assert kind in [row["kind"] for row in json.loads(run("list", role, "--json").out)]


def test_list_of_nothing_known(refused):
    assert "designers, reconstructors" in refused("list", "scanners").err


def test_every_unit_is_a_dot_where_there_is_room():
    random = np.random.default_rng(0)
    mask = random.random((30, 41)) < 0.3
    characters = dict(zip(" ▀▄█", (0, 1, 1, 2), strict=True))
    half = picture(mask, 41)
    assert sum(characters[c] for c in half.replace("\n", "")) == mask.sum()
    braille = picture(mask, 30)
    assert sum((ord(c) - 0x2800).bit_count() for c in braille.replace("\n", "")) == mask.sum()
    assert picture(mask, 41, unicode=False).count("#") == mask.sum()


def test_a_large_pattern_keeps_its_density():
    mask = np.random.default_rng(0).random((512, 512)) < 0.25
    text = picture(mask, 40)
    dots = sum((ord(c) - 0x2800).bit_count() for c in text.replace("\n", ""))
    assert max(map(len, text.splitlines())) <= 40
    assert dots / 80**2 == pytest.approx(0.25, abs=0.05)


def test_lines_are_bars_of_any_length():
    mask = np.zeros(100, dtype=bool)
    mask[[0, 99]] = True
    text = picture(mask, 20)
    assert text.splitlines()[0] == "ky 0 to 39"
    assert max(map(len, text.splitlines())) <= 20
    assert picture(mask, 200, unicode=False) == "ky 0 to 99\n" + "#" + "." * 98 + "#"


def test_figures(points):
    plan = Plan.load(points)
    colours = pattern_colours(plan)
    assert colours.shape == (16, 16, 3)
    paper = (colours == colours[0, 0]).all(-1) if not plan.pattern.mask[0] else None
    if paper is not None:
        assert (~paper).sum() == plan.pattern.n_readings
    assert png(colours).startswith(b"\x89PNG")
    assert error_gain([np.full((4, 4), 0.04)], 1.0) == 20
    assert error_gain([np.full((4, 4), 3.0)], 1.0) == 1
