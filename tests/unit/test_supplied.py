"""What of an image lies in what was measured: a projector, exact for one coil, and shares with the truth."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from builders.plans import make_plan
from builders.sensing import dmd, drawn_pattern, make_sensing, mri, random_image
from builders.trainings import make_recipe

import acqplan
from acqplan.core.errors import OutputError
from acqplan.core.seeding import torch_generator
from acqplan.learning.training import design
from acqplan.modalities.mri.coils.simulated import simulated_maps
from acqplan.reconstructors.supplied import LEAST_GAIN, Shares, measured_part, shares
from acqplan.report.facts import facts, percent, supplied_text
from acqplan.sensing.model import SensingModel
from acqplan.workflow.supplied import supplied_part


def counts_of(sensing: SensingModel, seed: int = 0) -> torch.Tensor:
    return torch.from_numpy(drawn_pattern(sensing, seed).counts.astype(np.float32))[None]


def images_of(sensing: SensingModel, n: int = 2) -> torch.Tensor:
    return torch.stack([random_image(sensing, seed) for seed in range(n)])


@pytest.mark.parametrize("name", ["lines", "lines-odd", "points", "hadamard"])
def test_with_one_coil_it_is_the_projector_on_what_was_measured(name: str) -> None:
    sensing = make_sensing(name)
    counts, images = counts_of(sensing), images_of(sensing)
    part = measured_part(images, counts, sensing)
    assert torch.allclose(measured_part(part, counts, sensing), part, rtol=1e-4, atol=1e-4 * float(part.abs().max()))
    was_measured = (counts > 0)[0]
    of_part, of_images = sensing.coefficients(part), sensing.coefficients(images)
    scale = float(of_images.abs().max())
    assert torch.allclose(of_part[:, was_measured], of_images[:, was_measured], atol=1e-5 * scale)
    assert of_part[:, ~was_measured].abs().max() < 1e-5 * scale
    rest = images - part
    total = sum(each.abs().square().sum() for each in (part, rest))
    assert float(total) == pytest.approx(float(images.abs().square().sum()), rel=1e-4)


def dense(sensing: SensingModel) -> np.ndarray[Any, Any]:
    """AᴴMA as a matrix is of its columns."""
    n = int(np.prod(sensing.image_shape))
    basis = torch.eye(n).to(sensing.image_dtype).reshape(n, *sensing.image_shape)
    return torch.stack([sensing.coefficients(one[None])[0].flatten() for one in basis], 1).numpy()


@pytest.mark.parametrize("model", ["coils", "s-matrix"])
def test_otherwise_it_is_the_least_squares_part(model: str) -> None:
    sensing: SensingModel = dmd(8, 8, scheme="s-matrix")
    if model == "coils":
        sensing = mri("lines", 12, 10)
        sensing = sensing.with_coil_maps(simulated_maps(4, (12, 10), torch_generator(0, "maps")))
    assert not sensing.is_unitary
    counts, images = counts_of(sensing), images_of(sensing)
    weights = sensing.per_unit(counts.clamp(max=1)).expand(1, sensing.n_units, *sensing.coefficient_shape).flatten()
    matrix = dense(sensing)
    gram = matrix.conj().T @ (weights.numpy()[:, None] * matrix)
    expected = np.linalg.solve(gram + LEAST_GAIN * np.eye(len(gram)), gram @ images.flatten(1).numpy().T).T
    found = measured_part(images, counts, sensing).flatten(1).numpy()
    assert np.linalg.norm(found - expected) < 0.01 * np.linalg.norm(expected)


def test_shares_by_hand() -> None:
    sensing = mri("lines", 4, 4)
    counts = torch.tensor([[1.0, 1, 0, 1]])

    def found(image: torch.Tensor, counts: torch.Tensor = counts) -> Shares:
        (each,) = shares(image, image - measured_part(image, counts, sensing), truth, counts, sensing)
        return each

    def of_lines(*amplitudes: complex) -> torch.Tensor:
        """An image whose ky lines have these energies, squared, one sample each."""
        kspace = torch.zeros(1, 1, 4, 4, dtype=torch.complex64)
        kspace[0, 0, :, 1] = torch.tensor(amplitudes, dtype=torch.complex64)
        return sensing.adjoint(sensing.from_grid(kspace))

    truth = of_lines(1, 0, 2, 1)
    right = found(of_lines(1, 0, 1, 1))
    assert (right.supplied, right.missing, right.right, right.recovered) == pytest.approx((1 / 3, 2 / 3, 1, 0.75))
    wrong = found(of_lines(1, 0, 2j, 1))
    assert (wrong.right, wrong.recovered) == pytest.approx((0, -1), abs=1e-6)
    opposite = found(of_lines(1, 0, -2, 1))
    assert (opposite.right, opposite.recovered) == pytest.approx((0, -3), abs=1e-6)
    half = found(of_lines(0, 0, 1 + 1j, 0))
    assert (half.supplied, half.right) == pytest.approx((1, 0.5))
    nothing = found(of_lines(1, 0, 0, 1))
    assert (nothing.supplied, nothing.right, nothing.recovered) == pytest.approx((0, 0, 0), abs=1e-6)
    all_there = found(truth, torch.ones(1, 4))
    assert (all_there.supplied, all_there.right, all_there.recovered) == pytest.approx((0, 0, 0), abs=1e-9)
    assert max(all_there.missing, found(0 * truth).supplied) < 1e-9


@pytest.mark.parametrize("modality", ["mri", "dmd"])
def test_a_plan_tells_what_its_network_supplied(scans: Path, modality: str) -> None:
    plan = design(make_recipe(scans, modality=modality, designer="low-pass"))
    found = plan.evidence["supplied"]
    assert found["n_images"] == plan.evidence["n_test"]
    assert 0 < found["mean"]["supplied"] < found["mean"]["missing"] < 0.5
    assert 0 < found["mean"]["right"] < 1
    assert set(found["subjects"]) == set(plan.evidence["held_out"]["subjects"])
    assert f"{percent(found['mean']['right'])} is right" in dict(facts(plan))["Supplied"]


def test_what_made_the_image_worse_is_said_in_words() -> None:
    mean = {"supplied": 0.034, "missing": 0.04, "right": 0.87, "recovered": 0.8}
    assert supplied_text({"mean": mean, "n_images": 9}) == (
        "3.4 % of the image's energy isn't in what was measured (of the truth's 4 %); of what the network supplied "
        "87 % is right, and 80 % of what was missing is there (9 held-out images)"
    )
    worse = supplied_text({"mean": {**mean, "recovered": -0.82}, "n_images": 9})
    assert "and the image would be nearer to the truth without it (9" in worse


def test_nothing_is_supplied_by_zero_filling() -> None:
    plan = make_plan("lines")
    acquisition = plan.simulate(random_image(plan.sensing).numpy())
    image = plan.reconstruct(acquisition)
    assert np.abs(supplied_part(plan, acquisition, image)).max() < 1e-5 * np.abs(image).max()


def test_reconstruct_writes_a_map_and_says_how_much(tmp_path: Path) -> None:
    plan = make_plan("points", reconstructor="unrolled")
    acquisition = plan.simulate(random_image(plan.sensing).numpy())
    made = acqplan.reconstruct(
        plan, acqplan.Scan([acquisition], "scan"), supplied=tmp_path / "map.h5", part="magnitude"
    )
    assert made.supplied is not None
    assert made.supplied_shares is not None
    image = plan.reconstruct(acquisition)
    expected = supplied_part(plan, acquisition, image)
    assert np.allclose(made.supplied[0], np.abs(expected))
    share = np.linalg.norm(expected) ** 2 / np.linalg.norm(image) ** 2
    assert made.supplied_shares == pytest.approx([share], rel=1e-4)
    assert (tmp_path / "map.h5").exists()
    assert acqplan.reconstruct(plan, acqplan.Scan([acquisition], "scan")).supplied is None
    with pytest.raises(OutputError, match="is named for two results"):
        acqplan.reconstruct(
            plan, acqplan.Scan([acquisition], "scan"), tmp_path / "a.h5", supplied=tmp_path / "." / "a.h5"
        )


def test_units_that_got_lost_count_as_supplied() -> None:
    plan = make_plan("points", np.arange(40))
    acquisition = plan.simulate(random_image(plan.sensing).numpy())
    image = plan.reconstruct(acquisition)
    lost = acqplan.Acquisition(acquisition.readings[1:], None, "scan", acquisition.order[1:])
    assert np.abs(supplied_part(plan, lost, image)).max() > 0.01 * np.abs(image).max()
