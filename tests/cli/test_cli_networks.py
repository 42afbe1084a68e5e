"""``--pattern-from``, ``--loss``, presets, ``--knob``, ``explore`` and the lists, as typed."""

from __future__ import annotations

import json
import tomllib

import numpy as np
import pytest

from acqplan.plan.plan import Plan

STEPS = ("--steps", "2", "--threads", "1")


def test_a_new_network_on_the_same_pattern(run, plans, tmp_path):
    output = tmp_path / "cascade.acqplan"
    source = plans / "points.acqplan"
    result = run("design", "mri", "--pattern-from", source, "--reconstructor", "cascade", *STEPS, "-o", output)
    assert result.code == 0, result.err
    before, after = Plan.load(source), Plan.load(output)
    assert after.pattern.digest == before.pattern.digest
    assert np.array_equal(after.pattern.order, before.pattern.order)
    assert after.plan_id != before.plan_id
    assert (after.reconstructor.kind, after.recipe.designer.kind) == ("cascade", "from-plan")
    assert after.recipe.training.steps == 2
    assert after.recipe.noise == before.recipe.noise


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["mri", "--designer", "learned"], "together with --recipe or --designer"),
        (["dmd"], "is a plan for mri"),
        (["mri", "--budget", "8x"], "Leave out --budget"),
        (["mri", "--size", "8x8"], "Leave out the size"),
        (["mri", "--reconstructor", "hqsnet:papper"], "no preset 'papper'"),
        (["mri", "--loss", "mse=x"], "no weight of at least 0"),
        (["mri", "--loss", "mse", "--loss", "mse=2"], "given twice"),
        (["mri", "--loss", "msee"], "Did you mean 'mse'"),
        (["mri", "--reconstructor", "hyper", "--loss", "mse"], "at least two different ones"),
        (["mri", "--reconstructor", "wavelet", "--steps", "1"], "-o FILE"),
    ],
)
def test_wrong_wishes_are_refused(run, plans, tmp_path, words, message):
    output = [] if "wavelet" in words else ["-o", tmp_path / "no.acqplan"]
    result = run("design", words[0], "--pattern-from", plans / "points.acqplan", *words[1:], *output)
    assert result.code == 2
    assert message in " ".join(result.err.split())
    assert not list(tmp_path.iterdir())


def test_the_truth_can_t_train_a_learned_pattern_unseen(run, scans, tmp_path):
    words = ("design", "mri", "--images", scans, "--size", "16x16", "--budget", "4x", "--reconstructor", "hqsnet")
    assert "variable-density" in run(*words, "--dry-run").out
    result = run(*words, "--designer", "swaps", "-o", tmp_path / "no.acqplan")
    assert result.code == 2
    assert "Choose a fixed designer such as variable-density, or --pattern-from" in " ".join(result.err.split())


def test_presets_and_losses_are_in_the_recipe(run, plans):
    given = ("--pattern-from", plans / "points.acqplan", "--dry-run")
    recipe = tomllib.loads(run("design", "mri", *given, "--reconstructor", "hqsnet:paper").out)
    assert recipe["reconstructor"]["channels"] == 64
    assert recipe["reconstructor"]["penalty"] == 1.8
    assert recipe["training"]["batch_size"] == 8
    assert recipe["training"]["loss"] == {"data-consistency": 1.0, "wavelet": 0.002, "tv": 0.005}
    recipe = tomllib.loads(run("design", "mri", *given, "--loss", "l1", "--loss", "ssim=0.5").out)
    assert recipe["training"]["loss"] == {"l1": 1.0, "ssim": 0.5}


def test_reconstruct_at_a_knob(run, knob_plan, tmp_path):
    plan, acquired = knob_plan / "hyper.acqplan", knob_plan / "acquired.h5"
    for knob in ("0", "1"):
        assert run("reconstruct", plan, acquired, "--knob", knob, "-o", tmp_path / f"{knob}.npy").code == 0
    assert np.abs(np.load(tmp_path / "0.npy") - np.load(tmp_path / "1.npy")).max() > 0
    for wrong in ("1.5", "0.5,0.5", "much"):
        result = run("reconstruct", plan, acquired, "--knob", wrong, "-o", tmp_path / "no.npy")
        assert result.code == 2
        assert "The knob is at" in result.err
    assert not (tmp_path / "no.npy").exists()


def test_explore_writes_a_choice(run, knob_plan, tmp_path):
    plan, acquired, folder = knob_plan / "hyper.acqplan", knob_plan / "acquired.h5", tmp_path / "choice"
    result = run("explore", plan, acquired, "--count", "3", "-o", folder)
    assert result.code == 0, result.err
    table = json.loads((folder / "choice.json").read_text())
    assert table["plan_id"] == Plan.load(plan).plan_id
    assert [row["file"] for row in table["reconstructions"]] == ["1.nii.gz", "2.nii.gz", "3.nii.gz"]
    knobs = [row["knob"]["data-consistency to tv"] for row in table["reconstructions"]]
    assert len(set(knobs)) == 3
    assert all(0 <= knob <= 1 for knob in knobs)
    names = {"choice.json", "1.nii.gz", "2.nii.gz", "3.nii.gz", "2-minus-1.png", "3-minus-1.png"}
    assert {path.name for path in folder.iterdir()} == names
    again = run("explore", plan, acquired, "--count", "2", "-o", folder)
    assert again.code == 2
    assert "exists already" in again.err
    assert run("explore", plan, acquired, "--count", "2", "--as", "tif", "-o", folder, "--overwrite").code == 0
    assert {path.name for path in folder.iterdir()} == {"choice.json", "1.tif", "2.tif", "2-minus-1.png"}


def test_explore_refuses(run, knob_plan, plans, tmp_path):
    plan, acquired = knob_plan / "hyper.acqplan", knob_plan / "acquired.h5"
    foreign = tmp_path / "mine"
    foreign.mkdir()
    (foreign / "letter.txt").write_text("dear")
    for words, message in (
        ([plan, acquired], "Add -o DIR, or --serve"),
        ([plan, acquired, "-o", foreign, "--overwrite"], "is no acqplan export"),
        ([plan, acquired, "-o", tmp_path / "c", "--as", "gif"], "no suffix of an image format"),
        ([plans / "points.acqplan", acquired, "-o", tmp_path / "c"], "has no knob to turn"),
        ([plan, acquired, "-o", tmp_path / "c", "--count", "500"], "Ask for fewer"),
    ):
        result = run("explore", *words)
        assert result.code == 2, message
        assert message in " ".join(result.err.split())
    assert (foreign / "letter.txt").read_text() == "dear"
    assert not (tmp_path / "c").exists()


def test_the_lists_say_what_each_needs(run):
    rows = {row["kind"]: row for row in json.loads(run("list", "reconstructors", "--json").out)}
    assert rows["hqsnet"]["trained_on"] == "measured data only"
    assert rows["cascade"]["trained_on"] == "fully sampled images"
    assert rows["hqs"]["trained_on"] == "nothing"
    assert rows["hyper"]["knobs"] == ["l1 to ssim"]
    assert rows["cascade"]["parameters"] > 10_000
    assert rows["unet"]["cost_per_image"].endswith("GFLOP")
    losses = {row["kind"]: row["needs_truth"] for row in json.loads(run("list", "losses", "--json").out)}
    assert losses["mse"]
    assert not losses["held-back"]
