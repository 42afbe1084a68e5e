"""Detector traces of other programs: files, frames cut from a signal, what got lost, and drift."""

from __future__ import annotations

import zlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import scipy.io
from builders.plans import make_plan
from builders.sensing import dmd

from acqplan.core.errors import AcqplanError, AcquisitionError, PatternMismatch, RecipeError
from acqplan.formats.lookup import for_acquired
from acqplan.modalities.dmd.formats.trace import Trace
from acqplan.modalities.dmd.traces.cutting import by_rate, by_trigger, rising_edges
from acqplan.modalities.dmd.traces.detector import Detector
from acqplan.modalities.dmd.traces.files import Table, read_table, write_table
from acqplan.modalities.dmd.traces.reading import read_frames
from acqplan.modalities.dmd.traces.settings import TraceSettings, frame_numbers, layout
from acqplan.plan.plan import Plan
from acqplan.sensing.budget import Budget
from acqplan.sensing.measurement import coefficients_of

N = 24
FRAMES = 2 * N
FRAME_US = 100.0
RATE = 200_000.0  # 20 samples a frame


@pytest.fixture(scope="module")
def plan() -> Plan:
    return make_plan(dmd(8, 8), np.random.default_rng(3).permutation(64)[:N], reading_time_s=2e-6 * FRAME_US)


@pytest.fixture
def values(plan: Plan) -> np.ndarray[Any, Any]:
    """One value per frame."""
    image = np.random.default_rng(1).random((8, 8)).astype(np.float32) * 1000
    return np.asarray(plan.simulate(image, seed=2).readings).ravel().astype(np.float64)


def signal_of(values: Any, *, missed: tuple[int, ...] = (), lead: int = 7) -> tuple[Any, Any]:
    """(signal, trigger) of 20 samples a frame; the first four of each are still those of the frame before."""
    per_frame = round(RATE * FRAME_US * 1e-6)
    signal = np.repeat(np.append(values[0], values), per_frame)[per_frame - lead :]
    trigger = np.zeros(signal.size)
    for frame in range(len(values)):
        start = lead + frame * per_frame
        signal[start : start + 4] = values[frame - 1] if frame else 0
        if frame not in missed:
            trigger[start : start + 3] = 5.0
    return signal, trigger


def read(plan: Plan, path: Path, **options: Any) -> Any:
    return Trace(**options).read_acquired(path, plan)


CONTINUOUS: dict[str, Any] = {"sample_rate_hz": RATE, "settling_us": 20, "signal": "ai0", "trigger": "ai1"}


@pytest.mark.parametrize("suffix", ["csv", "npz", "h5", "mat", "v73.mat"])
def test_a_continuous_trace_with_a_trigger_gives_the_frames(
    plan: Plan, values: Any, suffix: str, tmp_path: Path
) -> None:
    signal, trigger = signal_of(values)
    path = tmp_path / f"daq.{suffix}"
    arrays = {"ai0": signal, "ai1": trigger, "time": np.arange(signal.size) / RATE}
    if suffix == "npz":
        np.savez(path, **arrays)
    elif suffix == "v73.mat":
        with h5py.File(path, "w", userblock_size=512) as file:
            for name, array in arrays.items():
                file[name] = array[None]
        with path.open("r+b") as stream:
            stream.write(b"MATLAB 7.3 MAT-file, Platform: GLNXA64".ljust(512))
    else:
        write_table(Table(arrays), path)
    back = read(plan, path, **CONTINUOUS)
    assert back.readings.ravel() == pytest.approx(values, rel=1e-6)
    assert back.facts.frames.interval_s == pytest.approx(FRAME_US * 1e-6)
    assert back.facts.frames.samples == 16
    assert not back.states_pattern
    with pytest.raises(PatternMismatch, match="doesn't say"):
        plan.reconstruct(back)


def test_settling_time_is_left_out(plan: Plan, values: Any, tmp_path: Path) -> None:
    signal, trigger = signal_of(values)
    write_table(Table({"ai0": signal, "ai1": trigger}), tmp_path / "daq.h5")
    back = read(plan, tmp_path / "daq.h5", **{**CONTINUOUS, "settling_us": 15})  # 3 of the 4 samples
    assert np.abs(back.readings.ravel() / values - 1).max() > 0.001
    with pytest.raises(AcquisitionError, match="none of them after 20 samples of settling"):
        read(plan, tmp_path / "daq.h5", **{**CONTINUOUS, "settling_us": 100})


