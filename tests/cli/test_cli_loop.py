"""export, simulate and reconstruct: from a plan to files, to acquired data, to an image in its place."""

import json
from dataclasses import replace

import h5py
import nibabel as nib
import numpy as np
import pytest
import tifffile
from PIL import Image

from acqplan.core.hdf5 import text_of
from acqplan.plan.plan import Plan
from acqplan.reconstructors.zero_filled import ZeroFilled
from acqplan.sensing.acquisition import Acquisition
from acqplan.sensing.pattern import Pattern


@pytest.fixture
def volume(more_scans):
    return more_scans / "other0.nii.gz"


def acquire(run, plan, image, path, *words):
    outcome = run("simulate", plan, image, "-o", path, *words)
    assert outcome.code == 0, outcome.err
    return outcome


def test_export_lists_what_it_wrote(run, points, tmp_path):
    outcome = run("export", points, "--to", "bart", "-o", tmp_path / "bart")
    assert outcome.code == 0
    for name in ("pattern.cfl", "pattern.hdr", "order.csv", "manifest.json"):
        assert str(tmp_path / "bart" / name) in outcome.out
    assert json.loads((tmp_path / "bart/manifest.json").read_text())["plan_id"] == Plan.load(points).plan_id


def test_export_with_settings_of_the_device(run, dmd, tmp_path):
    folder = tmp_path / "dmd"
    words = ("--device", "64x48", "--scale", 2, "--option", "offset_x=3", "--option", "max-frames=1000")
    assert run("export", dmd, "--to", "dmd-tiff", *words, "-o", folder).code == 0
    with tifffile.TiffFile(folder / "frames.tif") as tiff:
        assert len(tiff.pages) == 2 * Plan.load(dmd).pattern.n_readings
        assert tiff.pages[0].shape == (48, 64)
    manifest = json.loads((folder / "manifest.json").read_text())
    assert (manifest["scale"], manifest["left"]) == (2, 19)


def test_the_whole_loop_for_mri(run, points, volume, tmp_path):
    acquired, truth, recon = (tmp_path / name for name in ("acquired.h5", "truth.npy", "recon.nii.gz"))
    outcome = acquire(run, points, volume, acquired, "--slice", 3, "--noise", 0, "--truth", truth)
    assert "slice 3 of 6" in outcome.err
    assert run("reconstruct", points, acquired, "-o", recon).code == 0
    image, true = nib.load(recon), np.load(truth)
    assert image.shape == (16, 16, 1)
    assert image.get_data_dtype() == np.float32
    # The virtual instrument and the library's simulation agree, and so does what comes back.
    plan = Plan.load(points)
    expected = plan.reconstruct(plan.simulate(true, noise=type(plan.noise)(0.0)))
    np.testing.assert_allclose(image.get_fdata()[..., 0], np.abs(expected), atol=1e-5)


@pytest.mark.parametrize("number", [1, 3])
def test_the_image_keeps_its_place_in_space(run, points, volume, tmp_path, number):
    acquire(run, points, volume, tmp_path / "a.h5", "--slice", number)
    run("reconstruct", points, tmp_path / "a.h5", "-o", tmp_path / "r.nii.gz")
    original, image = nib.load(volume), nib.load(tmp_path / "r.nii.gz")
    centre = image.affine @ [8, 8, 0, 1]
    np.testing.assert_allclose(
        centre[:3], (original.affine @ [12, 12, number, 1])[:3], atol=2.01
    )  # a voxel of the file
    np.testing.assert_allclose(centre[2], original.affine[2, 3] + 3 * number)
    assert image.header.get_zooms() == pytest.approx((3, 3, 3))  # 24 voxels of 2 mm became 16


def test_without_a_slice_the_middle_one_is_taken(run, points, volume, tmp_path):
    assert "slice 3 of 6" in acquire(run, points, volume, tmp_path / "a.h5").err


@pytest.mark.parametrize("name", ["a.h5", "a.npz", "a.cfl"])
def test_every_format_gives_the_same_image(run, points, volume, tmp_path, name):
    acquire(run, points, volume, tmp_path / "reference.h5")
    acquire(run, points, volume, tmp_path / name)
    for acquired, output in (("reference.h5", "reference.npy"), (name, "same.npy")):
        assert run("reconstruct", points, tmp_path / acquired, "-o", tmp_path / output).code == 0
    reference = np.load(tmp_path / "reference.npy")
    assert reference.dtype == np.complex64
    np.testing.assert_allclose(np.load(tmp_path / "same.npy"), reference, atol=1e-5)


def test_lines(run, lines, volume, tmp_path):
    acquire(run, lines, volume, tmp_path / "a.cfl", "--as", "bart")
    assert run("reconstruct", lines, tmp_path / "a.cfl", "-o", tmp_path / "r.png").code == 0


