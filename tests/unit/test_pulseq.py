"""Pulseq files: what is played, against pypulseq's own k-space, labels and timing; limits; damaged files."""

from __future__ import annotations

import hashlib
import json
import re
import sys
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from builders.plans import make_plan

from acqplan.core.errors import AcqplanError, InstrumentError
from acqplan.core.registry import find
from acqplan.formats.export import export
from acqplan.modalities.mri.formats.pulseq import Pulseq
from acqplan.modalities.mri.formats.pulseq.limits import GAMMA_HZ_PER_T, PRESETS
from acqplan.modalities.mri.formats.pulseq.seq_file import read_sequence
from acqplan.plan.plan import Plan
from acqplan.sensing.pattern import Pattern

pypulseq = pytest.importorskip("pypulseq")

TURNED = [[0.8, 0.0, 0.6], [0.36, 0.8, -0.48], [-0.48, 0.6, 0.64]]
FAST: dict[str, Any] = {"dummies": 2, "noise_readouts": 2, "readout_oversampling": 4}
CASES: dict[str, tuple[str, dict[str, Any]]] = {
    "lines": ("lines", {}),
    "lines-1.4": ("lines", {"version": 1.4}),
    "lines-odd": ("lines-odd", {"orientation": "coronal"}),
    "slices": (
        "lines",
        {"slices": 3, "slice_gap_mm": 1, "centre_mm": [7.2, -5.76, 7.68], "rotation": TURNED, "tr_ms": 40},
    ),
    "sequential": ("lines", {"slices": 2, "slice_order": "sequential", "orientation": "sagittal", "tr_ms": 20}),
    "points": ("points", {}),
    "points-1.4": ("points", {"version": "1.4", "rotation": TURNED}),
    "off-centre": ("points", {"centre_mm": [30, -21, 14], "rotation": TURNED, "version": 1.4}),
    "non-selective": ("points", {"selective": False, "te_ms": 5, "fov_mm": [200, 160, 90], "readout": 12}),
}


def written(case: str, folder: Path, **more: Any) -> tuple[Plan, Pulseq, Any, dict[str, Any]]:
    """(plan, instrument, sequence read by pypulseq, manifest)."""
    sensing, options = CASES[case]
    plan, instrument = make_plan(sensing), Pulseq(**FAST, **options, **more)
    export(plan, instrument, folder / "out")
    sequence = pypulseq.Sequence(pypulseq.Opts(rf_dead_time=100e-6, rf_ringdown_time=30e-6, adc_dead_time=20e-6))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        sequence.read(str(folder / "out" / "sequence.seq"))
    return plan, instrument, sequence, json.loads((folder / "out" / "manifest.json").read_text())


