"""acqplan stress."""

import json

import pytest


@pytest.fixture(scope="module")
def limits(tmp_path_factory):
    path = tmp_path_factory.mktemp("limits") / "stress.toml"
    path.write_text("[noise-4x]\nmax_loss_db = -50\n[lesions]\nmax_false_per_100 = 100\n")
    return path


def test_a_plan_is_told_what_it_loses(run, points, more_scans, limits, tmp_path):
    page, table = tmp_path / "stress.html", tmp_path / "stress.json"
    words = ("stress", points, "--images", more_scans, "--limit", 2, "--other", f"more={more_scans}")
    outcome = run(*words, "--html", page, "--json", table, "--require", limits)
    assert outcome.code == 1
    assert "noise-4x: loss_db is" in outcome.err
    result = json.loads(table.read_text())
    assert set(result["stresses"]) == {
        *("none", "noise-0.5x", "noise-2x", "noise-4x", "readings-dropped", "readings-added", "worst-1pct"),
        "images-more",
    }
    planned, noisy = result["stresses"]["none"], result["stresses"]["noise-4x"]
    assert noisy["loss_db"] == pytest.approx(planned["psnr_db"] - noisy["psnr_db"])
    assert noisy["psnr_db"] < planned["psnr_db"]
    assert result["stresses"]["images-more"]["loss_db"] == pytest.approx(0)
    assert len(result["violations"]) == 1
    html = page.read_text()
    assert "under stress" in html
    assert "noise-4x: loss_db" in html
    assert f"{noisy['psnr_db']:.2f}" in outcome.out


def test_faults_of_the_instrument_are_among_them(run, dmd, cells):
    result = json.loads(run("stress", dmd, "--images", cells, "--limit", 2, "--json", "-").out)
    assert {"lamp-drift", "mirrors-dark", "mirrors-lit"} <= set(result["stresses"])


@pytest.mark.parametrize(
    ("flags", "told"),
    [(("--other", "t2"), "expected a name"), (("--require", "missing.toml"), "can't be read")],
)
def test_bad_input_is_told(run, points, more_scans, flags, told):
    outcome = run("stress", points, "--images", more_scans, *flags)
    assert outcome.code == 2
    assert told in outcome.err


def test_a_plans_page_shows_cases_and_stress(run, points, more_scans, tmp_path):
    table, page = tmp_path / "stress.json", tmp_path / "plan.html"
    assert run("stress", points, "--images", more_scans, "--limit", 2, "--json", table).code == 0
    outcome = run("show", points, "--html", page, "--images", more_scans, "--limit", 4, "--stress", table)
    assert outcome.code == 0
    html = page.read_text()
    for words in (
        "Point-spread function",
        "Best: image",
        "Median: image",
        "Worst: image",
        "<b>supplied</b>",
        "Under stress",
    ):
        assert words in html
    loss = json.loads(table.read_text())["stresses"]["noise-4x"]["loss_db"]
    assert f"{loss:+.2f}" in html


def test_stress_of_another_plan_is_no_part_of_a_page(run, points, lines, more_scans, tmp_path):
    table = tmp_path / "stress.json"
    run("stress", lines, "--images", more_scans, "--limit", 1, "--json", table)
    outcome = run("show", points, "--html", tmp_path / "plan.html", "--stress", table)
    assert outcome.code == 2
    assert "is of the plan" in outcome.err
    assert not (tmp_path / "plan.html").exists()


@pytest.mark.parametrize("text", ["[]", "{}", "no json", '{"plan_id": 3, "stresses": {"a": {"psnr_db": "high"}}}'])
def test_another_file_is_no_stress(run, points, tmp_path, text):
    (tmp_path / "other.json").write_text(text)
    outcome = run("show", points, "--html", tmp_path / "plan.html", "--stress", tmp_path / "other.json")
    assert outcome.code == 2
    assert "isn't the result of acqplan stress" in outcome.err


def test_images_are_for_the_page(run, points, more_scans):
    outcome = run("show", points, "--images", more_scans)
    assert outcome.code == 2
    assert "--html" in outcome.err
