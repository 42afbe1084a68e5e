"""Detectors from the command line: calibrating, the virtual microscope, traces in, OME-TIFF out."""

import json

import numpy as np
import pytest
import scipy.io
import tifffile

from acqplan.modalities.dmd.traces.detector import Detector

TRUE = Detector(gain_adu_per_e=2.5, offset_adu=100, read_noise_e=4, adc_bits=16)
LEVELS = (400, 1600, 3200, 6400)


def write_recordings(folder, detector=TRUE, bend=0.0):
    rng = np.random.default_rng(0)
    np.save(folder / "dark.npy", detector.digitised(np.zeros(1000), rng).astype(np.uint16))
    bright = detector.digitised(np.repeat(LEVELS, 400).astype(float), rng)
    np.save(folder / "bright.npy", (bright / (1 + bend * bright)).astype(np.uint16))
    return folder / "dark.npy", folder / "bright.npy"


def test_calibrate_writes_a_detector(run, tmp_path):
    dark, bright = write_recordings(tmp_path)
    outcome = run("calibrate", dark, bright, "--adc-bits", 16, "-o", tmp_path / "pmt.json")
    assert outcome.code == 0, outcome.err
    assert "Gain / ADU per photo-electron" in outcome.out
    assert "Linear up to" in outcome.err
    detector = Detector.load(tmp_path / "pmt.json")
    assert abs(detector.gain_adu_per_e - 2.5) < 4 * detector.uncertainty["gain_adu_per_e"]
    assert json.loads((tmp_path / "pmt.json").read_text())["calibration"]["dark"] == str(dark)
    again = run("calibrate", dark, bright, "-o", tmp_path / "pmt.json")
    assert again.code == 2
    assert "exists already" in again.err


def test_a_recording_that_isnt_linear_is_refused(refused, tmp_path):
    dark, bright = write_recordings(tmp_path, bend=1e-5 * 2)
    outcome = refused("calibrate", dark, bright, "-o", tmp_path / "pmt.json")
    assert "isn't linear up to" in outcome.err
    assert "bright.npy" in outcome.err


def test_exchanged_recordings_are_refused(refused, tmp_path):
    dark, bright = write_recordings(tmp_path)
    assert "no light in it" in refused("calibrate", bright, dark, "-o", tmp_path / "pmt.json").err


def test_one_level_warns(run, tmp_path):
    dark, bright = write_recordings(tmp_path)
    np.save(bright, np.load(bright)[:400])
    outcome = run("calibrate", dark, bright, "-o", tmp_path / "pmt.json")
    assert outcome.code == 0
    assert "wasn't checked" in outcome.err


PMT = Detector(gain_adu_per_e=0.5, offset_adu=100, read_noise_e=4, dark_current_e_per_s=1e5, saturation_adu=1e7)


@pytest.fixture
def pmt(tmp_path):
    PMT.save(tmp_path / "pmt.json")
    return tmp_path / "pmt.json"


@pytest.fixture
def simulated(run, dmd, cells, pmt, tmp_path):
    def call(name, *options):
        words = [word for option in options for word in ("--option", option)]
        outcome = run(
            "simulate", dmd, cells / "field3.tif", "--photons", 20000, "--detector", pmt, *words, "-o", tmp_path / name
        )
        assert outcome.code == 0, outcome.err
        return tmp_path / name

    return call


def test_the_loop_with_a_detector(run, dmd, simulated, tmp_path):
    trace = simulated("daq.h5", "dark_frames=8", "reference_every=16", "samples_per_frame=10", "settling_us=10")
    outcome = run("verify", dmd, trace)
    assert outcome.code == 0, outcome
    outcome = run("reconstruct", dmd, trace, "--pixel-size", "0.5um", "-o", tmp_path / "cells.ome.tif")
    assert outcome.code == 0, outcome.err
    with tifffile.TiffFile(tmp_path / "cells.ome.tif") as file:
        assert file.is_ome
        assert 'PhysicalSizeX="0.5"' in file.ome_metadata
        assert "photo-electrons per pixel and frame" in file.ome_metadata
        assert file.pages[0].tags["XResolution"].value == (20000, 1)
        image = file.asarray()
    assert image.dtype == np.float32
    assert 0 < image.max() < 40000


