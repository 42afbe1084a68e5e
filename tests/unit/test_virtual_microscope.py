"""The whole loop of every DMD format: export, play the files with faults, verify, reconstruct."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from builders.microscopy import SIDE, low_plan, soft_spots

import acqplan
from acqplan.cli.arguments import options
from acqplan.core.errors import InstrumentError, RecipeError
from acqplan.core.registry import find, kinds
from acqplan.formats.export import export
from acqplan.formats.lookup import for_acquired
from acqplan.images import ImageRecord
from acqplan.modalities.dmd.formats.dmd_format import DmdFormat
from acqplan.modalities.dmd.microscope import Microscope, Recorded, record_trace
from acqplan.modalities.dmd.traces.detector import Detector
from acqplan.modalities.dmd.traces.files import Table, write_table
from acqplan.plan.plan import Plan
from acqplan.plan.verification import Finding, verify
from acqplan.sensing.acquisition import Scan

DETECTOR = Detector(gain_adu_per_e=0.02, offset_adu=120, read_noise_e=20, dark_current_e_per_s=1e6, adc_bits=16)
FORMATS = [kind for kind, cls in kinds("instruments").items() if issubclass(cls, DmdFormat)]
CONTINUOUS = {"samples_per_frame": 10, "settling_us": 10}


def make_record(plan: Plan) -> ImageRecord:
    return ImageRecord(soft_spots(), "test", "test", 0, 1.0, False)


@pytest.fixture(scope="module")
def plan() -> Plan:
    return low_plan(photons=30000)


@pytest.fixture(scope="module")
def folder(plan: Plan, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path: Path = tmp_path_factory.mktemp("exported") / "out"
    export(plan, find("instruments", "dmd-tiff")(device=f"{SIDE}x{SIDE}", scale=1), path)
    return path


def play(plan: Plan, folder: Path, kind: str = "dmd-tiff", seed: int = 0, **faults: Any) -> Recorded:
    instrument = find("instruments", kind)()
    return record_trace(
        plan, instrument, folder, make_record(plan), microscope=Microscope(**faults), detector=DETECTOR, seed=seed
    )


def read(
    plan: Plan, recorded: Recorded, path: Path, **options: Any
) -> tuple[Scan, set[tuple[str, str]], list[Finding]]:
    write_table(recorded.table, path)
    scan = for_acquired(path, None, options).read_scan(path, plan)
    findings = verify(plan, scan)
    return scan, {(each.severity, each.subject) for each in findings}, findings


def error_of(plan: Plan, scan: Scan) -> float:
    """RMS error of the zero-filled image against the one without noise, over the latter's RMS."""
    acquisition = plan.simulate(soft_spots() * plan.noise.image_scale, noise=type(plan.noise)(photons=1e9))
    truth = plan.reconstruct(acquisition)
    image = plan.reconstruct(scan.acquisitions[0])
    return float(np.sqrt(np.mean((image - truth) ** 2) / np.mean(truth**2)))


