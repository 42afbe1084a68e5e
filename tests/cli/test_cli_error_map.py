"""acqplan error-map, and what reconstruct and evaluate make of its calibration."""

import json

import numpy as np
import pytest
from builders.images import write_volume

import acqplan
from acqplan.core.errors import RecipeError

SUBJECTS = 5  # as many as a level of 80 % takes, and one more
LEVEL = ("--level", "80%")


@pytest.fixture(scope="module")
def others(tmp_path_factory):
    folder = tmp_path_factory.mktemp("others")
    for i in range(SUBJECTS):
        write_volume(folder / f"person{i}.nii.gz", 40 + i)
    return folder


@pytest.fixture(scope="module")
def calibration(plans, others, tmp_path_factory):
    path = tmp_path_factory.mktemp("calibration") / "points.errors.json"
    acqplan.error_map(plans / "points.acqplan", others, path, level=0.8, per_subject=3)
    return path


@pytest.fixture(scope="module")
def scan(plans, others, tmp_path_factory):
    path = tmp_path_factory.mktemp("scan") / "scan.h5"
    acqplan.simulate(plans / "points.acqplan", others / "person0.nii.gz", path, slices="all")
    return path


def test_a_calibration_says_what_it_is(run, points, others, calibration, tmp_path):
    path = tmp_path / "errors.json"
    outcome = run("error-map", points, "--images", others, "-o", path, *LEVEL, "--per-subject", 3)
    assert outcome.code == 0, outcome
    found = json.loads(path.read_text())
    assert found == json.loads(calibration.read_text()) | {"paths": found["paths"]}  # the same again
    assert found["plan_id"] == acqplan.Plan.load(points).plan_id
    assert found["level"] == 0.8
    assert found["factor"] > 0
    assert found["jackknife"]["groups"] == 5
    assert found["n_subjects"] == len(found["subjects"]) == SUBJECTS
    assert found["n_images"] == 3 * SUBJECTS
    assert all(0 < value <= 1 for value in found["subjects"].values())
    assert found["held_out_coverage"] == pytest.approx(np.mean(list(found["subjects"].values())))
    assert found["width"] > 0
    assert not any("trained on" in warning for warning in found["warnings"])
    for words in ("person0", "mean over subjects", "80 % of the object's pixels", f"{SUBJECTS} subjects"):
        assert words in outcome.out
    again = run("error-map", points, "--images", others, "-o", path, *LEVEL, "--per-subject", 3)
    assert again.code == 0  # an earlier result is replaced


def test_without_a_subject_to_spare_nobody_is_held_out(run, points, others, tmp_path):
    files = sorted(others.iterdir())[:4]
    outcome = run("error-map", points, "--images", *files, "-o", tmp_path / "e.json", *LEVEL, "--per-subject", 1)
    assert outcome.code == 0
    assert set(json.loads((tmp_path / "e.json").read_text())["subjects"].values()) == {None}
    assert "With one more subject" in outcome.err


def test_images_of_training_are_told(run, points, scans, more_scans, tmp_path):
    words = ("error-map", points, "--images", scans, more_scans, "-o", tmp_path / "e.json", *LEVEL)
    outcome = run(*words, "--per-subject", 1)
    assert "trained on images from" in outcome.err
    assert "aren't evidence" in json.loads((tmp_path / "e.json").read_text())["warnings"][0]


def test_a_map_stands_beside_the_image(run, points, scan, calibration, tmp_path):
    image, error = tmp_path / "image.npy", tmp_path / "error.h5"
    words = ("reconstruct", points, scan, "-o", image, "--error-map", error, "--error-calibration", calibration)
    outcome = run(*words, "--supplied", tmp_path / "supplied.h5")
    assert outcome.code == 0, outcome
    assert "80 % of the object's pixels" in outcome.err
    assert "subjects like those" in outcome.err
    made = acqplan.reconstruct(points, scan, error_map=True, error_calibration=calibration)
    assert made.error_level == 0.8
    assert made.error_map.shape == made.images.shape
    assert (made.error_map > 0).all()
    plain = acqplan.reconstruct(points, scan)
    assert np.array_equal(plain.images, made.images)
    assert plain.error_map is None


def test_what_is_written_is_the_map(run, points, scan, calibration, tmp_path):
    h5py = pytest.importorskip("h5py")
    error = tmp_path / "error.h5"
    maps = acqplan.reconstruct(points, scan, error_map=error, error_calibration=calibration).error_map
    with h5py.File(error) as file:
        assert np.allclose(file["image"][:], maps)
        assert float(file["image"].attrs.get("error_level", file.attrs.get("error_level"))) == 0.8


