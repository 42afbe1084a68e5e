"""Raw data of scanners through the command line: a plan's table, a scanner's file to an image, and bad files."""

import nibabel as nib
import numpy as np
import pytest

pytest.importorskip("ismrmrd")
from builders.ismrmrd_files import acquisition, header, oversampled, write

from acqplan.plan.plan import Plan
from acqplan.plan.recipe_text import from_toml

PLACE = {"read_dir": (1, 0, 0), "phase_dir": (0, 1, 0), "slice_dir": (0, 0, 1)}


def slices_of(plan, path, *, n_slices=3, spoil=None, xml=None, skip=()):
    """A scanner's 2D file of the plan's lines: oversampled readouts, a noise scan, slices 4 mm apart."""
    loaded = Plan.load(plan)
    rows, columns = loaded.sensing.image_shape
    rng = np.random.default_rng(0)
    y, x = np.mgrid[-1 : 1 : 1j * rows, -1 : 1 : 1j * columns]
    images = [((x**2 + (y - 0.1 * i) ** 2) < 0.5).astype(np.complex64)[None] for i in range(n_slices)]
    white = rng.standard_normal((2, 1, 2000))
    lines = [acquisition(0.01 * (white[0] + 1j * white[1]), flags=[19], centre=0)]
    for ky in loaded.pattern.order:
        for i, image in enumerate(images):
            if ky not in skip:
                place = {"position": (0, 0, 4.0 * i), **PLACE}
                lines.append(acquisition(oversampled(image)[:, ky], ky=int(ky), slice=i, **place))
    if spoil:
        spoil(lines)
    xml = xml or header((2 * columns, rows, 1), (columns, rows, 1), fov=(2.0 * columns, 3.0 * rows, 5.0))
    return write(path, xml, lines)


def test_a_simulated_file_verifies_and_reconstructs_as_acqplans_own(run, points, tmp_path):
    image = tmp_path / "image.npy"
    np.save(image, np.random.default_rng(0).random((16, 16)).astype(np.float32))
    for name in ("a.mrd", "a.h5"):
        assert run("simulate", points, image, "-o", tmp_path / name, "--seed", 3).code == 0
        out = tmp_path / f"{name}.npy"
        assert run("reconstruct", points, tmp_path / name, "-o", out).code == 0
    assert np.array_equal(np.load(tmp_path / "a.mrd.npy"), np.load(tmp_path / "a.h5.npy"))
    outcome = run("verify", points, tmp_path / "a.mrd")
    assert outcome.code == 0


def test_slices_of_a_scanner_become_a_volume_in_its_place(run, lines, tmp_path):
    path = slices_of(lines, tmp_path / "scan.h5")
    outcome = run("reconstruct", lines, path, "-o", tmp_path / "recon.nii.gz")
    assert outcome.code == 0, outcome.err
    volume = nib.load(tmp_path / "recon.nii.gz")
    assert sorted(volume.shape) == [3, 16, 16]
    assert sorted(volume.header.get_zooms()[:3]) == pytest.approx([2, 3, 4])


def test_the_table_of_a_plan_is_written(run, lines, tmp_path):
    words = ("--option", "slices=3", "--option", "channels=2", "--option", "oversampling=2")
    outcome = run("export", lines, "--to", "ismrmrd", *words, "-o", tmp_path / "out")
    assert outcome.code == 0, outcome.err
    assert (tmp_path / "out" / "acquisitions.h5").is_file()


def spoil_nan(lines):
    lines[5].data[0, 3] = np.nan


def spoil_noise(lines):
    lines[0] = acquisition(np.ones((2, 99), np.complex64), flags=[19])


def spoil_counter(lines):
    lines[5].idx.kspace_encode_step_1 = 4464  # 70000 in 16 bits


@pytest.mark.parametrize(
    ("spoil", "words"),
    [(spoil_nan, "NaN"), (spoil_noise, "noise scan of 2 channels and data of 1"), (spoil_counter, "16-bit counter")],
)
def test_bad_data_are_refused(refused, lines, tmp_path, spoil, words):
    path = slices_of(lines, tmp_path / "scan.h5", spoil=spoil, n_slices=1)
    assert words in refused("reconstruct", lines, path, "-o", tmp_path / "recon.npy").err


@pytest.mark.parametrize("case", ["cut", "matrix", "no header", "missing lines", "points"])
def test_other_files_than_the_plans_are_refused(refused, lines, points, tmp_path, case):
    path = tmp_path / "scan.h5"
    plan = lines
    if case == "matrix":
        slices_of(lines, path, xml=header((32, 20, 1), (16, 20, 1)))
    elif case == "no header":
        slices_of(lines, path, xml=b"<nothing")
    elif case == "missing lines":
        slices_of(lines, path, skip=Plan.load(lines).pattern.order[:3])
    else:
        slices_of(lines, path)
    if case == "cut":
        path.write_bytes(path.read_bytes()[:-4000])
    if case == "points":
        plan = points
    words = {
        "cut": "can't be read",
        "matrix": "20",
        "no header": "header",
        "missing lines": "lacks",
        "points": "2D scan",
    }
    assert words[case] in refused("reconstruct", plan, path, "-o", tmp_path / "recon.npy").err


def test_undersampled_raw_data_train_nothing(refused, lines, tmp_path):
    slices_of(lines, tmp_path / "scan.h5")
    words = ("--size", "16x16", "--budget", "2x", "--steps", 2, "-o", tmp_path / "a.acqplan")
    assert "undersampled" in refused("design", "mri", "--images", tmp_path / "scan.h5", *words).err


@pytest.mark.parametrize("command", ["design", "base"])
def test_the_noise_of_a_plan_comes_from_an_acquired_file(run, scans, lines, tmp_path, command):
    path = slices_of(lines, tmp_path / "scan.h5")  # noise of 0.01 √2 of a disc of 1
    words = (command, "mri", "--images", scans, "--size", "16x16", "--pattern", "lines", "--steps", 2, "--dry-run")
    budget = ("--budget", "2x") if command == "design" else ()
    found = from_toml(run(*words, *budget, "--noise-from", path).out).noise.options["std"]
    assert 0.007 < found < 0.028
    given = from_toml(run(*words, *budget, "--noise-from", path, "--noise", 0.03).out)
    assert given.noise.options == {"std": 0.03}
