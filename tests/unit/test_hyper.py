"""The network with knobs."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import torch
from builders.batches import make_counts, make_images, make_sensing
from builders.networks import make_reconstructor

from acqplan.core.errors import RecipeError
from acqplan.modalities.mri.sensing import CartesianMRI
from acqplan.reconstructors.cascade import Cascade
from acqplan.reconstructors.hyper import Hyper
from acqplan.sensing.measurement import measured


def make_hyper(spread: float = 0.2, **options: Any) -> Hyper:
    made = make_reconstructor("hyper", True, 1, spread=spread, **options)
    assert isinstance(made, Hyper)
    return made


THREE = ("data-consistency", "wavelet", "tv")


def data(n: int = 3) -> tuple[torch.Tensor, torch.Tensor, CartesianMRI]:
    sensing = make_sensing("points")
    assert isinstance(sensing, CartesianMRI)
    counts = make_counts(sensing)
    return measured(sensing.coefficients(make_images(sensing, n)), counts, sensing), counts, sensing


def test_the_shares_are_the_corners_and_sum_to_one() -> None:
    network = make_hyper(losses=THREE)
    corners = {(0.0, 0.3): THREE[0], (1.0, 0.0): THREE[1], (1.0, 1.0): THREE[2]}
    for setting, kind in corners.items():
        shares = network.loss_weights(torch.tensor([setting]))
        assert {name: float(share) for name, share in shares.items()} == {k: float(k == kind) for k in THREE}
    drawn = torch.rand((20, 2), generator=torch.Generator().manual_seed(0))
    total = torch.stack(list(network.loss_weights(drawn).values())).sum(0)
    torch.testing.assert_close(total, torch.ones(20))


@pytest.mark.parametrize("conditioning", ["film", "weights"])
@pytest.mark.parametrize("losses", [("l1", "ssim"), THREE])
def test_each_image_of_a_batch_has_its_own_setting(conditioning: str, losses: tuple[str, ...]) -> None:
    network = make_hyper(conditioning=conditioning, losses=losses)
    coefficients, counts, sensing = data()
    settings = torch.rand((3, len(network.knobs)), generator=torch.Generator().manual_seed(2))
    together = network.at(coefficients, counts, sensing, settings)
    alone = [network.at(coefficients[i : i + 1], counts, sensing, settings[i : i + 1]) for i in range(3)]
    torch.testing.assert_close(together, torch.cat(alone), rtol=1e-3, atol=1e-5)
    swapped = network.at(coefficients, counts, sensing, settings.flip(0))
    assert float((swapped - together)[0].abs().max().detach()) > 1e-3


def test_light_conditioning_is_light() -> None:
    plain = Cascade(True).n_parameters
    assert plain < Hyper(True).n_parameters <= 1.3 * plain
    assert Hyper(True, conditioning="weights").n_parameters > 5 * plain


def test_an_untrained_light_network_ignores_its_knob() -> None:
    network = make_hyper(0.0)
    coefficients, counts, sensing = data()
    ends = [network(coefficients, counts, sensing, knob=torch.tensor([[k]])) for k in (0.0, 1.0)]
    torch.testing.assert_close(ends[0], ends[1])


def test_even_knob_steps_change_the_image_evenly_after_evening_out() -> None:
    network = make_hyper(0.3, losses=("data-consistency", "tv"))  # its penalty runs over decades
    coefficients, counts, sensing = data()

    def unevenness() -> float:
        steps = torch.linspace(0, 1, 21)[:, None]
        images = [network(coefficients, counts, sensing, knob=step[None]) for step in steps]
        sizes = [
            float(((b - a).abs().square().sum((-2, -1)).sqrt() / a.abs().square().sum((-2, -1)).sqrt()).mean())
            for a, b in pairwise(images)
        ]
        return max(sizes) / float(np.mean(sizes))

    with torch.no_grad():
        before = unevenness()
        network.even_out(coefficients, counts, sensing)
        after = unevenness()
    assert after < 1.5 < before
    table = network.setting_of(torch.linspace(0, 1, 50)[:, None])[:, 0]
    assert bool((table.diff() >= 0).all())
    assert float(table[0]) == 0.0
    assert float(table[-1]) == 1.0


def test_no_knob_is_the_middle() -> None:
    network = make_hyper(losses=THREE)
    coefficients, counts, sensing = data()
    middle = network(coefficients, counts, sensing, knob=torch.tensor([[0.5, 0.5]]))
    assert torch.equal(network(coefficients, counts, sensing), middle)


def test_data_driven_sampling_keeps_the_most_consistent_share() -> None:
    found = make_hyper(sampling="data-driven", kept=0.5).chosen_for_training(torch.tensor([3.0, 1.0, 2.0, 4.0]))
    assert found.tolist() == [False, True, True, False]
    assert make_hyper().chosen_for_training(torch.tensor([3.0, 1.0])).tolist() == [True, True]


@pytest.mark.parametrize(
    "options",
    [
        {"losses": ["l1"]},
        {"losses": ["l1", "l1"]},
        {"conditioning": "magic"},
        {"sampling": "often"},
        {"hidden": []},
        {"kept": 0.0},
        {"penalty": 0.0},
        {"depth": 1},
    ],
)
def test_impossible_options_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(RecipeError):
        Hyper(True, **options)