def test_a_known_rate_gives_the_frames(plan: Plan, values: Any, tmp_path: Path) -> None:
    signal, _ = signal_of(values)
    np.save(tmp_path / "daq.npy", signal.astype(np.float32))
    how = {"sample_rate_hz": RATE, "frame_time_us": FRAME_US, "start_us": 35, "settling_us": 20}
    back = read(plan, tmp_path / "daq.npy", **how)
    assert back.readings.ravel() == pytest.approx(values, rel=1e-6)
    with pytest.raises(AcquisitionError, match=r"enough for 47 frames of 100 µs; the plan shows 48"):
        read(plan, tmp_path / "daq.npy", **{**how, "start_us": 45})


def test_missed_triggers_are_named_and_their_units_not_measured(plan: Plan, values: Any, tmp_path: Path) -> None:
    signal, trigger = signal_of(values, missed=(4, 31))
    write_table(Table({"ai0": signal, "ai1": trigger}), tmp_path / "daq.h5")
    back = read(plan, tmp_path / "daq.h5", **CONTINUOUS)
    assert back.facts.frames.dropped == (4, 31)
    assert np.array_equal(back.order, np.delete(plan.pattern.order, [2, 15]))
    expected = np.delete(values.reshape(-1, 2), [2, 15], axis=0)
    assert back.readings == pytest.approx(expected, rel=1e-6)
    with pytest.raises(PatternMismatch, match="doesn't say"):
        plan.reconstruct(back)
    _, counts = coefficients_of(back, plan.pattern, plan.sensing)
    assert counts[0, plan.pattern.order[[2, 15]].astype(np.int64)].tolist() == [0, 0]
    assert plan.reconstruct(back, assume_plan=True).shape == (8, 8)


def test_a_spurious_trigger_is_passed_over(plan: Plan, values: Any, tmp_path: Path) -> None:
    signal, trigger = signal_of(values)
    trigger[7 + 20 * 5 + 10] = 5
    write_table(Table({"ai0": signal, "ai1": trigger}), tmp_path / "daq.h5")
    back = read(plan, tmp_path / "daq.h5", **CONTINUOUS)
    assert back.readings.ravel() == pytest.approx(values, rel=1e-6)
    assert back.facts.frames.spurious_triggers == 1


def test_a_noisy_trigger_has_one_edge_a_frame() -> None:
    rng = np.random.default_rng(0)
    clean = np.tile(np.repeat([0.0, 3.3], [10, 10]), 50)
    edges = rising_edges(clean + 0.1 * rng.standard_normal(clean.size), None, "t")
    assert np.array_equal(edges, 10 + 20 * np.arange(50))
    with pytest.raises(AcquisitionError, match="never rises"):
        rising_edges(np.zeros(100), None, "t")


def test_frames_by_rate_follow_a_rate_that_is_no_whole_number() -> None:
    signal = np.arange(1000, dtype=np.float64)
    frames = by_rate(signal, n_frames=75, sample_rate_hz=40e3, frame_time_s=1 / 3000, source="t")
    middle = (np.arange(75) + 0.5) * 40 / 3 - 0.5
    assert np.abs(frames.values - middle).max() <= 0.5  # no drift along the trace


def test_whole_number_signals_are_summed_without_overflow() -> None:
    signal = np.full(4000, 60000, dtype=np.uint16)
    frames = by_trigger(signal, np.arange(0, 4000, 1000), sample_rate_hz=1.0, full_scale=65535, source="t")
    assert frames.values.tolist() == [60000.0] * 4
    assert frames.saturated.size == 0


@pytest.mark.parametrize("suffix", [".csv", ".h5", ".mat"])
def test_a_row_that_is_missing_is_a_dropped_frame(plan: Plan, values: Any, suffix: str, tmp_path: Path) -> None:
    kept = np.delete(np.arange(FRAMES), [9])
    write_table(Table({"frame": kept.astype(float), "signal": values[kept]}), tmp_path / f"t{suffix}")
    back = read(plan, tmp_path / f"t{suffix}", frame_numbers="frame")
    assert back.facts.frames.dropped == (9,)
    assert np.array_equal(back.order, np.delete(plan.pattern.order, 4))