def test_the_map_holds_what_was_calibrated(points, others, calibration):
    """Of subjects that it was calibrated on, as a scan of them is reconstructed."""
    from acqplan.learning.error_ratios import object_pixels

    found = []
    for file in sorted(others.iterdir()):
        made = acqplan.simulate(points, file)
        volume = acqplan.reconstruct(points, made.scan, error_map=True, error_calibration=calibration, part="magnitude")
        truth = np.abs(made.truth).reshape(16, 16)
        relative = np.abs(volume.images[0] - truth)[object_pixels(truth)] / volume.error_map[0][object_pixels(truth)]
        found.append([np.mean(relative <= share) for share in (1, 0.25)])
    whole, quarter = np.mean(found, axis=0)
    assert whole > 0.8 > quarter


def test_evaluate_tells_the_coverage(run, points, others, more_scans, calibration):
    words = ("evaluate", points, "--images", more_scans, "--error-calibration", calibration)
    result = json.loads(run(*words, "--json", "-").out)["error_map"]
    assert result["level"] == 0.8
    assert len(result["subjects"]) == 2
    assert result["coverage"] == pytest.approx(np.mean(list(result["subjects"].values())))
    outcome = run(*words, "--limit", 4)
    assert "within error maps of 80 %" in outcome.out
    known = run("evaluate", points, "--images", others, "--error-calibration", calibration, "--limit", 5)
    assert "calibrated on some of these images" in known.err


def test_too_little_coverage_is_told(run, points, more_scans, calibration, tmp_path):
    narrow = tmp_path / "narrow.json"
    table = json.loads(calibration.read_text())
    narrow.write_text(json.dumps(table | {"factor": table["factor"] / 20}))
    outcome = run("evaluate", points, "--images", more_scans, "--error-calibration", narrow, "--limit", 4)
    assert "Error maps of 80 % hold" in outcome.err
    assert "calibrate on images like these" in outcome.err


def test_it_works_for_a_microscope(run, dmd, cells, tmp_path):
    path = tmp_path / "cells.json"
    words = ("error-map", dmd, "--images", cells, "-o", path, "--level", "50%", "--per-subject", 2)
    assert run(*words).code == 0
    assert json.loads(path.read_text())["n_subjects"] == 4


def test_too_few_subjects_are_refused(refused, points, more_scans, tmp_path):
    outcome = refused("error-map", points, "--images", more_scans, "-o", tmp_path / "e.json")
    assert "at least 9 subjects" in outcome.err
    assert "there are 2" in outcome.err


@pytest.mark.parametrize("level", ["100%", "0%", "90", "high"])
def test_a_level_is_a_share(refused, points, more_scans, tmp_path, level):
    refused("error-map", points, "--images", more_scans, "-o", tmp_path / "e.json", "--level", level)


def test_a_calibration_of_another_plan_is_refused(refused, lines, points, scan, more_scans, calibration, tmp_path):
    given = ("--error-calibration", calibration)
    assert "is of the plan" in refused("evaluate", lines, "--images", more_scans, *given).err
    image, error = tmp_path / "i.npy", tmp_path / "e.npy"
    assert (
        "is of the plan"
        in refused("reconstruct", lines, scan, "-o", image, "--assume-plan", "--error-map", error, *given).err
    )


def test_map_and_calibration_go_together(refused, points, scan, calibration, tmp_path):
    image, error = tmp_path / "i.npy", tmp_path / "e.npy"
    words = ("reconstruct", points, scan, "-o", image)
    assert "without a calibration" in refused(*words, "--error-map", error).err
    assert "without a file" in refused(*words, "--error-calibration", calibration).err
    assert "two results" in refused(*words, "--error-map", image, "--error-calibration", calibration).err
    assert "two results" in refused(*words, "--error-map", error, "--supplied", error).err


@pytest.mark.parametrize(
    "text",
    ["", "[]", "no json", '{"plan_id": 3}', "[" * 5000, "factor", "level", "groups"],
)
def test_another_file_is_no_calibration(refused, points, more_scans, calibration, tmp_path, text):
    table = json.loads(calibration.read_text())
    wrong = {
        "factor": table | {"factor": -1.0},
        "level": table | {"level": 2.0},
        "groups": table | {"jackknife": table["jackknife"] | {"groups": 10**9}},
    }
    path = tmp_path / "other.json"
    path.write_text(json.dumps(wrong[text]) if text in wrong else text)
    outcome = refused("evaluate", points, "--images", more_scans, "--error-calibration", path)
    assert "calibration of error maps" in outcome.err


def test_a_knob_stays_in_the_middle(knob_plan, others, tmp_path):
    plan = acqplan.Plan.load(knob_plan / "hyper.acqplan")
    made = acqplan.error_map(plan, others, level=0.8, per_subject=1)
    scan = str(knob_plan / "acquired.h5")
    assert acqplan.reconstruct(plan, scan, error_map=True, error_calibration=made).error_map is not None
    with pytest.raises(RecipeError, match="middle of a knob"):
        acqplan.reconstruct(plan, scan, error_map=True, error_calibration=made, knob=[0.9])
