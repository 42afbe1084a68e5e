"""evaluate and compare: the numbers, and what they say about themselves."""

import json
from dataclasses import replace

import numpy as np
import pytest
from builders.images import SLICES

from acqplan.plan.plan import Plan


def test_evaluate_gives_every_number(run, points, more_scans, tmp_path):
    outcome = run("evaluate", points, "--images", more_scans, "--json", tmp_path / "result.json")
    assert outcome.code == 0
    result = json.loads((tmp_path / "result.json").read_text())
    plan = Plan.load(points)
    assert (result["plan_id"], result["count"], result["n_units"]) == (plan.plan_id, 64, 256)
    assert len(result["images"]) == 2 * SLICES == result["n_images"]
    for name in ("plan", "zero_filled"):
        for metric in ("psnr_db", "ssim", "nrmse"):
            values = [image[name][metric] for image in result["images"]]
            assert result["mean"][name][metric] == pytest.approx(np.mean(values))
    assert all(image["data_range"] > 0 for image in result["images"])
    assert "largest magnitude" in result["data_range"]
    assert set(result["subjects"]) == {"other0.nii.gz", "other1.nii.gz"}
    assert len(result["image_fingerprint"]) == 64
    assert result["noise"] == {"kind": "complex_gaussian", "std": 0.005}
    assert any("Magnitude" in warning for warning in result["warnings"])
    assert f"{result['mean']['plan']['psnr_db']:.2f}" in outcome.out


def test_json_on_standard_output_is_alone_there(run, points, more_scans):
    outcome = run("evaluate", points, "--images", more_scans, "--limit", 3, "--json", "-")
    assert json.loads(outcome.out)["n_images"] == 3


def test_evaluate_is_repeatable(run, dmd, cells):
    words = ("evaluate", dmd, "--images", cells, "--limit", 4, "--json", "-")
    assert run(*words).out == run(*words).out
    assert run(*words).out != run(*words, "--seed", 1).out


def test_training_images_are_no_evidence(run, points, scans):
    assert "aren't evidence" in run("evaluate", points, "--images", scans, "--limit", 2).err


def test_compare_measures_all_on_the_same(run, plans, points, lines, more_scans, tmp_path):
    outcome = run("compare", points, points, lines, "--images", more_scans, "--json", tmp_path / "r.json")
    assert outcome.code == 0
    result = json.loads((tmp_path / "r.json").read_text())
    first, same, _ = result["plans"]
    assert first["images"] == same["images"]
    assert first["image_fingerprint"] == same["image_fingerprint"] == result["plans"][2]["image_fingerprint"]
    assert [plan["count"] for plan in result["plans"]] == [64, 64, 8]
    assert not result["equal"]
    assert "64 of 256 points" in result["flags"][0]
    assert "Not the same budget" in outcome.err
    by_itself, other = result["differences_to_first"]
    assert by_itself["measures"]["psnr_db"]["mean"] == 0
    assert by_itself["verdict"].startswith(f"{points} gives the same as {points}: ")
    psnr = other["measures"]["psnr_db"]
    assert (psnr["interval"], psnr["n_subjects"], psnr["outcome"]) == (None, 2, "no difference shown")
    assert "2 subjects, too few to show any, which takes 6 at least" in outcome.out
    assert other["verdict"] in outcome.out


def test_compare_at_the_same_count_is_equal(run, points, more_scans):
    outcome = run("compare", points, points, "--images", more_scans / "other0.nii.gz", "--json", "-")
    result = json.loads(outcome.out)
    assert result["equal"]
    assert result["differences_to_first"][0]["measures"]["psnr_db"]["n_subjects"] == 1


def test_plans_of_different_sizes_are_compared_but_flagged(run, points, scans, more_scans, tmp_path):
    words = ("--size", "20x20", "--budget", "8x", "--pattern", "lines", "--steps", 2, "-o", tmp_path / "large.acqplan")
    assert run("design", "mri", "--images", scans, *words).code == 0
    outcome = run("compare", points, tmp_path / "large.acqplan", "--images", more_scans, "--json", "-")
    result = json.loads(outcome.out)
    assert [plan["size"] for plan in result["plans"]] == [[16, 16], [20, 20]]
    assert any("Not the same size" in flag for flag in result["flags"])


