"""What goes wrong before data arrive: readouts transformed or cut, coils left out or amplified, too little noise."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from builders import sensing as small
from builders.plans import make_plan
from scipy.ndimage import gaussian_filter

from acqplan.core.math.transforms import fft_centred, ifft_centred
from acqplan.modalities.mri.coils import simulated_maps
from acqplan.modalities.mri.noise import ComplexGaussian
from acqplan.modalities.mri.phase import smooth_phase, with_phase
from acqplan.plan.verification import verify
from acqplan.sensing.acquisition import Scan

SIDE = 64


def drawn_image(seed, side=SIDE):
    """Ellipses with edges as soft as a scanner's that fill much of the field of view, and a smooth phase."""
    random = np.random.default_rng(seed)
    y, x = np.meshgrid(np.linspace(-1, 1, side), np.linspace(-1, 1, side), indexing="ij")
    image = 0.3 * ((x / 0.7) ** 2 + (y / 0.85) ** 2 < 1)
    for _ in range(4):
        (cy, cx), (a, b) = random.uniform(-0.4, 0.4, 2), random.uniform(0.1, 0.4, 2)
        image = image + random.uniform(0.1, 0.4) * (((x - cx) / a) ** 2 + ((y - cy) / b) ** 2 < 1)
    image = gaussian_filter(image, 1.0)
    phase = smooth_phase(1, (side, side), torch.Generator().manual_seed(seed))
    return with_phase(torch.from_numpy(image / image.max()).to(torch.complex64)[None], phase)[0].numpy()


def scan_plan(encoding, seed=0, *, share=0.4, std=0.01, coils=1):
    random = np.random.default_rng(seed)
    sensing = small.mri(encoding, SIDE, SIDE)
    units = sensing.calibration_units(8)
    free = np.setdiff1d(np.arange(sensing.n_units), units)
    others = random.choice(free, int(share * sensing.n_units) - len(units), replace=False)
    plan = make_plan(sensing, np.concatenate([units, others]), units, noise={"std": std})
    return replace(plan, evidence={**plan.evidence, "coils": {"n": coils, "maps": "simulated"}}) if coils > 1 else plan


def acquired(plan, n_coils=1, std=None, seed=0):
    generator = torch.Generator().manual_seed(seed)
    maps = simulated_maps(n_coils, (SIDE, SIDE), generator).numpy() if n_coils > 1 else None
    noise = plan.noise if std is None else ComplexGaussian(std)
    return plan.simulate(drawn_image(seed), noise=noise, coil_maps=maps, seed=seed)


