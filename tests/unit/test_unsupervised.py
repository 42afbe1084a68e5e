"""Training without the truth: only what was measured reaches the network."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from builders.trainings import interrupt, make_recipe

from acqplan.core.errors import RecipeError
from acqplan.core.following import Follower
from acqplan.learning import training
from acqplan.learning.batches import Batches
from acqplan.learning.objective import Objective, hiding_probability
from acqplan.learning.problem import Problem, build_designer
from acqplan.learning.resolve import resolve
from acqplan.learning.state import TrainingState
from acqplan.learning.training import design
from acqplan.learning.undersampled import undersampled_scans
from acqplan.modalities.mri.sensing import CartesianMRI
from acqplan.plan.recipe import Recipe
from acqplan.reconstructors.losses import Target
from acqplan.reconstructors.reconstructor import Reconstructor

UNSUPERVISED = {"data-consistency": 1.0, "wavelet": 0.002, "tv": 0.005}


def unsupervised(folder: Path, modality: str = "mri", **settings: Any) -> Recipe:
    return make_recipe(
        folder, modality=modality, designer="low-pass", **{"loss": UNSUPERVISED, "reconstructor": "unet", **settings}
    )


def weights(recipe: Recipe) -> torch.Tensor:
    return torch.cat([p.flatten() for p in design(recipe).reconstructor.parameters()])


def change_truth(problem: Problem, *, is_measured: bool) -> None:
    """Add to the (un)measured coefficients of every training image, in place."""
    sensing = problem.sensing
    mask = torch.from_numpy(build_designer(problem).freeze(torch.Generator()).mask)
    chosen = sensing.per_unit((mask == is_measured).float())
    random = torch.Generator().manual_seed(0)
    for record in problem.images.train:
        noise = torch.randn(
            (1, *sensing.image_shape), generator=random, dtype=torch.complex128 if sensing.is_complex else torch.float64
        )
        change = sensing.adjoint(sensing.coefficients(noise) * chosen)[0].numpy()
        object.__setattr__(record, "array", record.array + 0.3 * change)


@pytest.mark.parametrize("modality", ["mri", "dmd"])
def test_what_was_not_measured_changes_nothing(scans: Path, modality: str) -> None:
    """Up to rounding: transforming another image rounds differently."""

    def seen(*, is_measured: bool | None) -> torch.Tensor:
        problem = resolve(unsupervised(scans, modality))
        if is_measured is not None:
            change_truth(problem, is_measured=is_measured)
        state = TrainingState(problem)
        batches = Batches(problem, state.device, undersampled_scans(problem, state.designer))
        return torch.cat([batches.draw(state).coefficients for _ in range(10)])

    original = seen(is_measured=None)
    size = float(original.abs().max())
    assert float((seen(is_measured=False) - original).abs().max()) < 1e-4 * size
    assert float((seen(is_measured=True) - original).abs().max()) > 1e-2 * size


def test_without_its_unmeasured_part_the_same_network_is_trained(
    scans: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    recipe = unsupervised(scans)
    before = weights(recipe)

    def altered(is_measured: bool) -> float:
        def changed(asked: Recipe, preparing: Follower) -> Problem:
            problem = resolve(asked, preparing)
            change_truth(problem, is_measured=is_measured)
            return problem

        monkeypatch.setattr(training, "resolve", changed)
        return float((weights(recipe) - before).norm())

    # Not bit for bit: Adam's first steps magnify rounding where a gradient is nearly zero.
    assert altered(is_measured=False) < 0.02 * altered(is_measured=True)


def test_training_hands_no_truth_to_the_losses(scans: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[torch.Tensor | None] = []
    original = Objective.__call__

    def watched(self: Objective, network: Reconstructor, target: Target, generator: torch.Generator) -> torch.Tensor:
        seen.append(target.truth)
        return original(self, network, target, generator)

    monkeypatch.setattr(Objective, "__call__", watched)
    design(unsupervised(scans))
    assert seen
    assert all(truth is None for truth in seen)
    seen.clear()
    design(unsupervised(scans, loss={"mse": 1.0}))
    assert all(truth is not None for truth in seen)


def test_a_resumed_training_is_the_uninterrupted_one(scans: Path, tmp_path: Path) -> None:
    recipe = unsupervised(scans, loss={"held-back": 1.0})
    path = tmp_path / "run.checkpoint"
    interrupt(recipe, path, 3)
    resumed = design(recipe, checkpoint=path, resume=True)
    assert resumed.plan_id == design(recipe).plan_id


def test_hidden_units_are_measured_ones_outside_calibration_and_the_network_sees_zero_there() -> None:
    sensing = CartesianMRI((12, 12), "points")
    random = torch.Generator().manual_seed(0)
    counts = (torch.rand((1, 144), generator=random) < 0.5).float()
    calibration = torch.zeros(144, dtype=torch.bool)
    calibration[torch.from_numpy(sensing.calibration_units(4).astype(np.int64))] = True
    counts[:, calibration] = 1
    images = torch.randn((3, 12, 12), dtype=torch.complex64, generator=random)
    coefficients = sensing.coefficients(images) * sensing.per_unit(counts) + 0.0
    shown: list[tuple[torch.Tensor, torch.Tensor]] = []

    class Watcher(Reconstructor):
        def forward(self, coefficients: torch.Tensor, counts: torch.Tensor, sensing: Any) -> Any:
            shown.append((coefficients, counts))
            return sensing.adjoint(coefficients)

    Objective({"held-back": 1.0}, calibration, 0.4)(Watcher(), Target(coefficients, counts, sensing), random)
    given, given_counts = shown[0]
    hidden = (counts.expand(3, -1) > 0) & (given_counts == 0)
    assert int(hidden.sum()) > 0
    assert not bool(hidden[:, calibration].any())
    assert bool((given[hidden] == 0).all())
    assert not bool(torch.signbit(torch.view_as_real(given[hidden])).any())
    assert torch.equal(given[~hidden], coefficients[~hidden])
    assert not torch.equal(hidden[0], hidden[1])


def test_units_are_hidden_where_the_pattern_has_holes() -> None:
    mask = torch.zeros(32, 32)
    mask[8:24, 8:24] = 1
    mask[::3, ::3] = 1
    counts, everywhere = mask.reshape(1, -1), torch.ones(1024, dtype=torch.bool)
    found = hiding_probability(counts, everywhere, (32, 32), 0.2).reshape(32, 32)
    assert bool((found[mask == 0] == 0).all())
    assert float(found[16, 16]) == pytest.approx(0.25 * 0.2)  # seldom, but now and then
    assert float(found[0, 0]) > 0.3
    assert float(found.max()) <= 0.9
    full = hiding_probability(torch.ones(1, 1024), everywhere, (32, 32), 0.2)
    torch.testing.assert_close(full, torch.full((1, 1024), 0.2))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"designer": "learned"}, "designer learned learns from fully sampled images"),
        ({"loss": {"mes": 1.0}}, r"no loss kind 'mes'\. Did you mean 'mse'"),
        ({"loss": {"mse": -1.0}}, r"loss\.mse is -1\.0, expected a number of at least 0"),
        ({"loss": {"mse": 0.0}}, "No loss has a weight above 0"),
        ({"hold_back": 1.0}, "hold_back is 1.0"),
    ],
)
def test_impossible_losses_are_refused(scans: Path, settings: dict[str, Any], message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        resolve(make_recipe(scans, **{"designer": "low-pass", "loss": UNSUPERVISED, **settings}))