def test_a_doubled_row_isnt_measured(plan: Plan, values: Any, tmp_path: Path) -> None:
    numbers = np.sort(np.append(np.arange(FRAMES), 3))
    write_table(Table({"frame": numbers.astype(float), "signal": values[numbers]}), tmp_path / "t.csv")
    back = read(plan, tmp_path / "t.csv")
    assert back.facts.frames.repeated == (3,)
    assert np.array_equal(back.order, np.delete(plan.pattern.order, 1))


def test_saturated_frames_arent_measured(plan: Plan, values: Any, tmp_path: Path) -> None:
    counts = np.round(values / values.max() * 4000).astype(np.uint16)
    counts[[6, 40]] = 4095
    np.save(tmp_path / "t.npy", counts)
    Detector(adc_bits=12).save(tmp_path / "pmt.json")
    back = for_acquired(tmp_path / "t.npy", None, {"detector": str(tmp_path / "pmt.json")})
    acquisition = back.read_acquired(tmp_path / "t.npy", plan)
    assert acquisition.facts.frames.saturated == (6, 40)
    assert acquisition.facts.saturated == (3, 20)
    assert np.array_equal(acquisition.order, np.delete(plan.pattern.order, [3, 20]))
    counts[:20] = 4095
    np.save(tmp_path / "t.npy", counts)
    with pytest.raises(AcquisitionError, match=r"21 of 48 frames at the end of the detector's range: 11 of 24"):
        back.read_acquired(tmp_path / "t.npy", plan)


def test_saturation_of_one_sample_marks_its_frame(plan: Plan, values: Any, tmp_path: Path) -> None:
    signal, trigger = signal_of(values)
    signal[7 + 20 * 10 + 12] = 1e9
    write_table(Table({"ai0": signal, "ai1": trigger}), tmp_path / "daq.h5")
    assert read(plan, tmp_path / "daq.h5", **CONTINUOUS, saturation=1e8).facts.frames.saturated == (10,)


def test_a_detector_gives_photo_electrons(plan: Plan, values: Any, tmp_path: Path) -> None:
    detector = Detector(gain_adu_per_e=0.25, offset_adu=100, dark_current_e_per_s=2e5, background_e_per_s=1e5)
    np.save(tmp_path / "t.npy", 100 + 0.25 * (values + 3e5 * 1e-4))
    detector.save(tmp_path / "pmt.json")
    back = read(plan, tmp_path / "t.npy", detector=str(tmp_path / "pmt.json"))  # 100 µs is the plan's picture time
    assert back.readings.ravel() == pytest.approx(values, rel=1e-5, abs=1e-3)
    unknown = replace(plan, budget=Budget(N, 64, 0))
    with pytest.raises(RecipeError, match="nothing says how long a frame lasts"):
        read(unknown, tmp_path / "t.npy", detector=str(tmp_path / "pmt.json"))


def test_dark_frames_give_the_offset(plan: Plan, values: Any, tmp_path: Path) -> None:
    shown = np.concatenate([np.full(5, 37.0), values + 37, np.full(3, 37.0)])
    np.save(tmp_path / "t.npy", shown)
    back = read(plan, tmp_path / "t.npy", dark_frames="0,1,2,3,4,53,54,55")
    assert back.readings.ravel() == pytest.approx(values, rel=1e-5, abs=1e-3)


def with_references(values: Any, every: int, reference: float, lamp: Any) -> Any:
    shown: list[float] = []
    for start in range(0, len(values), every):
        shown.extend([reference, *values[start : start + every]])
    shown.append(reference)
    return np.array(shown) * lamp(np.arange(len(shown)))


def test_reference_frames_correct_the_drift(plan: Plan, values: Any, tmp_path: Path) -> None:
    def lamp(frame: Any) -> Any:
        return 1 - 0.004 * frame

    shown = with_references(values, 8, values[:2].sum(), lamp)
    np.save(tmp_path / "t.npy", shown)
    numbers = list(range(0, len(shown), 9))
    back = read(plan, tmp_path / "t.npy", reference_frames=numbers)
    ratio = back.readings.ravel() / values
    assert np.ptp(ratio[values > 1]) < 1e-5
    assert back.facts.drift_corrected == "references"
    raw = read(plan, tmp_path / "t.npy", reference_frames="::9", drift="none")
    assert np.ptp(raw.readings.ravel()[values > 1] / values[values > 1]) > 0.1
    dark = shown.copy()
    dark[numbers] = 0
    np.save(tmp_path / "t.npy", dark)
    with pytest.raises(AcquisitionError, match="reference frames that are dark"):
        read(plan, tmp_path / "t.npy", reference_frames="::9")


