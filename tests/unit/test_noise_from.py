"""The noise of a plan to come, from acquired data: what raw files state or show, and what can't be known."""

from dataclasses import replace

import h5py
import numpy as np
import pytest
from builders.plans import make_plan
from builders.sensing import mri
from scipy.ndimage import gaussian_filter

from acqplan.core.errors import AcquisitionError, RecipeError
from acqplan.formats.lookup import for_acquired
from acqplan.formats.save import save_acquired
from acqplan.modalities.mri.checks.acquired_noise import acquired_noise
from acqplan.modalities.mri.noise_from import noise_std_from
from acqplan.plan.components import Component
from acqplan.plan.recipe import ImageSettings, Recipe
from acqplan.sensing.acquisition import Scan

SIDE, STD = 64, 0.02
ANY = Recipe("mri")


def kspace(noise=STD, softness=2.0, n_coils=1, side=SIDE):
    """complex64[coils, ky, readout] of a disc of peak 1 with edges that are so soft, and noise."""
    y, x = np.mgrid[-1 : 1 : side * 1j, -1 : 1 : side * 1j]
    disc = np.hypot(y, x) < 0.5
    image = gaussian_filter(disc * 1.0, softness) if softness else disc * (1 + 0.5 * (np.hypot(x - 0.1, y) < 0.2))
    random = np.random.default_rng(0)
    axes = (-2, -1)
    clean = np.fft.fftshift(np.fft.fft2(np.fft.ifftshift(image, axes), norm="ortho"), axes)
    white = random.normal(size=(2, n_coils, side, side)) * noise / np.sqrt(2)
    return (clean / np.sqrt(n_coils) + white[0] + 1j * white[1]).astype(np.complex64)


def fastmri(path, values, n_slices=2):
    with h5py.File(path, "w") as file:
        file["kspace"] = np.stack([values.swapaxes(-1, -2)] * n_slices)
    return path


@pytest.mark.parametrize("n_coils", [1, 3])
def test_the_outermost_readings_tell_the_noise_of_a_raw_file(tmp_path, n_coils):
    path = fastmri(tmp_path / "scan.h5", kspace(n_coils=n_coils))
    assert noise_std_from(path, ANY) == pytest.approx(STD, rel=0.1)
    assert noise_std_from(path, replace(ANY, images=ImageSettings(size=[16, 16]))) == noise_std_from(path, ANY)


def test_noise_that_is_a_little_uneven_tells_it_too(tmp_path):
    clean, gain = kspace(0.0, side=256), np.where(np.arange(256) % 3, 1.15, 0.8)  # from readout to readout
    uneven = clean + (kspace(side=256) - clean) * gain[:, None].astype(np.float32)
    assert noise_std_from(fastmri(tmp_path / "scan.h5", uneven), ANY) == pytest.approx(STD, rel=0.1)


@pytest.mark.parametrize("twice", [1.0, 2.0])
def test_a_noise_scan_tells_it_whatever_the_units(tmp_path, twice):
    pytest.importorskip("ismrmrd")
    from builders.ismrmrd_files import acquisition, header, write

    values = 7.0 * twice * kspace(softness=0)  # signal up to the edge: only the noise scan knows
    white = np.random.default_rng(1).normal(size=(2, 1, 4000)) * 7.0 * twice * STD / np.sqrt(2)
    lines = [acquisition(white[0] + 1j * white[1], flags=[19], centre=0)]
    lines += [acquisition(values[:, ky], ky=ky) for ky in range(0, SIDE)]
    path = write(tmp_path / "scan.h5", header((SIDE, SIDE, 1), (SIDE, SIDE, 1)), lines)
    assert noise_std_from(path, ANY) == pytest.approx(STD / 1.5, rel=0.1)  # the image's peak is 1.5


def test_signal_up_to_the_edge_is_one_error_that_says_what_to_pass(tmp_path):
    path = fastmri(tmp_path / "scan.h5", kspace(noise=0.0005, softness=0))
    with pytest.raises(RecipeError, match="hold signal up to the edge of k-space") as raised:
        noise_std_from(path, ANY)
    assert "--noise STD, at most 0.0" in raised.value.remedy


@pytest.mark.parametrize("encoding", ["lines", "points"])
@pytest.mark.parametrize("name", ["scan.npz", "scan.npy", "scan.h5"])
def test_files_of_acqplans_own_need_the_size(tmp_path, encoding, name):
    sensing = mri(encoding, SIDE, SIDE)
    plan = make_plan(sensing, np.arange(sensing.n_units), noise={"std": STD})
    y, x = np.mgrid[-1 : 1 : SIDE * 1j, -1 : 1 : SIDE * 1j]
    acquired = plan.simulate(gaussian_filter((np.hypot(y, x) < 0.5) * 1.0, 2.0).astype(np.complex64))
    path = tmp_path / name
    save_acquired(for_acquired(path), acquired, plan, path)
    known = replace(
        ANY,
        images=ImageSettings(size=[SIDE, SIDE]),
        sensing=Component("cartesian_mri", {"encoding": encoding}),
    )
    level = acquired_noise(Scan([acquired], "scan"), plan)
    assert noise_std_from(path, known) == pytest.approx(level.std, rel=0.005)
    assert level.std == pytest.approx(STD, rel=0.15)
    with pytest.raises(RecipeError, match="doesn't state its grid"):
        noise_std_from(path, ANY)
    with pytest.raises(RecipeError, match="don't fit a plan of"):
        noise_std_from(path, replace(known, images=ImageSettings(size=[SIDE - 2, SIDE - 2])))


def test_what_is_no_acquired_file_is_refused(tmp_path):
    (tmp_path / "a.txt").write_text("no data")
    with pytest.raises(AcquisitionError):
        noise_std_from(tmp_path / "a.txt", ANY)