def test_exported_files_are_played(run, dmd, cells, tmp_path):
    run("export", dmd, "--to", "dmd-tiff", "--device", "40x30", "-o", tmp_path / "frames")
    image = cells / "field0.tif"
    first = acquire(run, dmd, image, tmp_path / "a.csv", "--exported", tmp_path / "frames", "--seed", 5)
    acquire(run, dmd, image, tmp_path / "b.csv", "--seed", 5)
    assert str(tmp_path / "frames") in first.err
    assert run("reconstruct", dmd, tmp_path / "a.csv", "-o", tmp_path / "a.npy").code == 0
    assert run("reconstruct", dmd, tmp_path / "b.csv", "-o", tmp_path / "b.npy").code == 0
    np.testing.assert_allclose(np.load(tmp_path / "a.npy"), np.load(tmp_path / "b.npy"), rtol=1e-4, atol=1e-2)


def test_a_dmd_image_is_in_photo_electrons(run, dmd, cells, tmp_path):
    words = ("--tile", "1,2", "--photons", 50, "--read-noise", 0, "--truth", tmp_path / "truth.npy")
    outcome = acquire(run, dmd, cells / "field1.tif", tmp_path / "a.csv", *words)
    assert "tile 1,2 of 3 x 4" in outcome.err
    assert 20 < np.load(tmp_path / "truth.npy").max() < 100
    run("reconstruct", dmd, tmp_path / "a.csv", "-o", tmp_path / "r.tif")
    assert tifffile.imread(tmp_path / "r.tif").dtype == np.float32


def stamp_of(path):
    if path.name.endswith((".nii", ".nii.gz")):
        image = nib.load(path)
        stamp = json.loads(image.header.extensions[0].get_content().decode().rstrip("\0"))
        assert image.header["descrip"].item().decode() == f"acqplan {stamp['plan_id']}"
        return stamp
    if path.suffix == ".tif":
        with tifffile.TiffFile(path) as tiff:
            return json.loads(tiff.pages[0].description)
    if path.suffix == ".png":
        with Image.open(path) as image:
            assert image.mode.startswith("I;16")
            return json.loads(image.text["acqplan"])
    with h5py.File(path) as file:
        assert "image" in file
        return {name: text_of(file, name) if isinstance(value, bytes) else value for name, value in file.attrs.items()}


@pytest.mark.parametrize("name", ["r.nii", "r.nii.gz", "r.tif", "r.png", "r.h5"])
def test_images_are_stamped(run, points, volume, tmp_path, name):
    acquire(run, points, volume, tmp_path / "a.h5")
    assert run("reconstruct", points, tmp_path / "a.h5", "-o", tmp_path / name).code == 0
    stamp = stamp_of(tmp_path / name)
    plan = Plan.load(points)
    assert (stamp["plan_id"], stamp["pattern_digest"]) == (plan.plan_id, plan.pattern.digest)
    assert not stamp["plan_assumed"]
    assert stamp["part"] == ("complex" if name == "r.h5" else "magnitude")


def test_parts(run, points, volume, tmp_path):
    acquire(run, points, volume, tmp_path / "a.h5")
    for part in ("complex", "magnitude", "phase"):
        words = ("--part", part, "-o", tmp_path / f"{part}.npy")
        assert run("reconstruct", points, tmp_path / "a.h5", *words).code == 0
    whole, magnitude, phase = (np.load(tmp_path / f"{part}.npy") for part in ("complex", "magnitude", "phase"))
    np.testing.assert_allclose(magnitude * np.exp(1j * phase), whole, atol=1e-5)
    words = ("--part", "phase", "-o", tmp_path / "phase.png")
    assert run("reconstruct", points, tmp_path / "a.h5", *words).code == 0


def test_data_that_dont_say_their_pattern(run, refused, points, volume, tmp_path):
    acquire(run, points, volume, tmp_path / "a.npy")
    words = ("reconstruct", points, tmp_path / "a.npy", "-o")
    assert "--assume-plan" in refused(*words, tmp_path / "r.h5").err
    assert "can't record" in refused(*words, tmp_path / "r.npy", "--assume-plan").err
    outcome = run(*words, tmp_path / "r.h5", "--assume-plan")
    assert outcome.code == 0
    assert outcome.err.count("assumed") == 1  # told once
    assert stamp_of(tmp_path / "r.h5")["plan_assumed"]


