"""Binning belongs to the images, not to the plan."""

import json

import numpy as np
import pytest
import tifffile
from builders.images import blobs


@pytest.fixture(scope="module")
def of_sample(tmp_path_factory):
    """A plan made from the sample, which recommends a binning."""
    from acqplan.cli import main

    path = tmp_path_factory.mktemp("sample") / "sample.acqplan"
    words = ["design", "dmd", "--images", "sample:cells", "--size", "16x16", "--budget", "25%", "--steps", "2"]
    assert main([*words, "--threads", "1", "-o", str(path)]) == 0
    return path


@pytest.fixture
def tile(tmp_path):
    tifffile.imwrite(tmp_path / "tile.tif", (1000 * blobs(3, (16, 16))).astype(np.uint16))
    return tmp_path / "tile.tif"


def test_a_samples_binning_is_not_asked_of_other_images(run, of_sample, tile, tmp_path):
    outcome = run("evaluate", of_sample, "--images", tile, "--json", "-")
    assert outcome.code == 0, outcome.err
    assert json.loads(outcome.out)["n_images"] == 1
    outcome = run("simulate", of_sample, tile, "-o", tmp_path / "t.npy", "--truth", tmp_path / "truth.npy")
    assert outcome.code == 0, outcome.err
    assert np.load(tmp_path / "truth.npy").shape[-2:] == (16, 16)


def test_the_binning_of_images_can_be_said(run, of_sample, tile, tmp_path):
    tifffile.imwrite(tmp_path / "twice.tif", np.kron(tifffile.imread(tile), np.ones((2, 2), np.uint16)))
    rows = []
    for words in ((tile,), (tmp_path / "twice.tif", "--binning", 2)):
        outcome = run("evaluate", of_sample, "--images", *words, "--json", "-")
        rows.append(json.loads(outcome.out)["mean"]["plan"])
    assert rows[0] == pytest.approx(rows[1])
    words = ("simulate", of_sample, tmp_path / "twice.tif", "--binning", 2, "-o", tmp_path / "t.npy")
    assert "the image of" in run(*words).err
    assert run("evaluate", of_sample, "--images", tile, "--binning", 2).code == 2  # 8 x 8 pixels are left


def test_files_are_binned_as_those_that_a_plan_was_made_from(run, cells, tmp_path):
    words = ("design", "dmd", "--images", cells, "--size", "16x16", "--binning", 2, "--budget", "25%", "--steps", 2)
    assert run(*words, "-o", tmp_path / "a.acqplan").code == 0
    means = []
    for given in ((), ("--binning", 2), ("--binning", 1)):
        means.append(json.loads(run("evaluate", tmp_path / "a.acqplan", "--images", cells, *given, "--json", "-").out))
    assert means[0] == means[1]
    assert means[0]["n_images"] < means[2]["n_images"]


def test_plans_can_be_compared_on_images_of_another_binning(run, of_sample, tile, tmp_path):
    tifffile.imwrite(tmp_path / "twice.tif", np.kron(tifffile.imread(tile), np.ones((2, 2), np.uint16)))
    rows = []
    for words in ((tile,), (tmp_path / "twice.tif", "--binning", 2)):
        outcome = run("compare", of_sample, of_sample, "--images", *words, "--json", "-")
        assert outcome.code == 0, outcome.err
        rows += [each["mean"]["plan"] for each in json.loads(outcome.out)["plans"]]
    assert rows[0] == rows[1] == pytest.approx(rows[2])
