"""design --target: the budget that it finds, what it says of it, and what can't be asked."""

import pytest
from builders.images import write_volume

from acqplan.plan.plan import Plan


@pytest.fixture(scope="module")
def others(tmp_path_factory):
    folder = tmp_path_factory.mktemp("others")
    for i in range(4):
        write_volume(folder / f"person{i}.nii.gz", 30 + i)
    return folder


@pytest.fixture
def words(lines_base, scans):
    common = ("--images", scans, "--size", "16x16", "--pattern", "lines", "--base", lines_base, "--threads", 1)
    return ("design", "mri", *common, "--designer", "low-pass", "--steps", 2)


def test_a_target_becomes_a_plan_that_says_whether_it_is_reached(run, words, others, tmp_path):
    output = tmp_path / "small.acqplan"
    outcome = run(*words, "--target", "psnr 25", "--confidence", 0.75, "--test-images", others, "-o", output)
    assert outcome.code == 0
    count = Plan.load(output).budget.n_readings
    assert 1 < count < 16
    assert f"{count} of 16 lines" in outcome.err
    assert "smallest budget found with a PSNR of at least 25 dB with 75% confidence: mean of 2 subjects" in outcome.err
    assert "at worst (75%)" in outcome.out
    assert "On 2 subjects that it wasn't chosen by, the plan has" in outcome.out.splitlines()[-1]


@pytest.mark.parametrize(
    ("typed", "cause"),
    [
        (
            ("--target", "psnr 25"),
            "There is 1 subject to choose the budget by; a bound with 90% confidence takes at least 4",
        ),
        (("--target", "good"), "'good' can't be understood"),
        (("--target", "frc 0.3"), "can't be understood"),
        (("--target", "psnr 25", "--budget", "4x"), "The budget is 4x, and a target is given"),
        (("--target", "psnr 25", "--confidence", 2), "The confidence is 2"),
        (("--confidence", 0.8, "--budget", "4x"), "without --target"),
        (("--target", "psnr 25", "--test-images", "nowhere"), "nowhere"),
    ],
)
def test_what_cant_be_asked_is_refused(refused, words, typed, cause, tmp_path):
    assert cause in refused(*words, *typed, "-o", tmp_path / "small.acqplan").err


def test_what_no_budget_reaches_is_said(refused, words, others, tmp_path):
    target = ("--target", "psnr 150", "--confidence", 0.75, "--test-images", others)
    cause = refused(*words, *target, "-o", tmp_path / "small.acqplan").err
    assert "No budget reaches a PSNR of at least 150 dB" in cause
    assert "with 16 of 16 lines, all that may be measured, the mean is" in cause


def test_a_target_needs_a_base_or_an_output(refused, scans):
    common = ("design", "mri", "--images", scans, "--size", "16x16", "--pattern", "lines", "--target", "psnr 25")
    assert "A target takes a base" in refused(*common, "--dry-run").err


def test_another_plans_pattern_has_its_budget(refused, lines, tmp_path):
    words = ("design", "mri", "--pattern-from", lines, "--target", "psnr 25", "-o", tmp_path / "small.acqplan")
    assert "is given with another plan's pattern" in refused(*words).err
