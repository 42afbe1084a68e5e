"""The budget: every form that a person types, resolved exactly or refused with a reason."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from acqplan.core.errors import BudgetError
from acqplan.sensing.budget import Budget, Light, parse_budget


@pytest.mark.parametrize(
    ("text", "n_readings"),
    [
        ("4x", 64),
        ("4 X", 64),
        (" 3x ", 85),  # 85.3 readings: rounded down
        ("2.5x", 102),
        ("1x", 256),
        ("256x", 1),
        ("25%", 64),
        ("33.3 %", 85),
        (".5%", 1),
        ("100%", 256),
        ("64", 64),
        ("64 lines", 64),
        ("64lines", 64),
        ("64 Lines", 64),
        ("1 line", 1),
        ("64 frames", 64),  # one frame a line
    ],
)
def test_shares_and_counts(text: str, n_readings: int) -> None:
    assert parse_budget(text, n_units=256, unit_name="line") == Budget(n_readings, 256)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("30s", 30),
        ("30 sec", 30),
        ("30 seconds", 30),
        ("500ms", 0.5),
        ("500 ms", 0.5),
        ("2min", 120),
        ("2m", 120),
        ("2 minutes", 120),
        ("2min30s", 150),
        ("2 min 30 s", 150),
        ("1.5 min", 90),
        ("1h", 3600),
        ("1 hour 1 min", 3660),
        ("1h1m1s", 3661),
        ("1s500ms", 1.5),
    ],
)
def test_times(text: str, seconds: float) -> None:
    budget = parse_budget(text, n_units=10**6, frame_time_s=0.25)
    assert budget.n_readings == seconds * 4
    assert budget.reading_time_s == 0.25
    assert budget.acquisition_time_s == seconds


def test_time_is_divided_exactly() -> None:
    # In binary floating point 0.3 / 0.1 is 2.9999…
    assert parse_budget("300ms", n_units=100, frame_time_s=0.1).n_readings == 3
    assert parse_budget("7s", n_units=100, frame_time_s=0.7).n_readings == 10


def test_more_time_than_needed_measures_everything() -> None:
    assert parse_budget("1h", n_units=100, frame_time_s=1.0).n_readings == 100


def test_thousands_are_separated_by_commas() -> None:
    assert parse_budget("1,024", n_units=4096).n_readings == 1024
    assert parse_budget("1,024,000", n_units=2**20).n_readings == 1_024_000


def test_frames_of_pairs() -> None:
    budget = parse_budget("1024 frames", n_units=4096, unit_name="coefficient", frames_per_unit=2, frame_time_s=0.01)
    assert budget.n_readings == 512
    assert budget.reading_time_s == 0.02
    assert parse_budget("1s", n_units=4096, frames_per_unit=2, frame_time_s=0.01).n_readings == 50


@settings(deadline=None)  # a busy machine is no failure
@given(st.integers(1, 10**6), st.fractions(1, 1000).map(lambda share: round(share, 3)))
def test_acceleration_is_never_exceeded(n_units: int, acceleration: Fraction) -> None:
    text = f"{float(acceleration):.3f}x"
    exact = n_units / Fraction(text[:-1])
    if exact < 1:
        with pytest.raises(BudgetError, match="less than one"):
            parse_budget(text, n_units=n_units)
        return
    n_readings = parse_budget(text, n_units=n_units).n_readings
    assert n_readings <= exact < n_readings + 1


@pytest.mark.parametrize(
    ("text", "settings", "message"),
    [
        ("0.5x", {}, "measures more than everything"),
        ("0x", {}, "measures more than everything"),
        ("0", {}, "no reading at all"),
        ("0%", {}, "no reading at all"),
        ("0s", {"frame_time_s": 1.0}, "no reading at all"),
        ("257", {}, "257 is more than the 256 that there are"),
        ("101%", {}, "is more than the 256 that there are"),
        ("257x", {}, "less than one line of 256"),
        ("0.1%", {}, "less than one line of 256"),
        ("16", {"n_calibration": 17}, "calibration region takes 17 readings, the whole budget is 16"),
        ("5 frames", {"frames_per_unit": 2}, "5 frames can't be made of lines of 2 frames each"),
        ("1ms", {"frame_time_s": 0.5}, "shorter than one reading of 0.5 s"),
        ("2min", {}, "time per reading isn't known"),
        ("2min", {"frame_time_s": 0.0}, "time per frame is 0.0 s"),
        ("2min", {"frame_time_s": -1.0}, "time per frame is -1.0 s"),
        ("4x", {"frame_time_s": float("nan")}, "time per frame is nan s"),
        ("4x", {"frame_time_s": float("inf")}, "time per frame is inf s"),
        *[
            (text, {"frame_time_s": 1.0}, "can't be understood")
            for text in (
                "",
                "x",
                "%",
                "many",
                "4y",
                "64 points",
                "-4",
                "1.5",
                "2,5x",
                "1,02",
                "2m30",
                "4x4",
                "1e3",
                "4 %x",
            )
        ],
    ],
)
def test_what_cannot_be_met_is_refused(text: str, settings: dict[str, Any], message: str) -> None:
    with pytest.raises(BudgetError, match=message) as caught:
        parse_budget(text, n_units=256, unit_name="line", **settings)
    assert caught.value.remedy


def test_derived_quantities() -> None:
    budget = Budget(64, 256, n_calibration=16, reading_time_s=0.5)
    assert budget.acceleration == 4
    assert budget.fraction == 0.25
    assert budget.acquisition_time_s == 32
    assert Budget(64, 256).acquisition_time_s is None


def test_spec_rebuilds_the_budget() -> None:
    budget = Budget(64, 256, 16, 0.5)
    spec: dict[str, Any] = budget.spec()
    assert Budget(**spec) == budget


@pytest.mark.parametrize("reading_time_s", [0.0, -1.0, float("nan")])
def test_reading_time_must_be_positive(reading_time_s: float) -> None:
    with pytest.raises(BudgetError, match="time per reading"):
        Budget(1, 4, reading_time_s=reading_time_s)


LIT = {"n_units": 4096, "unit_name": "coefficient", "frames_per_unit": 2, "frame_time_s": 1e-4}


@pytest.mark.parametrize(
    ("text", "n_readings"),
    [
        ("1e6 photons", 500),  # 2000 a frame with all mirrors on, and a pair is one frame's worth
        ("1,000,000 photo-electrons", 500),
        ("2.5e4photons", 12),
        ("1e9 photons", 4096),
        ("10ms light", 100),
        ("10ms of light", 100),
        ("3uJ", 15),  # 3 µJ / 2 mW = 1.5 ms
        ("3 µJ", 15),
        ("0.003 mJ", 15),
    ],
)
def test_light(text: str, n_readings: int) -> None:
    light = Light(1.0, electrons=2000.0, power_w=2e-3)
    assert parse_budget(text, **LIT, light=light).n_readings == n_readings


def test_light_of_frames_that_decode_all_the_others() -> None:
    light = Light(0.5, n_reference=8, electrons=1000.0)
    given = {**LIT, "frames_per_unit": 1, "light": light}
    budget = parse_budget("1e5 photons", **given)
    assert budget.n_readings == 192  # 8 whole frames and 184 halves
    assert light.frames_of(192) == 100
    assert parse_budget("1ms light", **given).n_readings == 12


@pytest.mark.parametrize(
    ("text", "given", "message"),
    [
        ("1e6 photons", {"light": None}, "nothing is lit"),
        ("1e6 photons", {"light": Light(1.0)}, "needs images"),
        ("10 photons", {}, "less than one coefficient"),
        ("3uJ", {}, "power on the sample isn't known"),
        ("1ms light", {"frame_time_s": None}, "time of a frame isn't known"),
        ("bright light", {}, "can't be understood"),
        ("1e999 photons", {}, "can't be understood"),
    ],
)
def test_light_that_cannot_be_is_refused(text: str, given: dict[str, Any], message: str) -> None:
    with pytest.raises(BudgetError, match=message):
        parse_budget(text, **{**LIT, "light": Light(1.0, electrons=2000.0), **given})


def test_more_readings_than_units_need_repeats() -> None:
    assert parse_budget("200%", n_units=256, allows_repeats=True).n_readings == 512
    assert parse_budget("1h", n_units=256, frame_time_s=1.0, allows_repeats=True).n_readings == 3600
    with pytest.raises(BudgetError, match="designer that repeats"):
        parse_budget("200%", n_units=256)
    budget = Budget(300, 256, allows_repeats=True)
    assert Budget(**budget.spec()) == budget
    assert "allows_repeats" not in Budget(200, 256).spec()
