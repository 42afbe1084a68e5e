"""What MRI data are checked for: grid, channels, calibration, noise and clipping."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from builders import sensing as small
from builders.plans import make_plan

from acqplan.core.math.transforms import ifft_centred
from acqplan.modalities.mri.checks.acquired_noise import _flat_noise, _shells
from acqplan.modalities.mri.checks.samples import distances, outermost, power_of
from acqplan.modalities.mri.facts import MriFacts
from acqplan.modalities.mri.noise import ComplexGaussian
from acqplan.plan.verification import checks_of, verify
from acqplan.reconstructors.unrolled import Unrolled
from acqplan.sensing.acquisition import Acquisition, Geometry, Scan

SIDE, STD = 48, 0.01


def smooth_image(seed=0):
    """Hardly anything beyond the centre of k-space, and a peak of 1."""
    random = np.random.default_rng(seed)
    y = (np.arange(SIDE) - SIDE // 2)[:, None]
    kspace = random.normal(size=(SIDE, SIDE)) + 1j * random.normal(size=(SIDE, SIDE))
    kspace *= np.exp(-(y**2 + y.T**2) / (2 * 4.0**2))
    image = ifft_centred(torch.from_numpy(kspace), (0, 1)).numpy()
    return (image / np.abs(image).max()).astype(np.complex64)


def smooth_maps(n_coils):
    y, x = np.meshgrid(np.linspace(-1, 1, SIDE), np.linspace(-1, 1, SIDE), indexing="ij")
    angles = 2 * np.pi * np.arange(n_coils) / n_coils
    maps = np.stack([np.exp(-((y - np.sin(a)) ** 2 + (x - np.cos(a)) ** 2) / 2 + 1j * a) for a in angles])
    return (maps / np.sqrt((np.abs(maps) ** 2).sum(0))).astype(np.complex64)


def scan_plan(encoding="lines", calibration=8, std=STD, coils=1, **parts):
    """The calibration region first, then every second line or every third point outside it."""
    sensing = small.mri(encoding, SIDE, SIDE)
    units = sensing.calibration_units(calibration)
    others = np.setdiff1d(np.arange(sensing.n_units), units)[:: 2 if encoding == "lines" else 3]
    plan = make_plan(sensing, np.concatenate([units, others]), units, noise={"std": std}, **parts)
    return replace(plan, evidence={**plan.evidence, "coils": {"n": coils, "maps": "simulated"}})


def acquired(plan, n_coils=1, std=STD, seed=0):
    maps = smooth_maps(n_coils) if n_coils > 1 else None
    return plan.simulate(smooth_image(), noise=ComplexGaussian(std), coil_maps=maps, seed=seed)


def subjects(plan, *acquisitions, geometry=None, **facts):
    return {
        (each.severity, each.subject) for each in verify(plan, Scan(acquisitions, "scan", geometry, MriFacts(**facts)))
    }


@pytest.mark.parametrize("encoding", ["lines", "points"])
@pytest.mark.parametrize("n_coils", [1, 4])
def test_what_was_planned_has_no_findings(encoding, n_coils):
    plan = scan_plan(encoding, coils=n_coils)
    acquisition = acquired(plan, n_coils)
    assert subjects(plan, acquisition) == set()
    assert subjects(plan, replace(acquisition, coil_maps=None)) == set()
    assert subjects(plan, acquisition, acquisition, channels=n_coils, noise_std=STD) == set()


@pytest.mark.parametrize(
    ("encoding", "matrix", "severity"),
    [
        ("lines", [SIDE, SIDE, 1], None),
        ("points", [77, SIDE, SIDE], None),
        ("lines", [SIDE, SIDE + 2, 1], "error"),
        ("lines", [2 * SIDE, SIDE, 1], "error"),
        ("lines", [SIDE, SIDE, 4], "error"),
        ("points", [SIDE, SIDE, SIDE // 2], "error"),
    ],
)
def test_another_matrix_is_an_error(encoding, matrix, severity):
    plan = scan_plan(encoding)
    expected = set() if severity is None else {(severity, "matrix")}
    assert subjects(plan, acquired(plan), matrix=matrix) == expected


def test_a_field_of_view_that_contradicts_the_position_is_a_warning():
    for encoding, matrix, sizes in (("lines", [SIDE, SIDE, 1], (3, 2, 9)), ("points", [60, SIDE, SIDE], (3, 2.5, 2))):
        plan = scan_plan(encoding)
        fov = [2.0 * matrix[0], 3.0 * matrix[1], 2.5 * matrix[2]]
        for factor, expected in ((1.0, set()), (1.05, {("warning", "field of view")})):
            affine = np.diag([*sizes, 1.0]) @ np.eye(4)
            affine[1, 1] *= factor
            facts = {"matrix": matrix, "field_of_view_mm": fov, "geometry": Geometry(affine)}
            assert subjects(plan, acquired(plan), **facts) == expected


def test_channels_that_change_or_arent_stated_so_are_errors():
    plan = scan_plan()
    one, four = acquired(plan), acquired(plan, 4)
    assert ("error", "channels") in subjects(plan, one, four)
    assert ("error", "channels") in subjects(plan, four, channels=8)
    wrong = replace(four, coil_maps=four.coil_maps[:3])
    assert ("error", "coil maps") in subjects(plan, wrong)


@pytest.mark.parametrize("encoding", ["lines", "points"])
def test_without_calibration_several_coils_are_an_error(encoding):
    plan = scan_plan(encoding, coils=4)
    acquisition = acquired(plan, 4)
    centre = acquisition.order == plan.sensing.calibration_units(1)[0]
    bare = replace(acquisition, coil_maps=None)
    kept = replace(bare, readings=bare.readings[~centre], order=bare.order[~centre])
    assert subjects(plan, kept) == {("error", "calibration"), ("warning", "missing")}
    with_maps = replace(kept, coil_maps=acquisition.coil_maps)
    assert subjects(plan, with_maps) == {("warning", "missing")}
    narrow = scan_plan(encoding, calibration=2)
    assert ("error", "calibration") in subjects(narrow, replace(acquired(narrow, 4), coil_maps=None))
    assert ("error", "calibration") not in subjects(narrow, acquired(narrow))


@pytest.mark.parametrize("encoding", ["lines", "points"])
def test_a_dead_channel_is_found(encoding):
    plan = scan_plan(encoding, coils=4)
    acquisition = acquired(plan, 4)
    readings = acquisition.readings.copy()
    readings[:, 2] = 0
    dead = replace(acquisition, readings=readings)
    assert subjects(plan, dead) == {("error", "dead channel")}
    assert subjects(plan, replace(dead, coil_maps=None)) == {("warning", "dead channel")}
    random = np.random.default_rng(1)
    readings[:, 2] = STD * random.normal(size=readings[:, 2].shape)
    noisy = verify(plan, Scan([replace(acquisition, readings=readings)], "scan"))
    assert [each.subject for each in noisy] == ["dead channel"]
    assert "channel 2" in noisy[0].text


@pytest.mark.parametrize("encoding", ["lines", "points"])
@pytest.mark.parametrize("scale", [1.0, 1e-6, 3e4])
@pytest.mark.parametrize(("factor", "is_too_much"), [(1.0, False), (1.4, False), (4.0, True)])
def test_more_noise_than_planned_is_a_warning_at_any_scale(encoding, scale, factor, is_too_much):
    plan = scan_plan(encoding)
    acquisition = acquired(plan, std=factor * STD)
    scaled = replace(acquisition, readings=(scale * acquisition.readings).astype(np.complex64))
    expected = {("warning", "noise")} if is_too_much else set()
    assert subjects(plan, scaled) == expected
    assert subjects(plan, scaled, noise_std=factor * STD * scale) == expected


@pytest.mark.parametrize(("span", "factor", "is_told"), [([0.3, 4.0], 4.0, False), ([0.3, 2.0], 8.0, True)])
def test_a_network_that_was_trained_for_more_noise_is_not_warned_of_it(span, factor, is_told):
    told = Unrolled(is_complex=True, stages=1, channels=2, knows_noise=True)
    for network, expected in ((told, is_told), ("unrolled", True)):
        plan = scan_plan(reconstructor=network)
        plan = replace(plan, recipe=plan.recipe.with_settings("training", noise_range=span))
        assert (("warning", "noise") in subjects(plan, acquired(plan, std=factor * STD))) == expected


def test_a_network_that_knows_less_noise_is_not_warned_of_it():
    told = Unrolled(is_complex=True, stages=1, channels=2, knows_noise=True)
    plan = scan_plan(std=0.1, reconstructor=told)
    assert ("warning", "less noise") in subjects(plan, acquired(plan, std=0.01))
    plan = replace(plan, recipe=plan.recipe.with_settings("training", noise_range=[0.1, 1.0]))
    assert subjects(plan, acquired(plan, std=0.01)) == set()


def test_the_images_detail_isnt_taken_for_noise():
    plan = scan_plan("points", std=0.001)
    random = np.random.default_rng(0)
    y = (np.arange(SIDE) - SIDE // 2)[:, None]
    falling = (1 + y**2 + y.T**2) ** -1.0  # of edges and texture: the power falls with the fourth power of the distance
    kspace = falling * (random.normal(size=(SIDE, SIDE)) + 1j * random.normal(size=(SIDE, SIDE)))
    image = ifft_centred(torch.from_numpy(kspace), (0, 1)).numpy()
    image = (image / np.abs(image).max()).astype(np.complex64)
    acquisition = plan.simulate(image, noise=ComplexGaussian(0.0))
    distance = distances(plan, acquisition)
    shell = outermost(distance, 0, 0.25)
    assert np.median(power_of(acquisition)[:, shell]) > (2 * 0.001) ** 2
    assert subjects(plan, acquisition) == set()


@pytest.mark.parametrize("encoding", ["lines", "points"])
def test_the_noise_is_measured(encoding):
    plan = scan_plan(encoding)
    acquisition = acquired(plan, 4, std=0.03)
    found = _flat_noise(_shells(power_of(acquisition), distances(plan, acquisition)))
    assert found == pytest.approx(0.03, rel=0.15)


def test_clipped_readings_are_a_warning():
    plan = scan_plan()
    acquisition = acquired(plan)
    assert subjects(plan, acquisition, saturated=[3, 4]) == {("warning", "saturation")}
    limit = 0.3 * float(np.abs(acquisition.readings).max())
    real, imaginary = (part.clip(-limit, limit) for part in (acquisition.readings.real, acquisition.readings.imag))
    clipped = replace(acquisition, readings=(real + 1j * imaginary).astype(np.complex64))
    assert ("warning", "saturation") in subjects(plan, clipped)
    # A repeat of the strongest reading, or a real image's pair, is no clipping.
    again = np.argmax(np.abs(acquisition.readings).max((1, 2)))
    rows = np.append(np.arange(len(acquisition.readings)), [again] * 9)
    repeated = replace(acquisition, readings=acquisition.readings[rows], order=acquisition.order[rows])
    assert subjects(plan, repeated) == {("note", "repeated")}
    y = np.arange(SIDE)[:, None] - SIDE // 2
    wave = np.cos(2 * np.pi * 2 * y / SIDE) * np.ones((1, SIDE))  # the same at ky = ±2
    real_image = plan.simulate(wave.astype(np.complex64), noise=ComplexGaussian(0.0))
    assert ("warning", "saturation") not in subjects(plan, real_image)


@pytest.mark.parametrize(
    "readings",
    [
        np.zeros((3, 1, SIDE), np.complex64),
        np.zeros((0, 1, SIDE), np.complex64),
        np.zeros(5, np.float32),
        np.zeros((5, 1), np.complex64),
        np.full((5, 3, SIDE), np.nan, np.complex64),
        np.zeros((5, 0, SIDE), np.complex64),
    ],
)
def test_no_check_breaks_on_impossible_data(readings):
    plan = scan_plan()
    for order in (None, np.arange(len(readings), dtype=np.int32), np.full(len(readings), 10**6, np.int32)):
        scan = Scan([Acquisition(readings, plan.pattern.digest, "scan", order)], "scan")
        assert any(each.severity == "error" for check in checks_of(plan) for each in check(plan, scan))
