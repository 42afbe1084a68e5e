"""Every format of a DMD from the command line: exported, played, reconstructed; and what a device can't show."""

import json

import numpy as np
import pytest

from acqplan.plan.plan import Plan

FORMATS = {
    "dmd-tiff": ("frames.tif",),
    "png": ("frame_000000.png",),
    "alp": ("frames.bin", "alp.json"),
    "dlpc900": ("batch_000_image_00.spld", "batch_000_lut.bin", "chart.png", "dlpc900.json"),
    "micromanager": ("frames.tif",),
    "spas": ("pattern_order.npz",),
}


@pytest.mark.parametrize("kind", FORMATS)
def test_the_whole_loop_for_every_format(run, dmd, cells, kind, tmp_path):
    folder, trace, image = tmp_path / "out", tmp_path / "trace.csv", tmp_path / "image.npy"
    words = ("--device", "64x48", "--scale", 2)
    if kind != "spas":
        words += ("--option", "rotation=90", "--option", "flip_x=on", "--option", "border=on")
    outcome = run("export", dmd, "--to", kind, *words, "-o", folder)
    assert outcome.code == 0, outcome.err
    for name in (*FORMATS[kind], "manifest.json"):
        assert str(folder / name) in outcome.out
    played = run("simulate", dmd, cells / "field0.tif", "--exported", folder, "-o", trace, "--seed", 3)
    assert played.code == 0, played.err
    assert run("reconstruct", dmd, trace, "-o", image).code == 0
    # The same noise on what the plan itself would have measured.
    assert run("simulate", dmd, cells / "field0.tif", "-o", tmp_path / "other.csv", "--seed", 3).code == 0
    assert run("reconstruct", dmd, tmp_path / "other.csv", "-o", tmp_path / "other.npy").code == 0
    assert np.allclose(np.load(image), np.load(tmp_path / "other.npy"), rtol=1e-4, atol=1e-2)


def test_warnings_name_batches_and_dead_mirrors(run, dmd, tmp_path):
    words = ("--device", "64x48", "--option", "dead_mirrors=[[30,20],[0,0]]", "--option", "max_frames=10")
    outcome = run("export", dmd, "--to", "alp", *words, "-o", tmp_path / "out")
    assert outcome.code == 0
    n_frames = 2 * Plan.load(dmd).pattern.n_readings
    n_batches = -(-n_frames // 10)
    assert "2 dead mirrors touch 1 pixels" in outcome.err
    assert f"{n_batches} batches of up to 10 frames" in outcome.err
    assert len(json.loads((tmp_path / "out" / "alp.json").read_text())["sequences"]) == n_batches


@pytest.mark.parametrize(
    ("kind", "words", "named"),
    [
        ("spas", ("--device", "10x8"), "smaller pattern"),
        ("alp", ("--device", "64x48", "--option", "max_frames=10", "--option", "split=off"), "with split=on there are"),
        ("dlpc900", ("--option", "picture_time_us=50", "--option", "min_picture_time_us=105"), "picture_time_us=105"),
        ("micromanager", ("--device", "64x48", "--option", "scale=1.5"), "the nearest are 1 and 2"),
        ("dmd-tiff", ("--device", "alp-1080p-4gb"), "Did you mean alp-1080p-4gib?"),
        ("png", ("--option", "rotate=90"), "Did you mean 'rotation'?"),
        ("dlpc900", ("--option", "rotation=30"), "0, 90, 180, 270"),
        ("alp", ("--option", "dead_mirrors=nowhere.csv"), "nowhere.csv"),
    ],
)
def test_what_a_device_cannot_show_is_one_clear_error(refused, dmd, kind, words, named, tmp_path):
    """Each mistake in one format, and each format with some mistake: they share the code that finds them."""
    err = refused("export", dmd, "--to", kind, *words, "-o", tmp_path / "out").err
    assert named in err
    assert list(tmp_path.iterdir()) == []