@pytest.mark.parametrize("case", CASES)
def test_kspace_by_pypulseq_is_the_plans_pattern_in_its_order(case: str, tmp_path: Path) -> None:
    plan, instrument, sequence, manifest = written(case, tmp_path)
    nx, ny, nz = manifest["matrix"]
    n = nx * manifest["readout_oversampling"]
    fov = np.array(manifest["field_of_view_mm"]) * 1e-3
    k = sequence.calculate_kspace()[0].reshape(3, -1, n)[:, instrument.noise_readouts :]
    k = np.einsum("xl,xrs->lrs", instrument.rotation, k) * fov[:, None, None]
    assert np.abs(k[0] - (np.arange(n) - n // 2) / manifest["readout_oversampling"]).max() < 2e-3
    assert np.ptp(k[1:], axis=2).max() < 2e-3
    places = np.rint(k[1:, :, 0]).astype(int) + np.array([[ny // 2], [nz // 2]])
    assert np.abs(k[1:, :, 0] - np.rint(k[1:, :, 0])).max() < 2e-3
    units = places[0] if plan.sensing.encoding == "lines" else places[0] * nz + places[1]
    labels = sequence.evaluate_labels(evolution="adc")
    slices = labels.get("SLC", np.zeros(len(units) + instrument.noise_readouts))[instrument.noise_readouts :]
    for number in range(manifest["slices"]):
        assert np.array_equal(units[slices == number], plan.pattern.order)


@pytest.mark.parametrize("case", CASES)
def test_labels_by_pypulseq_are_the_plans(case: str, tmp_path: Path) -> None:
    plan, instrument, sequence, manifest = written(case, tmp_path)
    labels = sequence.evaluate_labels(evolution="adc")
    n_noise = instrument.noise_readouts
    assert np.array_equal(labels["NOISE"], np.arange(len(labels["NOISE"])) < n_noise)
    order = plan.pattern.order
    line, partition = (order, 0 * order) if plan.sensing.encoding == "lines" else divmod(order, manifest["matrix"][2])
    calibration = np.isin(order, plan.pattern.calibration)
    average = [np.count_nonzero(order[:i] == unit) for i, unit in enumerate(order)]
    expected = {"LIN": line, "PAR": partition, "AVG": average, "REF": calibration, "IMA": calibration}
    zeros = np.zeros(len(labels["NOISE"]))
    slices = labels.get("SLC", zeros)[n_noise:]
    for number in range(manifest["slices"]):
        for name, values in expected.items():
            assert np.array_equal(labels.get(name, zeros)[n_noise:][slices == number], values), name


@pytest.mark.parametrize("case", CASES)
def test_own_reading_agrees_with_pypulseq(case: str, tmp_path: Path) -> None:
    _, _, sequence, manifest = written(case, tmp_path)
    played = read_sequence(tmp_path / "out" / "sequence.seq")
    k = np.concatenate(
        [start + played.trajectories[kind] for start, kind in zip(played.start, played.trajectory, strict=True)]
    )
    assert np.abs(k.T - sequence.calculate_kspace()[0]).max() < 1e-3 * np.abs(k).max()
    labels = sequence.evaluate_labels(evolution="adc")
    for name, values in played.labels.items():
        assert np.array_equal(values, labels.get(name, np.zeros(len(values)))), name
    assert played.duration == pytest.approx(sequence.duration()[0]) == pytest.approx(manifest["scan_time_s"])
    shapes = [sequence.waveforms_and_times()[0][axis] for axis in range(3)]
    peak = max(np.abs(shape[1]).max() for shape in shapes if shape.size)
    assert played.max_gradient[0] == pytest.approx(peak, rel=1e-6)


@pytest.mark.parametrize("case", CASES)
def test_timing_is_sound_and_te_and_tr_are_as_stated(case: str, tmp_path: Path) -> None:
    _, _, sequence, manifest = written(case, tmp_path)
    assert sequence.check_timing() == (True, [])
    _, _, excitations, _, times = sequence.calculate_kspace()
    n, n_slices = manifest["matrix"][0] * manifest["readout_oversampling"], manifest["slices"]
    centres = times.reshape(-1, n)[manifest["noise_readouts"] :, n // 2]
    excitations = np.array(excitations)
    last = excitations[np.searchsorted(excitations, centres) - 1]
    assert centres - last == pytest.approx(np.full(len(last), manifest["te_ms"] * 1e-3), abs=1.1e-6)
    per_pass = 1 if CASES[case][1].get("slice_order") == "sequential" else n_slices
    assert np.diff(excitations)[::per_pass] * per_pass == pytest.approx(manifest["tr_ms"] * 1e-3, abs=1e-6)
    assert len(excitations) == n_slices * (manifest["dummies"] + manifest["n_readings"])


def test_slices_are_excited_at_their_positions_interleaved(tmp_path: Path) -> None:
    _, _, sequence, manifest = written("slices", tmp_path)
    assert manifest["slice_positions_mm"] == [6, 12, 18]
    assert manifest["slice_order"] == [0, 2, 1]
    pulses = [sequence.get_block(n) for n in sequence.block_events if sequence.get_block(n).rf is not None]
    found = []
    for block in pulses:
        vector = [getattr(block, "g" + axis).amplitude for axis in "xyz"]
        assert np.allclose(np.array(vector) / np.linalg.norm(vector), np.array(TURNED)[:, 2], atol=1e-5)
        found.append(block.rf.freq_offset / np.linalg.norm(vector))
        centre = block.rf.phase_offset + 2 * np.pi * block.rf.freq_offset * block.rf.center
        found_phase = np.degrees(centre) % 360
        number = (len(found) - 1) // 3
        assert (found_phase - 117 * number * (number + 1) / 2 + 1) % 360 == pytest.approx(1, abs=0.1)
    assert np.array(found[:3]) == pytest.approx([6e-3, 18e-3, 12e-3], rel=1e-4)


def test_receiver_follows_the_phase_of_the_pulse(tmp_path: Path) -> None:
    _, _, sequence, _ = written("points", tmp_path)
    phase = None
    for number in sequence.block_events:
        block = sequence.get_block(number)
        if block.rf is not None:
            phase = block.rf.phase_offset
        elif block.adc is not None and phase is not None:
            assert block.adc.phase_offset == pytest.approx(phase, abs=1e-5)


@pytest.mark.parametrize(("case", "more"), [("off-centre", {}), ("lines", {"centre_mm": [11, 23, -31]})])
def test_receiver_is_at_the_centre_of_the_field_of_view(case: str, more: dict[str, Any], tmp_path: Path) -> None:
    """Receiver minus pulse: 2π k(t)·r at every sample, r on the scanner's axes, k by pypulseq."""
    _, instrument, sequence, manifest = written(case, tmp_path, **more)
    n = manifest["matrix"][0] * manifest["readout_oversampling"]
    k = sequence.calculate_kspace()[0].reshape(3, -1, n)[:, instrument.noise_readouts :]
    centre = np.array(manifest["centre_mm"]) * 1e-3
    expected, found, phase = np.einsum("x,xrs->rs", centre, k), [], None
    for block in map(sequence.get_block, sequence.block_events):
        if block.rf is not None:
            phase = block.rf.phase_offset / (2 * np.pi) + block.rf.freq_offset * block.rf.center
        elif block.adc is not None and phase is not None:
            adc = block.adc
            time = (np.arange(n) + 0.5) * adc.dwell
            found.append(adc.phase_offset / (2 * np.pi) + adc.freq_offset * time - phase)
    off = np.array(found) - expected
    assert np.abs(np.exp(2j * np.pi * off) - 1).max() < 0.02
    assert np.abs(expected).max() > 0.5


def test_flip_angle_and_b1(tmp_path: Path) -> None:
    _, _, sequence, manifest = written("points", tmp_path, flip_angle_deg=20)
    pulse = next(b.rf for b in map(sequence.get_block, sequence.block_events) if b.rf is not None)
    assert 360 * np.sum(np.real(pulse.signal)) * 1e-6 == pytest.approx(20, rel=1e-4)
    assert 1e6 * np.abs(pulse.signal).max() / GAMMA_HZ_PER_T == pytest.approx(manifest["b1_peak_ut"], rel=1e-3)


@pytest.mark.parametrize("rotatable", [True, False])
@pytest.mark.parametrize("case", ["lines", "points", "slices"])
def test_gradients_stay_within_the_limits_and_come_near_them(case: str, rotatable: bool, tmp_path: Path) -> None:
    _, instrument, _, manifest = written(case, tmp_path, rotatable=rotatable, max_grad_mt_m=20, max_slew_t_m_s=50)
    which = "vector" if rotatable or case == "slices" else "axis"
    assert 0.8 * 50 < manifest["slew_peak_t_m_s"][which] <= 50.001
    assert manifest["gradient_peak_mt_m"][which] <= 20.001
    if which == "axis":
        assert manifest["slew_peak_t_m_s"]["vector"] > 50
    assert instrument.limits.max_grad_mt_m == 20


def test_definitions(tmp_path: Path) -> None:
    plan, _, sequence, manifest = written("slices", tmp_path)
    stated = sequence.definitions
    assert stated["FOV"] == pytest.approx([0.2, 0.24, 0.017])
    assert list(stated["Matrix"]) == [10, 12, 1]
    assert (stated["kSpaceCenterLine"], stated["kSpaceCenterPartition"], stated["BaseResolution"]) == (6, 0, 10)
    assert stated["SlicePositions"] == pytest.approx([0.006, 0.012, 0.018])
    assert (stated["SliceThickness"], stated["SliceGap"]) == pytest.approx((0.005, 0.001))
    assert (stated["TE"], stated["TR"]) == pytest.approx((manifest["te_ms"] * 1e-3, manifest["tr_ms"] * 1e-3))
    assert (stated["plan_id"], stated["pattern_digest"]) == (plan.plan_id, plan.pattern.digest)


NUMBER = r"(\d+(?:\.\d+)?)"


@pytest.mark.parametrize(
    ("options", "said", "name"),
    [
        ({"te_ms": 1}, "TE of 1 ms is too short: at least N ms", "te_ms"),
        ({"tr_ms": 2}, "TR of 2 ms is too short: at least N ms", "tr_ms"),
        ({"tr_ms": 20, "slices": 4}, "for 4 slices: at least N ms, or at most 2 slices", "tr_ms"),
        ({"slice_thickness_mm": 0.5}, "A slice of 0.5 mm needs .* at least N mm", "slice_thickness_mm"),
        ({"slice_thickness_mm": 0.5}, "A slice of 0.5 mm needs .* rf_duration_ms of at least N", "rf_duration_ms"),
        ({"fov_mm": 1}, "A readout FOV of 1 mm .* at least N mm", "fov_mm"),
        ({"fov_mm": 1}, "A readout FOV of 1 mm .* dwell time of at least N µs", "dwell_us"),
        ({"fov_mm": 1}, "A readout FOV of 1 mm .* .N Hz/px", "bandwidth_hz_per_px"),
        ({"dwell_us": 10.04}, "A dwell time of 10.04 µs isn't on the raster of 100 ns: N µs", "dwell_us"),
        ({"rf_duration_ms": 2.0004}, "The RF pulse of .* RF raster of 1 µs: N ms", "rf_duration_ms"),
        ({"flip_angle_deg": 90, "max_b1_ut": 2}, "The flip angle .* limit is 2 µT: at most N°", "flip_angle_deg"),
        ({"flip_angle_deg": 90, "max_b1_ut": 2}, "The flip angle .* rf_duration_ms of at least N", "rf_duration_ms"),
        ({"readout_oversampling": 1}, "A readout of .* multiple of 4: a readout_oversampling of N", "oversampling"),
        ({"adc_max_samples": 39}, "A readout of .* limit of 39: a readout_oversampling of at most N", "oversampling"),
    ],
)
def test_violation_names_the_nearest_possible_value(options: dict[str, Any], said: str, name: str) -> None:
    """That value is possible, and a value a little worse isn't."""
    plan = make_plan("lines")
    settings: dict[str, Any] = {"tr_ms": 100, **FAST, "adc_samples_divisor": 4, **options}
    problems = [
        problem for problem in Pulseq(**settings).check(plan) if re.search(said.replace("N", NUMBER, 1), problem)
    ]
    assert len(problems) == 1, Pulseq(**settings).check(plan)
    match = re.search(said.replace("N", NUMBER, 1), problems[0])
    assert match is not None
    subject = re.split(r"\d", problems[0])[0]
    value: Any = float(match.group(1))
    if name == "oversampling":
        name, value = "readout_oversampling", int(value)
        if options != {"readout_oversampling": 1}:
            settings["adc_samples_divisor"] = 1
    again = Pulseq(**settings | {name: value}).check(plan)
    assert not any(problem.startswith(subject) for problem in again), (value, again)
    upper = name in ("flip_angle_deg", "bandwidth_hz_per_px")
    worse = value + 1 if isinstance(value, int) else value * (1.02 if upper else 0.98)
    assert "raster" in said or any(
        problem.startswith(subject) for problem in Pulseq(**settings | {name: worse}).check(plan)
    )


def test_every_violation_is_named_at_once(tmp_path: Path) -> None:
    options: dict[str, Any] = {
        "te_ms": 1,
        "tr_ms": 2,
        "slice_thickness_mm": 0.2,
        "dwell_us": 1.05,
        "flip_angle_deg": 170,
        "max_b1_ut": 1,
        "readout_oversampling": 1,
        "adc_max_samples": 4,
        "readout": 11,
        "selective": False,
    }
    problems = Pulseq(**options).check(make_plan("lines"))
    assert len(problems) == 10, problems
    with pytest.raises(InstrumentError, match=r"TE of 1 ms.*TR of 2 ms"):
        export(make_plan("lines"), Pulseq(**options), tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


def test_settings_of_the_other_kind_of_scan_are_refused() -> None:
    points = Pulseq(slices=2, fov_mm=[200, 200]).check(make_plan("points"))
    assert len(points) == 2
    assert len(Pulseq(fov_mm=[200, 200, 100], readout_oversampling=4).check(make_plan("lines"))) == 1


def test_label_range() -> None:
    sensing = find("sensing", "cartesian_mri")((70000, 8), "lines")
    plan = make_plan(sensing, Pattern([0, 69999], 70000))
    problems = Pulseq().check(plan)
    assert any("70000 ky positions don't fit a label of 16 bits" in problem for problem in problems)


@pytest.mark.parametrize(
    "options",
    [
        {"scanner": "mine"},
        {"scanner": 3},
        {"version": "1.3"},
        {"max_grad_mt_m": -1},
        {"max_grad_mt_m": "40"},
        {"max_slew_t_m_s": float("nan")},
        {"grad_raster_us": 7.5},
        {"block_raster_us": 15},
        {"fov_mm": "wide"},
        {"fov_mm": []},
        {"fov_mm": [200, -1]},
        {"rotation": [[1, 0, 0], [0, 1, 0], [0, 0, -1]]},
        {"rotation": [1, 2]},
        {"orientation": "oblique"},
        {"centre_mm": 3},
        {"centre_mm": [1, 2]},
        {"centre_mm": [1, 2, "3"]},
        {"slices": 0},
        {"slices": 1.5},
        {"te_ms": 0},
        {"slice_gap_mm": -1},
        {"slice_order": "random"},
        {"dummies": -1},
    ],
    ids=str,
)
def test_impossible_options_are_one_clear_error(options: dict[str, Any]) -> None:
    with pytest.raises(InstrumentError) as caught:
        Pulseq(**options)
    assert caught.value.remedy


def test_options_replace_the_presets() -> None:
    limits = Pulseq(scanner="generic-1.5T", max_grad_mt_m=45, adc_samples_divisor=1).limits
    assert (limits.max_grad_mt_m, limits.adc_samples_divisor, limits.b0_t) == (45, 1, 1.5)
    assert limits.max_slew_t_m_s == PRESETS["generic-1.5T"].max_slew_t_m_s


def test_signature_is_the_md5_of_what_precedes_it_and_an_edit_is_refused(tmp_path: Path) -> None:
    _, instrument, _, _ = written("lines", tmp_path)
    path = tmp_path / "out" / "sequence.seq"
    content = path.read_bytes()
    body, _, signature = content.partition(b"\n[SIGNATURE]\n")
    assert f"Hash {hashlib.md5(body).hexdigest()}".encode() in signature
    path.write_bytes(content.replace(b"\nTE 0.00", b"\nTE 0.01", 1))
    with pytest.raises(InstrumentError, match="changed since it was written: its signature"):
        instrument.read(tmp_path / "out")
    path.write_bytes(body)
    with pytest.raises(InstrumentError, match="no signed Pulseq file"):
        instrument.read(tmp_path / "out")


@pytest.mark.parametrize(
    ("pattern", "replacement", "said"),
    [
        (r"(?m)^(\d+) (\d+) LIN$", lambda m: f"{m[1]} {(int(m[2]) + 1) % 12} LIN", "labels and k-space positions"),
        (r"(?m)^Matrix .*$", lambda m: "Matrix 12 10 1", "full grid"),
        (r"(?m)^SlicePositions .*$", lambda m: "SlicePositions 0.02", "slice's position"),
        (r"(?m)^plan_id .*$", lambda m: "plan_id 00", "another plan"),
        (r"(?m)^(\d+) 1 REF$", lambda m: f"{m[1]} 0 REF", "REF and IMA"),
        (r"(?m)^Centre .*$", lambda m: "Centre 0 0.03 0", "receiver"),
        (r"(?m)^FOV .*$", lambda m: "FOV 0.1 0.24 0.005", "readout"),
    ],
)
def test_signed_but_other_than_the_plan_is_refused(pattern: str, replacement: Any, said: str, tmp_path: Path) -> None:
    _, instrument, _, _ = written("lines", tmp_path)
    path = tmp_path / "out" / "sequence.seq"
    body = path.read_text().partition("\n[SIGNATURE]\n")[0]
    changed, n = re.subn(pattern, replacement, body)
    assert n
    path.write_text(f"{changed}\n[SIGNATURE]\nType md5\nHash {hashlib.md5(changed.encode()).hexdigest()}\n")
    with pytest.raises(InstrumentError, match=said):
        instrument.read(tmp_path / "out")


def test_missing_pypulseq_names_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pypulseq", None)
    with pytest.raises(AcqplanError, match=r"acqplan\[mri\]"):
        export(make_plan("lines"), Pulseq(**FAST), tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


def test_stimulation_is_predicted_as_the_page_shows(tmp_path: Path) -> None:
    _, _, sequence, _ = written("points", tmp_path)
    hardware = pytest.importorskip("pypulseq.utils.safe_pns_prediction").safe_example_hw()
    page = (Path(__file__).parents[2] / "docs" / "pulseq.md").read_text(encoding="utf-8")
    assert "level, *_ = sequence.calculate_pns(coil, do_plots=False)" in page
    _, level, *_ = sequence.calculate_pns(hardware, do_plots=False)
    assert 0 < level.max() < 1
    assert len(sequence.calculate_gradient_spectrum(plot=False)) == 4


def test_line_ends_of_other_systems_are_brought_to_what_was_signed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written_by_pypulseq = pypulseq.Sequence.write

    def with_carriage_returns(self: Any, name: str, **options: Any) -> None:
        written_by_pypulseq(self, name, **options)
        Path(name).write_bytes(Path(name).read_bytes().replace(b"\n", b"\r\n"))

    monkeypatch.setattr(pypulseq.Sequence, "write", with_carriage_returns)
    written("lines", tmp_path)
    assert b"\r" not in (tmp_path / "out" / "sequence.seq").read_bytes()


def test_the_plans_tr_is_played_or_named(tmp_path: Path) -> None:
    _, _, _, manifest = written("lines", tmp_path)
    assert manifest["tr_ms"] == 10
    assert any("The plan's TR of 10 ms is too short" in text for text in Pulseq(slices=8).check(make_plan("lines")))