def test_sums_of_pairs_correct_the_drift(plan: Plan, tmp_path: Path) -> None:
    image = np.random.default_rng(1).random((8, 8)).astype(np.float32) * 1000
    clean = plan.sensing(find_tensor(image))[0].numpy()[plan.pattern.order].ravel()
    np.save(tmp_path / "t.npy", clean * (1 - 0.004 * np.arange(FRAMES)))
    back = read(plan, tmp_path / "t.npy", drift="pairs")
    ratio = (back.readings.ravel() / np.maximum(clean, 1e-9))[clean > 100]
    assert np.ptp(ratio) < 2e-3
    np.save(tmp_path / "t.npy", np.zeros(FRAMES))
    with pytest.raises(AcquisitionError, match="no light in its"):
        read(plan, tmp_path / "t.npy", drift="pairs")


def find_tensor(image: Any) -> Any:
    import torch

    return torch.from_numpy(image)[None]


def test_frame_sets() -> None:
    assert frame_numbers("0:4", 10, "x").tolist() == [0, 1, 2, 3]
    assert frame_numbers("2::3", 10, "x").tolist() == [2, 5, 8]
    assert frame_numbers([7, 1], 10, "x").tolist() == [1, 7]
    assert frame_numbers("3, 5", 5, "x").tolist() == [3, 5]
    assert frame_numbers("8:10", 5, "x").tolist() == [8, 9]
    for wrong in ("a", "1:2:0", "-3", "1,", True, [1.5], [-1]):
        with pytest.raises(RecipeError, match="Write them as"):
            frame_numbers(wrong, 10, "x")  # type: ignore[arg-type]


def test_the_layout_leaves_exactly_the_patterns_frames() -> None:
    for n in (1, 7, 48, 1000):
        shown = layout(TraceSettings(dark_frames="0:16", reference_frames="16::65"), n)
        assert shown.pattern.size == n
        assert sorted([*shown.pattern, *shown.dark, *shown.reference]) == list(range(shown.total))
    every = TraceSettings(reference_frames="::9")
    assert layout(every, 48).total == 54
    assert layout(every, 48, 55).total == 55  # one more after the pattern
    assert layout(every, 48, 56).total == 54
    assert layout(TraceSettings(dark_frames=[48, 49]), 48).total == 50
    with pytest.raises(RecipeError, match="both dark and reference"):
        layout(TraceSettings(dark_frames=3, reference_frames="::3"), 10)
    with pytest.raises(RecipeError, match="leave none"):
        layout(TraceSettings(dark_frames="::1"), 10)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"trigger": "ai1"}, "no sample rate"),
        ({"sample_rate_hz": 1e6}, "needs a trigger"),
        ({"sample_rate_hz": -1, "frame_time_us": 5}, "sample_rate_hz is -1"),
        ({"settling_us": "long"}, "settling_us is 'long'"),
        ({"drift": "often"}, "drift is 'often'"),
        ({"drift": "references"}, "none are named"),
        ({"signal": [1]}, "signal is"),
    ],
)
def test_wrong_settings(options: dict[str, Any], says: str) -> None:
    with pytest.raises(RecipeError, match=says):
        Trace(**options)