@pytest.mark.parametrize("kind", FORMATS)
def test_the_loop_of_every_format(plan: Plan, kind: str, tmp_path: Path) -> None:
    faults: dict[str, Any] = CONTINUOUS if kind in ("dmd-tiff", "alp") else {}
    instrument = find("instruments", kind)(device="40x20", scale=1)
    if instrument.check(plan):  # the device is slower than the plan
        instrument = find("instruments", kind)(device="40x20", scale=1, picture_time_us=200)
        faults = {"frame_time_us": 50}
    export(plan, instrument, tmp_path / "out")
    recorded = play(plan, tmp_path / "out", kind, **faults, reference_every=32, dark_frames=8)
    scan, found, _ = read(plan, recorded, tmp_path / "daq.h5")
    assert found == set()
    assert error_of(plan, scan) < 0.05
    recorded = play(plan, tmp_path / "out", kind, **faults, dropped=3, lamp_drift=-0.2)
    scan, found, findings = read(plan, recorded, tmp_path / "faulty.h5")
    assert {("warning", "dropped"), ("warning", "drift"), ("warning", "missing")} == found
    named = next(each.text for each in findings if each.subject == "dropped")
    assert all(str(number) in named for number in recorded.dropped)
    assert scan.acquisitions[0].order is not None
    lost = np.unique(np.array(recorded.dropped) // 2)
    assert np.array_equal(scan.acquisitions[0].order, np.delete(plan.pattern.order, lost))


@pytest.mark.parametrize("scheme", ["pairs", "two-detector", "dc", "s-matrix"])
@pytest.mark.parametrize("faults", [{}, CONTINUOUS], ids=["frames", "continuous"])
def test_every_scheme_is_recorded(scheme: str, faults: dict[str, Any], tmp_path: Path) -> None:
    plan = low_plan(scheme, photons=30000)
    export(plan, find("instruments", "dmd-tiff")(device=f"{SIDE}x{SIDE}", scale=1), tmp_path / "out")
    recorded = play(plan, tmp_path / "out", **faults)
    for suffix in (".csv", ".h5"):
        scan, found, _ = read(plan, recorded, tmp_path / f"daq{suffix}")
        assert found == set()
        assert error_of(plan, scan) < 0.06


def test_readings_have_the_detectors_noise(plan: Plan, folder: Path, tmp_path: Path) -> None:
    image = soft_spots() * plan.noise.image_scale
    exposure_s = 5e-5
    chi = []
    for seed in range(12):
        recorded = play(plan, folder, seed=seed)
        scan, _, _ = read(plan, recorded, tmp_path / f"{seed}.h5")
        readings = np.asarray(scan.acquisitions[0].readings, dtype=np.float64)
        truth = plan.sensing(image_tensor(image))[0].numpy()[plan.pattern.order]
        chi.append(np.mean((readings - truth) ** 2 / DETECTOR.variance(truth, exposure_s)))
    assert np.mean(chi) == pytest.approx(1, abs=0.08)


def image_tensor(image: Any) -> Any:
    import torch

    return torch.from_numpy(np.asarray(image, dtype=np.float32))[None]


@pytest.mark.parametrize(
    ("faults", "options"),
    [({"reference_every": 8}, {}), ({}, {"drift": "pairs"}), ({**CONTINUOUS, "reference_every": 8}, {})],
    ids=["references", "pairs", "continuous references"],
)
def test_drift_is_corrected(plan: Plan, folder: Path, faults: Any, options: Any, tmp_path: Path) -> None:
    recorded = play(plan, folder, **faults, lamp_drift=-0.3, lamp_ripple=0.05)
    scan, found, _ = read(plan, recorded, tmp_path / "daq.h5", **options)
    without, _, _ = read(plan, recorded, tmp_path / "raw.h5", drift="none")
    shape = [np.asarray(plan.reconstruct(each.acquisitions[0])) for each in (scan, without)]
    truth = plan.reconstruct(plan.simulate(soft_spots() * 1e6, noise=type(plan.noise)(photons=1e9)))
    errors = [
        float(np.linalg.norm(each / each.mean() - truth / truth.mean()) / np.linalg.norm(truth / truth.mean()))
        for each in shape
    ]
    assert errors[0] < 0.5 * errors[1]
    assert ("warning", "drift") not in found


def test_saturated_frames_are_named(plan: Plan, folder: Path, tmp_path: Path) -> None:
    recorded = record_trace(
        plan, find("instruments", "dmd-tiff")(), folder, make_record(plan),
        detector=Detector(gain_adu_per_e=0.5, offset_adu=120, saturation_adu=9e5),
    )  # fmt: skip
    values = recorded.table.arrays["signal"]
    expected = np.flatnonzero(values >= 9e5)
    assert 0 < expected.size < 12
    _, found, findings = read(plan, recorded, tmp_path / "daq.h5")
    assert ("warning", "saturated") in found
    text = next(each.text for each in findings if each.subject == "saturated")
    assert str(expected[0]) in text


def test_repeated_readings_are_named(plan: Plan, folder: Path, tmp_path: Path) -> None:
    recorded = play(plan, folder, repeated=2)
    _, found, findings = read(plan, recorded, tmp_path / "daq.csv")
    assert ("warning", "repeated") in found
    assert all(
        str(number) in next(each.text for each in findings if each.subject == "repeated")
        for number in recorded.repeated
    )


def test_a_clock_that_is_off_is_named(plan: Plan, folder: Path, tmp_path: Path) -> None:
    _, found, _ = read(plan, play(plan, folder, **CONTINUOUS, frame_time_us=53), tmp_path / "daq.h5")
    assert found == {("warning", "clock")}


def test_stuck_mirrors_change_the_light(plan: Plan, folder: Path, tmp_path: Path) -> None:
    scans = [read(plan, play(plan, folder, stuck_off=share), tmp_path / f"{share}.h5")[0] for share in (0.0, 0.1)]
    light = [np.asarray(scan.acquisitions[0].readings).sum() for scan in scans]
    assert 0.75 < light[1] / light[0] < 0.98
    recorded = play(plan, folder, stuck_on=0.05, stuck_off=0.05)
    assert recorded.stuck is not None
    assert recorded.stuck.sum() == 2 * round(0.05 * SIDE**2)


def test_the_same_seed_gives_the_same_trace(plan: Plan, folder: Path) -> None:
    first, second, other = (play(plan, folder, seed=seed, dropped=2).table.arrays["signal"] for seed in (1, 1, 2))
    assert np.array_equal(first, second)
    assert not np.array_equal(first, other)


@pytest.mark.parametrize(
    ("faults", "says"),
    [
        ({"lamp_drift": -2}, "lamp_drift is -2"),
        ({"stuck_on": 1.5}, "stuck_on is 1.5"),
        ({"dropped": 0.5}, "dropped is 0.5"),
        ({"samples_per_frame": 0}, "samples_per_frame is 0"),
        ({"trigger": 1}, "trigger is 1"),
        ({"settling_us": 5}, "Only a continuous signal"),
        ({"repeated": 1, "samples_per_frame": 5}, "no repeated readings"),
        ({"dropped": 1, "samples_per_frame": 5, "trigger": False}, "no trigger can be missing"),
    ],
)
def test_impossible_microscopes(faults: dict[str, Any], says: str) -> None:
    with pytest.raises(RecipeError, match=says):
        Microscope(**faults)


@pytest.mark.parametrize("faults", [{"dropped": 5000}, {"dropped": 256}, {"dropped": 200, "repeated": 200}])
def test_more_frames_than_there_are_cant_be_lost(plan: Plan, folder: Path, faults: dict[str, int]) -> None:
    with pytest.raises(RecipeError, match="the pattern has 256 frames"):
        play(plan, folder, **faults)
    assert len(play(plan, folder, dropped=155, repeated=100).dropped) == 155


def test_files_of_another_plan_or_without_frames_arent_played(plan: Plan, folder: Path, tmp_path: Path) -> None:
    with pytest.raises(InstrumentError, match="was exported from plan"):
        play(low_plan(photons=30000, n=100), folder)
    export(plan, find("instruments", "numpy")(), tmp_path / "numpy")
    with pytest.raises(InstrumentError, match="no frames that a DMD shows"):
        play(plan, tmp_path / "numpy", "numpy")


def test_a_trace_without_trigger_says_its_rate(plan: Plan, folder: Path, tmp_path: Path) -> None:
    recorded = play(plan, folder, **CONTINUOUS, trigger=False)
    assert "trigger" not in recorded.table.arrays
    scan, found, _ = read(plan, recorded, tmp_path / "daq.h5")
    assert found == set()
    assert error_of(plan, scan) < 0.05
    bare = Table({"signal": recorded.table.arrays["signal"]})
    write_table(bare, tmp_path / "daq.mat")
    DETECTOR.save(tmp_path / "pmt.json")
    options = {"detector": str(tmp_path / "pmt.json"), "sample_rate_hz": 2e5, "frame_time_us": 50, "settling_us": 10}
    again = for_acquired(tmp_path / "daq.mat", None, options).read_scan(tmp_path / "daq.mat", plan)
    assert again.acquisitions[0].readings == pytest.approx(scan.acquisitions[0].readings, rel=1e-5, abs=1e-2)


@pytest.mark.parametrize("suffix", [".npy", ".mat"])
def test_what_is_said_of_a_file_that_cannot_say_it_reads_it(suffix: str, plan: Plan, tmp_path: Path) -> None:
    np.save(tmp_path / "image.npy", soft_spots())
    DETECTOR.save(tmp_path / "pmt.json")
    trace, detector = tmp_path / f"trace{suffix}", str(tmp_path / "pmt.json")
    made = acqplan.simulate(plan, tmp_path / "image.npy", trace, settings={"detector": detector, "dropped": 2})
    words = " ".join(made.remarks).split()
    told = options([given for flag, given in pairwise(words) if flag == "--option"])
    scan = for_acquired(trace, None, {"detector": detector, **told}).read_scan(trace, plan)
    assert not [each for each in verify(plan, scan, assume_plan=True) if each.severity == "error"]