def test_other_noise_is_flagged(run, points, scans, more_scans, tmp_path):
    words = ("--size", "16x16", "--budget", "4x", "--noise", 0.3, "--steps", 2, "-o", tmp_path / "noisy.acqplan")
    assert run("design", "mri", "--images", scans, *words).code == 0
    outcome = run("compare", points, tmp_path / "noisy.acqplan", "--images", more_scans, "--json", "-")
    assert "was made for other noise" in outcome.err
    with_noise_of_the_first = json.loads(outcome.out)["plans"][1]["mean"]["zero_filled"]["psnr_db"]
    alone = run("evaluate", tmp_path / "noisy.acqplan", "--images", more_scans, "--json", "-")
    assert with_noise_of_the_first > json.loads(alone.out)["mean"]["zero_filled"]["psnr_db"] + 0.5


def test_a_result_is_replaced_by_the_next_but_nothing_else_is(run, refused, points, more_scans, tmp_path):
    words = ("--images", more_scans, "--limit", 2, "--json", tmp_path / "result.json")
    assert run("evaluate", points, *words).code == 0
    assert run("compare", points, points, *words).code == 0
    assert "differences_to_first" in json.loads((tmp_path / "result.json").read_text())
    (tmp_path / "result.json").write_text('{"mine": true}')
    assert "exists already" in refused("evaluate", points, *words).err


def test_groups_are_files_or_a_pattern_of_names(run, points, more_scans, tmp_path):
    evidence = dict(Plan.load(points).evidence)
    for i in range(2):
        replace(Plan.load(points), evidence=evidence | {"notes": [str(i)]}).save(tmp_path / f"seed-{i}.acqplan")
    words = ("--images", more_scans, "--limit", 4, "--json", "-")
    some = run("compare", points, "--group", f"mine={tmp_path}/seed-*.acqplan", *words)
    listed = ",".join(str(tmp_path / f"seed-{i}.acqplan") for i in range(2))
    same = run("compare", points, "--group", f"mine={listed}", *words)
    assert some.out == same.out
    assert len(json.loads(some.out)["plans"][1]["plan_ids"]) == 2
    assert "mine (2 plans)" in run("compare", points, "--group", f"mine={listed}", *words[:-2]).out


def test_what_isnt_a_group(refused, points, more_scans, tmp_path):
    words = ("--images", more_scans)
    assert "expected NAME=FILES" in refused("compare", points, "--group", "mine", *words).err
    assert "No file matches" in refused("compare", points, "--group", f"mine={tmp_path}/*.acqplan", *words).err
    groups = ("--group", f"a={points}", "--group", f"a={points}")
    assert "a is named twice" in refused("compare", *groups, *words).err
    (tmp_path / "copy.acqplan").write_bytes(points.read_bytes())
    assert "twice" in refused("compare", points, "--group", f"a={points},{tmp_path}/copy.acqplan", *words).err
    assert "No such file" in refused("compare", points, "--group", f"a={tmp_path}/no.acqplan", *words).err


def test_what_cant_be_compared(refused, points, dmd, more_scans):
    assert "two plans" in refused("compare", points, "--images", more_scans).err
    assert "hadamard_dmd" in refused("compare", points, dmd, "--images", more_scans).err


def test_images_that_cant_be_used(refused, points, dmd, more_scans, tmp_path):
    assert "nowhere" in refused("evaluate", points, "--images", tmp_path / "nowhere").err
    np.save(tmp_path / "small.npy", np.ones((2, 8, 8), np.float32))
    assert "smaller than the size" in refused("evaluate", points, "--images", tmp_path / "small.npy").err
    np.save(tmp_path / "negative.npy", -np.ones((2, 24, 24), np.float32))
    assert "negative" in refused("evaluate", dmd, "--images", tmp_path / "negative.npy").err
