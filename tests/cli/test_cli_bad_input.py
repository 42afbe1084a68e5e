"""Everything that can be wrong with the input of acqplan design: exit 2, one error, nothing written."""

import shutil

import numpy as np
import pytest
from builders.images import write_volume
from PIL import Image

OUT = "a.acqplan"


@pytest.fixture
def design(refused, tmp_path):
    def call(images, *words, kind="mri", size="16x16", budget="4x"):
        return refused(
            "design", kind, "--images", images, "--size", size, "--budget", budget, "--steps", 2, *words,
            "-o", tmp_path / OUT,
        )  # fmt: skip

    return call


def test_a_missing_folder(design, tmp_path):
    assert "nowhere doesn't exist" in design(tmp_path / "nowhere").err


def test_an_empty_folder(design, tmp_path):
    (tmp_path / "empty").mkdir()
    assert "empty is an empty folder" in design(tmp_path / "empty").err


def spoil_truncated(path):
    path.write_bytes(path.read_bytes()[:-200])


def spoil_text(path):
    path.write_text("no image at all, but long enough to look at" * 20)


def spoil_empty(path):
    path.write_bytes(b"")


def spoil_jpeg(path):
    Image.fromarray(np.zeros((24, 24), np.uint8)).save(path, format="JPEG")


@pytest.mark.parametrize("spoil", [spoil_truncated, spoil_text, spoil_empty, spoil_jpeg])
def test_a_bad_file_among_good_ones_is_named(design, own_scans, spoil):
    spoil(own_scans / "subject2.nii.gz")
    outcome = design(own_scans)
    assert "subject2.nii.gz" in outcome.err
    assert "subject1" not in outcome.err


def test_images_smaller_than_the_size(design, own_scans):
    write_volume(own_scans / "subject2.nii.gz", 2, side=12)
    outcome = design(own_scans)
    assert "subject2.nii.gz has images of 12x12 pixels" in outcome.err
    assert "--size" in outcome.err


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_pixels_that_are_no_numbers(design, own_scans, value):
    images = np.ones((4, 24, 24), np.float32)
    images[1, 2, 3] = value
    np.save(own_scans / "subject9.npy", images)
    assert "subject9.npy has 1 pixels that are NaN or infinite" in design(own_scans).err


def test_a_hadamard_size_that_is_no_power_of_two(design, cells):
    outcome = design(cells, kind="dmd", size="48x32")
    assert "powers of two" in outcome.err
    assert "nearest is 64" in outcome.err


@pytest.mark.parametrize(
    ("budget", "words", "named"),
    [
        ("0", (), "no reading"),
        ("0%", (), "no reading"),
        ("300", (), "300"),
        ("0.5x", (), "0.5x"),
        ("4x", ("--calibration", 10), "calibration region takes 100"),
        ("fast", (), "'fast'"),
        ("2min30s", (), "--tr"),
        ("64 frames please", (), "64 frames please"),
    ],
)
def test_an_impossible_budget(design, scans, budget, words, named):
    assert named in design(scans, *words, budget=budget).err


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ('modality = "mri"\n[training]\nminuts = 3', "'minutes'"),
        ('modality = "mri"\nsede = 3', "'seed'"),
        ('modality = "mri"\n[designer]\nkind = "learned"\nsprad = 1.0', "'spread'"),
        ('modality = "mri"\n[designer]\nkind = "lerned"', "'learned'"),
        ('modality = "dmd"', "acqplan design dmd"),
        ("modality = ", "TOML"),
        ('modality = "mri"\n[training]\nsteps = "many"', "'many'"),
    ],
)
def test_a_recipe_that_isnt_understood(design, scans, tmp_path, text, named):
    (tmp_path / "r.toml").write_text(text)
    assert named in design(scans, "--recipe", tmp_path / "r.toml").err


def test_a_recipe_that_isnt_there(design, scans, tmp_path):
    assert "r.toml can't be read" in design(scans, "--recipe", tmp_path / "r.toml").err


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (("--designer", "lerned"), "'learned'"),
        (("--reconstructor", "u-net"), "'unet'"),
        (("--pattern", "spirals"), "lines, points"),
        (("--size", "16"), "128x128"),
        (("--size", "0x16"), "128x128"),
        (("--tr", "soon"), "--tr 5ms"),
        (("--slices", "all"), "40-120"),
        (("--slices", "5-2"), "40-120"),
        (("--slices", "50-60"), "slices 0 to 5"),
        (("--noise", -1), "noise"),
        (("--minutes", 1), "Both minutes and steps"),
        (("--steps", 0), "steps is 0"),
        (("--held-out", 2), "2.0"),
        (("--device", "cuda"), "--device cpu"),
        (("--device", "warp"), "warp"),
        (("--resume",), "no checkpoint"),
    ],
)
def test_an_impossible_setting(design, scans, words, named):
    if words == ("--device", "cuda"):
        torch = pytest.importorskip("torch")
        if torch.cuda.is_available():
            pytest.skip("there is a GPU")
    assert named in design(scans, *words).err


def test_another_runs_checkpoint_is_refused(design, scans, tmp_path, run, monkeypatch):
    from acqplan.cli.training_display import TrainingDisplay

    def stop(self, progress):
        raise KeyboardInterrupt

    monkeypatch.setattr(TrainingDisplay, "__call__", stop)
    words = ("design", "mri", "--images", scans, "--size", "16x16", "--budget", "2x", "--steps", 3)
    assert run(*words, "-o", tmp_path / OUT).code == 130
    assert "another recipe" in design(scans, "--resume").err


def test_no_output(refused, scans):
    assert "-o FILE" in refused("design", "mri", "--images", scans, "--budget", "4x").err


def test_an_output_that_is_a_folder(refused, scans, tmp_path):
    words = ("--size", "16x16", "--budget", "4x", "--overwrite", "-o", tmp_path)
    assert "is a folder" in refused("design", "mri", "--images", scans, *words).err


def test_no_images(refused, tmp_path):
    assert "No images" in refused("design", "mri", "--budget", "4x", "-o", tmp_path / OUT).err


def test_no_budget(refused, scans, tmp_path):
    assert "--budget" in refused("design", "mri", "--images", scans, "-o", tmp_path / OUT).err


def test_intensities_with_negative_values(design, cells, tmp_path):
    folder = shutil.copytree(cells, tmp_path / "cells")
    np.save(folder / "dark.npy", np.full((48, 64), -1, np.float32))
    assert "dark.npy has negative values" in design(folder, kind="dmd").err
