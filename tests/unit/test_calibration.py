"""A simulated detector's recordings give its parameters back; what isn't linear, clipped or dark is refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from acqplan.core.errors import AcquisitionError, RecipeError
from acqplan.modalities.dmd.traces.calibration import fit_detector
from acqplan.modalities.dmd.traces.detector import Detector

TRUE = Detector(gain_adu_per_e=2.5, offset_adu=100, read_noise_e=4, adc_bits=16)
LEVELS = (400, 1600, 3200, 6400, 12800)


def record(detector: Detector, levels: Any, n: int, seed: int = 0, exposure_s: float | None = None) -> Any:
    expected = np.repeat(np.array(levels, dtype=np.float64), n)
    return detector.digitised(expected, np.random.default_rng(seed), exposure_s)


def dark(n: int = 2000) -> Any:
    return record(TRUE, [0], n, seed=1)


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("how", [{}, {"repeats": 400}, {"levels": LEVELS}], ids=["found", "repeats", "levels"])
def test_parameters_come_back_within_their_uncertainty(how: dict[str, Any], seed: int) -> None:
    fitted = fit_detector(record(TRUE, [0], 2000, seed + 50), record(TRUE, LEVELS, 400, seed), adc_bits=16, **how)
    for name in ("gain_adu_per_e", "offset_adu", "read_noise_e"):
        assert abs(getattr(fitted, name) - getattr(TRUE, name)) < 4 * fitted.uncertainty[name], name
    assert fitted.uncertainty["gain_adu_per_e"] < 0.05 * TRUE.gain_adu_per_e
    assert fitted.calibration["linearity"]["checked"]


@pytest.mark.parametrize(("levels", "n"), [(LEVELS, 200), ((5000,), 2000)], ids=["five levels", "one level"])
def test_stated_errors_are_the_spread_and_the_gain_has_no_bias(levels: tuple[int, ...], n: int) -> None:
    fits = [fit_detector(record(TRUE, [0], 1000, 9000 + i), record(TRUE, levels, n, i)) for i in range(300)]
    for name in ("gain_adu_per_e", "offset_adu", "read_noise_e"):
        spread = np.std([getattr(fit, name) for fit in fits])
        assert np.mean([fit.uncertainty[name] for fit in fits]) / spread == pytest.approx(1, abs=0.15), name
    assert np.mean([fit.gain_adu_per_e for fit in fits]) == pytest.approx(2.5, rel=0.01)


def test_steps_between_faint_levels_dont_count_as_noise() -> None:
    """They are no larger than differences that noise makes; with them the gain was 1.6 % too large (1000 fits)."""
    bright = [record(TRUE, (50, 100, 200), 300, i) for i in range(400)]
    fits = [fit_detector(record(TRUE, [0], 1000, 9000 + i), values) for i, values in enumerate(bright)]
    gains = np.array([fit.gain_adu_per_e for fit in fits])
    errors = np.array([fit.uncertainty["gain_adu_per_e"] for fit in fits])
    assert gains.mean() == pytest.approx(2.5, rel=0.01)
    assert np.mean(np.abs(gains - 2.5) < errors) == pytest.approx(0.68, abs=0.08)


def test_fewer_levels_than_were_recorded_are_refused() -> None:
    """Two levels always lie on a line: the dark is a third, and what is given as one level has to be one."""
    bright = record(TRUE, (3200, 6400, 9600, 12800), 400)
    fit_detector(dark(), bright, levels=(0.25, 0.5, 0.75, 1))
    with pytest.raises(AcquisitionError, match="Level 1 of 2 of the bright recording isn't one"):
        fit_detector(dark(), bright, levels=(0.5, 1))
    with pytest.raises(AcquisitionError, match="isn't linear: at a light level"):
        fit_detector(dark(), record(TRUE, (4000, 12800), 400), levels=(0.5, 1))


def test_a_known_offset_gives_the_dark_current() -> None:
    true = Detector(gain_adu_per_e=2.5, offset_adu=100, read_noise_e=4, dark_current_e_per_s=4e6, exposure_s=5e-5)
    fitted = fit_detector(record(true, [0], 4000), record(true, LEVELS, 1000, 1), offset_adu=100, exposure_s=5e-5)
    assert fitted.dark_current_e_per_s == pytest.approx(4e6, abs=4 * fitted.uncertainty["dark_current_e_per_s"])
    assert fitted.read_noise_e == pytest.approx(4, abs=4 * fitted.uncertainty["read_noise_e"])
    with pytest.raises(RecipeError, match="nothing says how long a frame lasts"):
        fit_detector(record(true, [0], 4000), record(true, LEVELS, 1000, 1), offset_adu=100)
    with pytest.raises(AcquisitionError, match="below the offset"):
        fit_detector(record(true, [0], 4000), record(true, LEVELS, 1000, 1), offset_adu=900, exposure_s=5e-5)


def test_a_photon_counter() -> None:
    true = Detector(dark_current_e_per_s=2000, exposure_s=1e-3)
    fitted = fit_detector(record(true, [0], 4000), record(true, (20, 200, 2000), 600), offset_adu=0, exposure_s=1e-3)
    assert fitted.gain_adu_per_e == pytest.approx(1, abs=4 * fitted.uncertainty["gain_adu_per_e"])
    assert fitted.read_noise_e < 1
    assert fitted.dark_current_e_per_s == pytest.approx(2000, rel=0.1)


def test_a_drifting_lamp_changes_nothing() -> None:
    rng = np.random.default_rng(0)
    bright = TRUE.digitised(np.repeat(LEVELS, 400) * np.linspace(1, 0.9, 2000), rng)
    fitted = fit_detector(dark(), bright)
    assert fitted.gain_adu_per_e == pytest.approx(2.5, abs=4 * fitted.uncertainty["gain_adu_per_e"])


def test_one_level_gives_the_gain_but_no_linearity() -> None:
    fitted = fit_detector(dark(), record(TRUE, [5000], 2000))
    assert fitted.gain_adu_per_e == pytest.approx(2.5, abs=4 * fitted.uncertainty["gain_adu_per_e"])
    assert fitted.calibration["linearity"] == {"checked": False}


def saturating(adu: Any) -> Any:
    return 100 + (adu - 100) / (1 + (adu - 100) / 60000)


def test_a_detector_that_saturates_softly_isnt_linear() -> None:
    with pytest.raises(AcquisitionError, match=r"isn't linear up to .*the detector saturates"):
        fit_detector(dark(), saturating(record(TRUE, LEVELS, 400)))
    slightly = 100 + (record(TRUE, LEVELS, 400) - 100) ** 0.94
    with pytest.raises(AcquisitionError, match=r"isn't linear: at a light level"):
        fit_detector(dark(), slightly, levels=LEVELS)


def test_a_flickering_lamp_isnt_linear() -> None:
    rng = np.random.default_rng(0)
    light = np.repeat(LEVELS, 400) * (1 + 0.02 * rng.standard_normal(2000))
    with pytest.raises(AcquisitionError, match="the lamp flickers"):
        fit_detector(dark(), TRUE.digitised(light, rng))


@pytest.mark.parametrize("bits", [None, 14])
def test_a_clipped_recording_is_refused(bits: int | None) -> None:
    bright = np.minimum(record(TRUE, LEVELS, 400), 2**14 - 1)
    with pytest.raises(AcquisitionError, match=r"bright recording is clipped: 2[01]% of its values are at 16383"):
        fit_detector(dark(), bright, adc_bits=bits)
    with pytest.raises(AcquisitionError, match="dark recording is clipped"):
        fit_detector(np.maximum(dark(), 100), record(TRUE, LEVELS, 400))


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (lambda d, b: (d[:10], b), "dark recording has 10 values"),
        (lambda d, b: (d, b[:20]), "bright recording has 20 values"),
        (lambda d, b: (b, d), "there is no light in it"),
        (lambda d, b: (d, d.copy()), "no light|no more than the dark"),
        (lambda d, b: (d, np.where(np.arange(b.size) == 3, np.nan, b)), "1 values that are NaN"),
        (lambda d, b: (d, np.zeros_like(b)), "bright recording is 0 throughout"),
        (lambda d, b: (d * 0, b), "dark recording is 0 throughout"),
        (lambda d, b: (d, np.repeat(LEVELS, 400) * 2.5 + 100.0), "no more than the dark"),
    ],
    ids=["short dark", "short bright", "exchanged", "dark twice", "nan", "zeros", "dark zeros", "no noise"],
)
def test_recordings_that_cant_be_used(spoil: Any, says: str) -> None:
    with pytest.raises(AcquisitionError, match=says):
        fit_detector(*spoil(dark(), record(TRUE, LEVELS, 400)))


def test_settings_that_dont_fit() -> None:
    bright = record(TRUE, LEVELS, 400)
    with pytest.raises(RecipeError, match="can't be 3 levels"):
        fit_detector(dark(), bright, levels=[1, 2, 3])
    with pytest.raises(RecipeError, match="levels of 7 values"):
        fit_detector(dark(), bright, repeats=7)


def test_steps_of_the_light_within_a_block_do_not_count_as_noise() -> None:
    """Twenty levels of 300 values, over and over: most blocks hold a step that is too small to be told from noise."""
    random = np.random.default_rng(5)
    dark = 100 + 2 * 3 * random.standard_normal(4000)
    levels = np.tile(np.repeat(np.linspace(100, 4000, 20), 300), 10)
    bright = 100 + 2 * (random.poisson(levels) + 3 * random.standard_normal(levels.size))
    assert fit_detector(dark, bright).gain_adu_per_e == pytest.approx(2, rel=0.03)


def test_a_value_that_no_detector_gives_is_refused() -> None:
    rng = np.random.default_rng(0)
    dark, bright = rng.normal(100, 4, 400), rng.normal(1000, 30, 400)
    bright[7] = 1e200
    with pytest.raises(AcquisitionError, match="no detector gives that"):
        fit_detector(dark, bright)
