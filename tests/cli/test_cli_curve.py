"""curve: the outputs, an interrupted run, and what is typed wrongly."""

import json
import signal
from xml.etree import ElementTree

import pytest


@pytest.fixture
def words(lines_base, scans):
    common = ("--images", scans, "--size", "16x16", "--pattern", "lines", "--base", lines_base, "--threads", 1)
    return ("curve", "mri", *common, "--budgets", "4x,2x", "--designers", "low-pass", "--limit", 2)


def test_a_curve_is_a_table_a_file_a_page_and_a_picture(run, words, tmp_path):
    json_file, html, svg = (tmp_path / name for name in ("curve.json", "curve.html", "curve.svg"))
    outputs = ("--json", json_file, "--html", html, "--svg", svg)
    outcome = run(*words, "--solvers", "zero-filled", "--tr", "10ms", "--check-steps", 1, *outputs)
    assert outcome.code == 0
    table = json.loads(json_file.read_text())
    assert [(each["designer"], each["reconstructor"]) for each in table["curves"]] == [
        ("low-pass", "network"),
        ("low-pass", "zero-filled"),
    ]
    for each in table["curves"]:
        assert [(point["count"], point["costs"]["time_s"]) for point in each["points"]] == [(4, 0.04), (8, 0.08)]
        for point in each["points"]:
            assert f"{point['mean']['psnr_db']:.2f}" in outcome.out
    assert [check["fine_tuning_steps"] for check in table["checks"]] == [1, 1]
    assert "scan time / s" in outcome.out
    assert "an interval takes at least 6" in outcome.err
    assert ElementTree.parse(svg).getroot().tag.endswith("svg")
    assert "<svg" in html.read_text()
    assert "Fine-tuning at 2 points changed the PSNR by" in html.read_text()


def test_json_alone_goes_to_standard_output(run, words):
    outcome = run(*words, "--solvers", "", "--check-steps", 0, "--json", "-")
    assert [len(each["points"]) for each in json.loads(outcome.out)["curves"]] == [2]


@pytest.mark.parametrize(("number", "n_points"), [(signal.SIGINT, 1), (signal.SIGTERM, 1), (signal.SIGTERM, 0)])
def test_an_interrupted_curve_keeps_its_points(run, words, tmp_path, monkeypatch, number, n_points):
    from acqplan.workflow import curve

    measured, before = [], signal.getsignal(number)

    def stopping(*given, **named):
        if len(measured) == n_points:
            signal.raise_signal(number)
        measured.append(1)
        return evaluate(*given, **named)

    evaluate = curve.evaluate
    monkeypatch.setattr(curve, "evaluate", stopping)
    outcome = run(*words, "--check-steps", 0, "--json", tmp_path / "curve.json")
    assert outcome.code == 130
    assert signal.getsignal(number) is before
    if not n_points:
        assert "nothing was written" in outcome.err
        assert not (tmp_path / "curve.json").exists()
        return
    assert "the points so far" in outcome.err
    table = json.loads((tmp_path / "curve.json").read_text())
    assert not table["complete"]
    assert [len(each["points"]) for each in table["curves"]] == [1]


@pytest.mark.parametrize(
    ("typed", "cause"),
    [
        (("--budgets", ""), "No budgets are given"),
        (("--budgets", "4x,nonsense"), "'nonsense' can't be understood"),
        (("--budgets", "4x,2min"), "the time per reading isn't known"),
        (("--designers", "learned"), "learns its pattern together with a network"),
        (("--solvers", "unet"), "is trained; asked for was one that isn't"),
        (("--test-images", "nowhere"), "nowhere"),
        (("--base", "nowhere.acqbase"), "nowhere.acqbase"),
        (("--pattern", "points"), "measures otherwise"),
    ],
)
def test_what_cant_be_is_refused(refused, words, typed, cause):
    assert cause in refused(*words, "--check-steps", 0, *typed).err


def test_a_plan_for_one_pattern_is_no_base(refused, words, lines):
    assert "was trained for one pattern of" in refused(*words, "--base", lines).err


def test_nothing_else_is_overwritten(refused, words, tmp_path):
    (tmp_path / "mine.html").write_text("mine")
    assert "exists already" in refused(*words, "--html", tmp_path / "mine.html").err