def test_faults_are_named_and_lost_units_left_out(run, dmd, simulated, tmp_path):
    trace = simulated("daq.csv", "dropped=1", "lamp_drift=-0.2")
    outcome = run("verify", dmd, trace, "--json")
    subjects = {each["subject"] for each in json.loads(outcome.out)}
    assert {"dropped", "missing"} <= subjects
    outcome = run("reconstruct", dmd, trace, "--option", "drift=pairs", "-o", tmp_path / "cells.tif")
    assert outcome.code == 0
    assert "without a reading of their own" in outcome.err


def test_a_matlab_file_needs_its_options(run, refused, dmd, simulated, pmt, tmp_path):
    trace = simulated("daq.mat", "samples_per_frame=10", "settling_us=10")
    how = ("--detector", pmt, "--option", "signal=signal", "--option", "trigger=trigger", "--option", "settling_us=10")
    rate = ("--option", "sample_rate_hz=200000")
    output = tmp_path / "image.npy"
    assert "no sample rate" in refused("reconstruct", dmd, trace, *how, "-o", output).err
    assert "doesn't say which pattern" in refused("reconstruct", dmd, trace, *how, *rate, "-o", output).err
    assert run("reconstruct", dmd, trace, *how, *rate, "--assume-plan", "-o", tmp_path / "image.h5").code == 0
    wrong = ("--option", "signal=ai0", *how[6:], *how[:2], *rate, "--option", "trigger=trigger")
    assert "called 'ai0'; it has" in refused("reconstruct", dmd, trace, *wrong, "-o", output).err
    trace.write_bytes(trace.read_bytes()[:-200])
    assert "daq.mat" in refused("reconstruct", dmd, trace, *how, *rate, "-o", output).err


def spoil_length(values):
    return values[:-2]


def spoil_nan(values):
    values[3] = np.nan
    return values


def spoil_zeros(values):
    return 0 * values


def spoil_clipped(values):
    return np.minimum(values, np.sort(values)[len(values) // 2])


def spoil_order(values):
    return values.reshape(-1, 2)[::-1].ravel()


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (spoil_length, "the plan shows"),
        (spoil_nan, "NaN"),
        (spoil_zeros, "zero everywhere"),
        (spoil_clipped, "clipped"),
        (spoil_order, "in another order"),
    ],
)
def test_a_spoiled_trace_is_refused(refused, run, dmd, cells, tmp_path, spoil, says):
    assert run("simulate", dmd, cells / "field3.tif", "--photons", 20000, "-o", tmp_path / "trace.npy").code == 0
    values = spoil(np.load(tmp_path / "trace.npy").ravel())
    scipy.io.savemat(tmp_path / "trace.mat", {"pmt": values})
    outcome = refused("reconstruct", dmd, tmp_path / "trace.mat", "--assume-plan", "-o", tmp_path / "image.tif")
    assert says in outcome.err
    assert refused("verify", dmd, tmp_path / "missing.mat").code == 2


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (("lamp_drfit=-0.1",), "Did you mean 'lamp_drift'"),
        (("lamp_drift=-3",), "lamp_drift is -3"),
        (("stuck_on=much",), "stuck_on is 'much'"),
    ],
)
def test_impossible_faults_are_refused(refused, dmd, cells, tmp_path, options, says):
    words = [word for option in options for word in ("--option", option)]
    assert says in refused("simulate", dmd, cells / "field3.tif", *words, "-o", tmp_path / "daq.h5").err


def test_the_microscope_is_for_the_dmd(refused, points, scans, tmp_path):
    faults = ("--option", "dropped=1")
    outcome = refused("simulate", points, scans / "subject0.nii.gz", *faults, "-o", tmp_path / "daq.h5")
    assert "virtual microscope" in outcome.err


def test_design_takes_a_detector(run, refused, cells, pmt):
    words = ("design", "dmd", "--images", cells, "--size", "16x16", "--budget", "12.5%", "--detector", pmt, "--dry-run")
    outcome = run(*words, "--picture-time", "50us")
    assert outcome.code == 0, outcome.err
    assert "read_noise_e = 4.0" in outcome.out
    assert "dark_e = 5.0" in outcome.out
    assert "nothing says how long a frame lasts" in refused(*words).err


def test_a_pixel_size_that_is_none(refused, dmd, tmp_path):
    outcome = refused("reconstruct", dmd, tmp_path / "t.csv", "--pixel-size", "big", "-o", tmp_path / "image.tif")
    assert "pixel size is 'big'" in outcome.err
