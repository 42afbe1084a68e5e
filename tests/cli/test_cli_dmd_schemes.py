"""acqplan design dmd: display schemes, orders, budgets of light and repeats, from the flags to the image."""

import json

import numpy as np
import pytest

from acqplan.plan.plan import Plan
from acqplan.plan.recipe_text import from_toml

DMD = ("--size", "16x16", "--photons", 500, "--threads", 1)
QUICK = ("--reconstructor", "zero-filled", "--steps", 1)


def test_flags_reach_the_recipe(run, cells):
    outcome = run(
        *("design", "dmd", "--images", cells, *DMD, "--scheme", "dc", "--order", "cake-cutting", "--power", "2mW"),
        *("--picture-time", "1ms", "--budget", "50uJ", "--designer", "water-filling", "--dry-run"),
    )
    assert outcome.code == 0, outcome.err
    recipe = from_toml(outcome.out)
    assert recipe.sensing.options == {"scheme": "dc"}
    assert recipe.pattern.order.kind == "cake-cutting"
    assert recipe.instrument.power_w == pytest.approx(2e-3)
    # 50 µJ / 2 mW = 25 ms: M whole frames, the others half of them.
    assert recipe.instrument.reference_repeats == 4
    assert " suit" in outcome.err
    assert "noise variance" in outcome.err


@pytest.mark.parametrize("scheme", ["pairs", "two-detector", "dc", "s-matrix"])
def test_the_whole_loop(run, cells, tmp_path, scheme):
    plan = tmp_path / "a.acqplan"
    outcome = run(
        *("design", "dmd", "--images", cells, *DMD, *QUICK, "--scheme", scheme, "--budget", "60%"),
        *("--designer", "water-filling", "--order", "sequency-2d", "-o", plan),
    )
    assert outcome.code == 0, outcome.err
    loaded = Plan.load(plan)
    assert loaded.evidence["scheme"]["why"] in " ".join(outcome.err.split())
    assert run("export", plan, "--to", "dmd-tiff", "--device", "32x32", "-o", tmp_path / "dmd").code == 0
    assert run("export", plan, "--to", "table", "-o", tmp_path / "table").code == 0
    words = ("--exported", tmp_path / "dmd", "--truth", tmp_path / "truth.npy", "-o", tmp_path / "a.h5")
    outcome = run("simulate", plan, next(iter(sorted(cells.iterdir()))), *words)
    assert outcome.code == 0, outcome.err
    outcome = run("reconstruct", plan, tmp_path / "a.h5", "-o", tmp_path / "image.npy")
    assert outcome.code == 0, outcome.err
    truth, image = np.load(tmp_path / "truth.npy"), np.load(tmp_path / "image.npy")
    truth[0, 0] = image[0, 0]  # the S-matrix doesn't see it
    assert np.linalg.norm(image - truth) < 0.4 * np.linalg.norm(truth)


def test_dose_is_shown(run, cells, tmp_path):
    plan = tmp_path / "a.acqplan"
    words = ("--budget", "25%", "--picture-time", "100us", "--power", "10mW", "-o", plan)
    assert run("design", "dmd", "--images", cells, *DMD, *QUICK, *words).code == 0
    cost = json.loads(run("show", plan, "--json").out)["exposure"]
    assert cost["light_on_s"] == pytest.approx(64 * 1e-4)
    assert cost["scan_s"] == pytest.approx(128 * 1e-4)
    assert cost["energy_j"] == pytest.approx(64e-6)
    assert cost["photo_electrons"] > 0
    assert "0.0064 s: each pixel is on in 64 of 128 frames" in run("show", plan).out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--budget", "25%", "--scheme", "raster"), "no display scheme 'raster'"),
        (("--budget", "200%", "--designer", "low-sequency"), "more than the 256"),
        (("--budget", "5uJ", "--picture-time", "1ms"), "power on the sample isn't known"),
        (("--budget", "5ms light"), "time of a frame isn't known"),
        (("--budget", "25%", "--power", "bright"), "expected a power"),
        (("--budget", "1 photons"), "less than one coefficient"),
        (("--budget", "25%", "--order", "centre-out"), "isn't one for dmd"),
    ],
)
def test_bad_input_is_one_error(run, cells, tmp_path, words, message):
    outcome = run("design", "dmd", "--images", cells, *DMD, *words, "-o", tmp_path / "a.acqplan")
    assert outcome.code == 2
    assert message in " ".join(outcome.err.split())
    assert list(tmp_path.glob("a.*")) == []