@pytest.fixture
def acquired(points, tmp_path):
    """Acquired data of the points plan, spoilt by `spoil(acquisition fields)`."""
    plan = Plan.load(points)
    random = np.random.default_rng(0)
    readings = (random.normal(size=(64, 1)) + 1j * random.normal(size=(64, 1))).astype(np.complex64)

    def make(**changes):
        fields = {"readings": readings, "pattern_digest": plan.pattern.digest, "source": "x", **changes}
        acquisition = Acquisition(**fields)
        path = tmp_path / "acquired.h5"
        with h5py.File(path, "w") as file:
            file.attrs["format"] = "acqplan-acquired"
            file.attrs["format_version"] = 1
            if acquisition.pattern_digest is not None:
                file.attrs["pattern_digest"] = acquisition.pattern_digest
            file["readings"] = acquisition.readings
            if acquisition.order is not None:
                file["order"] = acquisition.order
        return path

    return make


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"pattern_digest": "0" * 64}, "000000000000"),
        ({"pattern_digest": None, "order": np.arange(64, dtype=np.int32)}, "other positions"),
        ({"readings": np.ones((63, 1), np.complex64)}, "(63, 1)"),
        ({"readings": np.ones((64, 2), np.complex64)}, "2 channels without coil maps"),
        ({"readings": np.full((64, 1), np.nan, np.complex64)}, "NaN"),
        ({"readings": np.zeros((64, 1), "S3")}, "readings"),
    ],
    ids=["digest", "order", "length", "shape", "nan", "text"],
)
def test_data_that_cant_be_right(refused, points, acquired, tmp_path, changes, named):
    path = acquired(**changes)
    assert named in refused("reconstruct", points, path, "-o", tmp_path / "r.nii.gz").err


def test_data_of_another_type(refused, dmd, acquired, tmp_path):
    plan = Plan.load(dmd)
    path = acquired(readings=np.ones((32, 2), np.complex64), pattern_digest=plan.pattern.digest)
    assert "expected real numbers" in refused("reconstruct", dmd, path, "-o", tmp_path / "r.tif").err


def test_data_of_another_plan(run, refused, points, lines, dmd, volume, cells, tmp_path):
    acquire(run, points, volume, tmp_path / "a.cfl")
    refused("reconstruct", lines, tmp_path / "a.cfl", "-o", tmp_path / "r.npy")
    acquire(run, dmd, cells / "field0.tif", tmp_path / "a.csv")
    refused("reconstruct", points, tmp_path / "a.csv", "-o", tmp_path / "r.npy")
    refused("reconstruct", dmd, tmp_path / "a.cfl", "-o", tmp_path / "r.npy")


@pytest.mark.parametrize("difference", ["pattern", "network"])
def test_files_exported_from_another_plan(run, refused, points, volume, tmp_path, difference):
    plan = Plan.load(points)
    if difference == "pattern":
        other = replace(plan, pattern=Pattern(np.arange(64), 256))
    else:
        other = replace(plan, reconstructor=ZeroFilled())
    other.save(tmp_path / "other.acqplan")
    run("export", tmp_path / "other.acqplan", "--to", "numpy", "-o", tmp_path / "exported")
    words = ("simulate", points, volume, "-o", tmp_path / "a.h5", "--exported")
    assert "was exported from plan" in refused(*words, tmp_path / "exported").err
    assert "no exported folder" in refused(*words, volume.parent).err


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (("--slice", 6), "0 to 5"),
        (("--slice", -1), "no slice -1"),
        (("--tile", "0,0"), "tiles"),
        (("--tile", "first"), "0,2"),
        (("--photons", 3), "--noise"),
        (("--noise", -1), "noise"),
        (("--as", "bart"), ".cfl"),
        (("--as", "brat"), "'bart'"),
        (("--truth", "truth.tif"), ".npy"),
    ],
)
def test_an_impossible_simulation(refused, points, volume, tmp_path, words, named):
    assert named in refused("simulate", points, volume, "-o", tmp_path / "a.h5", *words).err


def test_an_impossible_tile(refused, dmd, cells, tmp_path):
    words = ("simulate", dmd, cells / "field0.tif", "-o", tmp_path / "a.csv", "--tile", "3,0")
    assert "rows from 0 to 2 and columns from 0 to 3" in refused(*words).err


def test_a_folder_is_not_one_image(refused, points, more_scans, tmp_path):
    assert "2 files" in refused("simulate", points, more_scans, "-o", tmp_path / "a.h5").err


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (("--to", "brat"), "'bart'"),
        (("--to", "dmd-tiff"), "cartesian_mri"),
        (("--to", "bart", "--option", "scale=2"), "'scale'"),
        (("--to", "bart", "--option", "scale"), "name=value"),
    ],
)
def test_an_impossible_export(refused, points, tmp_path, words, named):
    assert named in refused("export", points, *words, "-o", tmp_path / "out").err


@pytest.mark.parametrize(
    ("words", "named"), [(("--device", "8x8"), "8"), (("--device", "large"), "1920x1080"), (("--scale", 0), "0")]
)
def test_a_device_that_cant_play_the_plan(refused, dmd, tmp_path, words, named):
    assert named in refused("export", dmd, "--to", "dmd-tiff", *words, "-o", tmp_path / "out").err


def test_an_output_without_a_known_format(refused, points, acquired, tmp_path):
    path = acquired()
    assert ".nii.gz" in refused("reconstruct", points, path, "-o", tmp_path / "r.gif").err
    assert ".tif" in refused("reconstruct", points, path, "-o", tmp_path / "r.png", "--part", "complex").err
    assert "magnitude" in refused("reconstruct", points, path, "-o", tmp_path / "r.npy", "--part", "real").err
