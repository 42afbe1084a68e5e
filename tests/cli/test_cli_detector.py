"""Calibrating a detector from the command line."""

import json

import numpy as np

from acqplan.traces.detector import Detector

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
