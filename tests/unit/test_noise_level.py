"""How noisy data are: from simulation, from acquired readings, and what a network makes of it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from builders.plans import make_plan

from acqplan.modalities.dmd.noise import PoissonGaussian
from acqplan.modalities.dmd.sensing import HadamardDMD
from acqplan.modalities.mri.facts import MriFacts
from acqplan.modalities.mri.noise import ComplexGaussian
from acqplan.modalities.mri.noise_level import noise_level as of_mri
from acqplan.modalities.mri.sensing import CartesianMRI
from acqplan.plan.plan import Plan
from acqplan.reconstructors.unrolled import Unrolled, quietened
from acqplan.sensing.acquisition import Acquisition
from acqplan.sensing.measurement import acquired_noise_level, coefficients_of, measure
from acqplan.sensing.pattern import Pattern


def noise_of(sensing: CartesianMRI | HadamardDMD, noise: ComplexGaussian | PoissonGaussian) -> tuple[float, float]:
    """(told, found) noise of a flat image's coefficients."""
    images = torch.full((64, *sensing.image_shape), 5.0).to(sensing.image_dtype)
    counts = torch.ones(1, sensing.n_units)
    coefficients, told = measure(images, counts, sensing, noise, torch.Generator().manual_seed(1))
    error = (coefficients - sensing.coefficients(images))[:, 1:]
    assert told.noise_level is not None
    assert told.noise_level.shape == (64,)
    return float(told.noise_level[0]), float(error.abs().square().mean().sqrt())


@pytest.mark.parametrize("encoding", ["lines", "points"])
def test_a_simulation_tells_its_noise_of_mri(encoding: str) -> None:
    told, found = noise_of(CartesianMRI((16, 8), encoding), ComplexGaussian(0.3))
    assert told == pytest.approx(0.3)
    assert found == pytest.approx(0.3, rel=0.05)


@pytest.mark.parametrize("scheme", ["pairs", "dc"])
def test_a_simulation_tells_its_noise_of_a_detector(scheme: str) -> None:
    told, found = noise_of(HadamardDMD((8, 8), scheme), PoissonGaussian(100.0, read_noise_e=3.0))
    assert told == pytest.approx(found, rel=0.1)


def test_noise_in_relation_to_the_signal_is_multiplied() -> None:
    assert ComplexGaussian(0.01).times(3).std == pytest.approx(0.03)
    light = PoissonGaussian(200.0, 2.0, 5.0).times(2)
    assert light == PoissonGaussian(50.0, 2.0, 5.0)


def test_acquired_readings_tell_their_noise_by_the_noise_model() -> None:
    sensing, noise = HadamardDMD((8, 8)), PoissonGaussian(100.0, read_noise_e=3.0)
    pattern = Pattern(np.arange(32), 64)
    image = torch.full((1, 8, 8), 5.0)
    readings = noise.sample(sensing(image), generator=torch.Generator().manual_seed(2))[0, :32].numpy()
    acquisition = Acquisition(readings, pattern.digest, "scan.h5")
    expected = ((5.0 * 64 + 2 * 9) / 64) ** 0.5
    assert float(acquired_noise_level(acquisition, pattern, sensing, noise)) == pytest.approx(expected, rel=0.05)


def level_of(plan: Plan, acquisition: Acquisition) -> float:
    coefficients, _ = coefficients_of(acquisition, plan.pattern, plan.sensing)
    level = of_mri(plan, acquisition, plan.sensing.adjoint(coefficients)[0])
    assert level is not None
    return float(level)


def test_an_mri_scan_tells_its_noise_by_its_file_else_by_its_readings_else_by_the_plan() -> None:
    sensing = CartesianMRI((32, 32), "lines")
    plan = make_plan(sensing, np.arange(32), noise={"std": 0.1})
    image = np.zeros((32, 32), np.complex64)
    image[8:24, 8:24] = 1
    sharp = plan.simulate(image, noise=ComplexGaussian(0.001))
    assert level_of(plan, sharp) < 0.05  # the weakest readings allow no more
    noisy = plan.simulate(image, noise=ComplexGaussian(0.4))
    assert level_of(plan, noisy) == pytest.approx(0.4, rel=0.2)
    assert level_of(plan, replace(noisy, facts=MriFacts(noise_std=2.5))) == 2.5
    few = make_plan(sensing, np.arange(14, 18), noise={"std": 0.1})
    assert level_of(few, few.simulate(40 * image)) == pytest.approx(4, rel=0.5)  # of the peak, which blur lowers


def test_more_noise_moves_the_image_farther_from_the_readings() -> None:
    sensing = CartesianMRI((16, 16))
    torch.manual_seed(0)
    network = Unrolled(is_complex=True, stages=2, channels=4, levels=1, knows_noise=True)
    with torch.no_grad():
        for denoiser in network.denoisers:
            torch.nn.init.normal_(denoiser.leave.weight)
    image = torch.randn(1, 16, 16, dtype=torch.complex64)
    counts = torch.ones(1, 256)
    data = sensing.coefficients(image)

    def misfit(level: float | None) -> float:
        told = sensing if level is None else sensing.with_noise_level(torch.tensor([level]))
        with torch.no_grad():
            return float((sensing.coefficients(network(data, counts, told)) - data).abs().square().mean())

    scale = 1.0  # of the image, about
    quiet, usual, noisy = misfit(0.001 * scale), misfit(0.02 * scale), misfit(0.2 * scale)
    assert quiet < usual < noisy
    assert misfit(None) == pytest.approx(usual, rel=0.3)
    assert sensing.noise_level is None


def test_an_empty_background_is_quietened_and_an_image_is_not() -> None:
    torch.manual_seed(3)
    image = 0.01 * torch.randn(1, 32, 32, dtype=torch.complex64)
    image[:, 8:24, 8:24] += 1
    quiet = quietened(image, torch.full((1, 1, 1), 3e-4))
    assert float((quiet - image)[:, 10:22, 10:22].abs().max()) < 1e-4
    assert float(quiet[:, :4].abs().mean()) < 0.3 * float(image[:, :4].abs().mean())
    assert torch.equal(quietened(torch.zeros(1, 8, 8), torch.zeros(1, 1, 1)), torch.zeros(1, 8, 8))