def test_an_unknown_option_is_named(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("1\n2\n")
    with pytest.raises(RecipeError, match="Did you mean 'settling_us'"):
        for_acquired(tmp_path / "t.csv", None, {"setling_us": 5})


def test_a_wrong_variable_name_lists_the_right_ones(plan: Plan, values: Any, tmp_path: Path) -> None:
    scipy.io.savemat(tmp_path / "t.mat", {"photodiode": values, "note": "text", "cells": np.array([{}], dtype=object)})
    with pytest.raises(AcquisitionError, match=r"called 'pmt'; it has photodiode \(48,\)"):
        read(plan, tmp_path / "t.mat", signal="pmt")
    assert read(plan, tmp_path / "t.mat").readings.ravel() == pytest.approx(values, rel=1e-6)
    with pytest.raises(AcquisitionError, match="called 'note'"):
        read(plan, tmp_path / "t.mat", signal="note")


def test_truncated_and_hostile_matlab_files(plan: Plan, values: Any, tmp_path: Path) -> None:
    path = tmp_path / "t.mat"
    for compressed in (False, True):
        scipy.io.savemat(path, {"pmt": values, "more": np.arange(3.0)}, do_compression=compressed)
        content = path.read_bytes()
        for length in (60, 128, 130, 300, len(content) - 1, len(content) - 20):
            path.write_bytes(content[:length])
            with pytest.raises(AcquisitionError):
                read(plan, path)
    bomb = zlib.compress(bytes(1 << 20), 9)
    element = np.array([15, len(bomb)], "<u4").tobytes() + bomb
    path.write_bytes(content[:128] + element)
    with pytest.raises(AcquisitionError):
        read(plan, path)
    rng = np.random.default_rng(0)
    for _ in range(60):
        spoilt = bytearray(content)
        for place in rng.integers(0, len(spoilt), 4):
            spoilt[place] = rng.integers(256)
        path.write_bytes(bytes(spoilt))
        try:
            read(plan, path)
        except AcqplanError:
            continue


def test_a_zip_bomb_in_a_matlab_file_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("acqplan.modalities.dmd.traces.files.MAX_BYTES", 1 << 20)
    scipy.io.savemat(tmp_path / "t.mat", {"pmt": np.zeros(1 << 18)}, do_compression=True)
    with pytest.raises(AcquisitionError, match="unpacks to too much"):
        read_table(tmp_path / "t.mat")


def test_links_out_of_an_hdf5_file_arent_followed(plan: Plan, values: Any, tmp_path: Path) -> None:
    with h5py.File(tmp_path / "secret.h5", "w") as file:
        file["signal"] = values
    with h5py.File(tmp_path / "t.h5", "w") as file:
        file["signal"] = h5py.ExternalLink("secret.h5", "signal")
    with pytest.raises(AcquisitionError, match=r"called 'signal'; it has none"):
        read(plan, tmp_path / "t.h5", signal="signal")


def test_a_detector_file_comes_back(tmp_path: Path) -> None:
    detector = Detector(2.5, 100, 3, 50, 7, 60000, 16, 1e-4, {"gain_adu_per_e": 0.01}, {"levels": 5})
    detector.save(tmp_path / "d.json")
    assert Detector.load(tmp_path / "d.json") == detector


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("{", "no detector file"),
        ("[]", "no detector file"),
        ('{"format": "acqplan-detector", "format_version": 9}', "format version 9"),
        ('{"format": "acqplan-detector", "format_version": 1, "gian": 2}', "unknown key 'gian'"),
        ('{"format": "acqplan-detector", "format_version": 1, "gain_adu_per_e": 0}', "gain_adu_per_e is 0"),
        ('{"format": "acqplan-detector", "format_version": 1, "gain_adu_per_e": NaN}', "gain_adu_per_e is nan"),
        ('{"format": "acqplan-detector", "format_version": 1, "adc_bits": 99}', "adc_bits are 99"),
        ('{"format": "acqplan-detector", "format_version": 1, "offset_adu": 500, "adc_bits": 8}', "below its offset"),
        ('{"format": "acqplan-detector", "format_version": 1, "read_noise_e": "low"}', "read_noise_e is 'low'"),
    ],
)
def test_wrong_detector_files(text: str, says: str, tmp_path: Path) -> None:
    (tmp_path / "d.json").write_text(text)
    with pytest.raises(RecipeError, match=says):
        Detector.load(tmp_path / "d.json")


@pytest.mark.parametrize("samples", [1, 8])
def test_digitised_values_have_the_stated_mean_and_variance(samples: int) -> None:
    detector = Detector(3.0, 100.0, 5.0, 1e4, 0.0, adc_bits=16)
    rng = np.random.default_rng(0)
    expected = np.full((20_000, samples), 400.0)
    adu = detector.digitised(expected, rng, 1e-3, samples).mean(1)
    electrons = detector.electrons(adu, 1e-3)
    variance = float(detector.variance(np.array(400.0), 1e-3))
    assert variance == 400 + 10 + 25
    assert electrons.mean() == pytest.approx(400, abs=4 * np.sqrt(variance / 20_000))
    assert electrons.var() == pytest.approx(variance, rel=0.04)


def test_a_continuous_trace_without_a_rate_is_told_what_it_lacks(tmp_path: Path) -> None:
    np.save(tmp_path / "trace.npy", np.ones(41147, np.float32))
    with pytest.raises(AcquisitionError, match=r"41147 values, the plan shows 1024 frames.*sample_rate_hz"):
        read_frames(tmp_path / "trace.npy", TraceSettings(), 1024)