def found(plan, *acquisitions):
    return {each.subject: each for each in verify(plan, Scan(acquisitions, "scan"))}


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("encoding", ["lines", "points"])
def test_what_was_planned_has_no_findings(encoding, seed):
    n_coils = (1, 2, 8)[seed % 3]
    plan = scan_plan(
        encoding, seed, share=(0.5, 0.25, 0.35)[seed % 3], std=(0.005, 0.01, 0.03)[seed // 4], coils=n_coils
    )
    assert found(plan, acquired(plan, n_coils, seed=seed)) == {}


@pytest.mark.parametrize("n_coils", [1, 4])
def test_a_readout_that_was_already_transformed_is_an_error(n_coils):
    plan = scan_plan("lines")
    acquisition = acquired(plan, n_coils)
    image = ifft_centred(torch.from_numpy(acquisition.readings), (-1,)).numpy()
    (finding,) = (
        each for each in found(plan, replace(acquisition, readings=image)).values() if each.severity == "error"
    )
    assert finding.subject == "readout"
    assert "%" in finding.text
    assert "fft -u" in finding.remedy


def volume(plan, n_readout=48, is_transformed_twice=False):
    """Points of a volume: the acquisitions are positions along the readout."""
    sensing = plan.sensing
    readout = np.arange(n_readout) - n_readout / 2
    slices = np.stack([drawn_image(3) * (abs(x) < 0.4 * n_readout) * (1 + 0.3 * np.cos(x)) for x in readout])
    if is_transformed_twice:
        slices = ifft_centred(torch.from_numpy(slices.astype(np.complex64)), (0,)).numpy()
    readings = sensing(torch.from_numpy(slices.astype(np.complex64))).numpy()[:, plan.pattern.order]
    base = acquired(plan)
    return [replace(base, readings=each.astype(np.complex64)) for each in readings]


def test_a_transformed_readout_of_a_volume_is_an_error_too():
    plan = scan_plan("points", std=0.0)
    assert "readout" not in found(plan, *volume(plan))
    assert found(plan, *volume(plan, is_transformed_twice=True))["readout"].severity == "error"


def test_images_of_a_volume_that_have_nothing_to_do_with_each_other_are_no_readout():
    plan = scan_plan("points")
    several = [acquired(plan, seed=seed) for seed in range(36)]
    assert found(plan, *several) == {}


@pytest.mark.parametrize("where", ["start", "end"])
def test_an_asymmetric_echo_is_told_with_its_size_and_cost(where):
    plan = scan_plan("lines")
    acquisition = acquired(plan)
    readings = acquisition.readings.copy()
    readings[..., : 18 if where == "start" else None][..., -18 if where == "end" else None :] = 0
    finding = found(plan, replace(acquisition, readings=readings))["asymmetric echo"]
    assert finding.severity == "warning"
    assert f"18 of {SIDE} samples at the {where}" in finding.text
    assert "NRMSE" in finding.text


def test_an_asymmetric_echo_of_a_volume_is_told():
    plan = scan_plan("points", std=0.0)
    images = volume(plan)
    kspace = fft_centred(torch.from_numpy(np.stack([each.readings for each in images])), (0,)).numpy()
    kspace[:14] = 0
    cut = ifft_centred(torch.from_numpy(kspace), (0,)).numpy()
    lost = [replace(each, readings=readings) for each, readings in zip(images, cut, strict=True)]
    assert "14 of 48 samples at the start" in found(plan, *lost)["asymmetric echo"].text


@pytest.mark.parametrize(("n_coils", "is_told"), [(1, True), (4, True), (8, False), (12, False), (16, False)])
def test_fewer_channels_than_planned_are_told_with_what_they_cost(n_coils, is_told):
    plan = scan_plan("points", coils=8)
    findings = found(plan, acquired(plan, n_coils))
    assert set(findings) == ({"fewer channels"} if is_told else set())
    if is_told:
        assert "the plan was made for 8" in findings["fewer channels"].text
        assert "dB" in findings["fewer channels"].text


def test_a_range_of_channels_is_respected():
    plan = scan_plan("points", coils=6)
    ranged = replace(plan, evidence={**plan.evidence, "coils": {**plan.evidence["coils"], "fewest": 2}})
    told = {n: set(found(ranged, acquired(ranged, n))) for n in (1, 2, 5, 12, 13)}
    assert told == {1: {"fewer channels"}, 2: set(), 5: set(), 12: set(), 13: {"more channels"}}
    assert "the plan was made for 2 to 6" in found(ranged, acquired(ranged, 1))["fewer channels"].text


@pytest.mark.parametrize(("planned", "n_coils"), [(1, 3), (4, 9)])
def test_far_more_channels_are_told_with_what_can_be_done(planned, n_coils):
    finding = found(plan := scan_plan("points", coils=planned), acquired(plan, n_coils))["more channels"]
    assert finding.severity == ("warning" if planned == 1 else "note")  # nothing was lost with several
    assert f"has {n_coils} channels, the plan was made for {planned}:" in finding.text
    assert ("--virtual-coils 4" in finding.remedy) == (planned == 4)
    assert f"--coils {n_coils}" in finding.remedy


@pytest.mark.parametrize("encoding", ["lines", "points"])
@pytest.mark.parametrize("std", [0.0, 0.01])
def test_a_channel_of_another_gain_is_told_and_virtual_coils_arent(encoding, std):
    plan = scan_plan(encoding, coils=4)
    acquisition = acquired(plan, 4, std)
    readings = acquisition.readings.copy()
    readings[:, 2] *= 1000
    finding = found(plan, replace(acquisition, readings=readings))["gain"]
    assert finding.severity == "warning"
    assert "channel 2" in finding.text
    samples = np.moveaxis(acquisition.readings, 1, 0).reshape(4, -1)
    basis = np.linalg.svd(samples, full_matrices=False)[0].conj().T
    virtual = np.moveaxis(np.tensordot(basis, acquisition.readings, (1, 1)), 0, 1).astype(np.complex64)
    assert "gain" not in found(plan, replace(acquisition, readings=virtual, coil_maps=None))


@pytest.mark.parametrize("encoding", ["lines", "points"])
@pytest.mark.parametrize(("std", "is_told"), [(0.05, False), (0.02, False), (0.003, True), (0.0, True)])
def test_far_less_noise_than_planned_is_told(encoding, std, is_told):
    sensing = small.mri(encoding, SIDE, SIDE)
    plan = make_plan(sensing, np.arange(0, sensing.n_units), noise={"std": 0.05})
    findings = found(plan, acquired(plan, std=std))
    assert set(findings) == ({"less noise"} if is_told else set())
    if is_told:
        assert "--noise" in findings["less noise"].remedy


@pytest.mark.parametrize("seed", range(12))
def test_the_sharp_edges_of_a_tight_object_arent_noise(seed):
    y, x = np.meshgrid(np.linspace(-1, 1, SIDE), np.linspace(-1, 1, SIDE), indexing="ij")
    inside = (x / 0.3) ** 2 + (y / 0.35) ** 2 < 1
    image = inside * (1 + 0.5 * ((x - 0.05) ** 2 + (y + 0.05) ** 2 < 0.15**2)) / 1.5
    plan = scan_plan("lines", seed, share=0.25, std=0.002)
    assert found(plan, plan.simulate(image.astype(np.complex64), noise=plan.noise, seed=seed)) == {}
