"""Many reconstructions of one acquisition, and the choice of a few."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from builders.networks import make_reconstructor
from builders.plans import make_plan

from acqplan.core.errors import PatternMismatch, RecipeError
from acqplan.plan.plan import Plan
from acqplan.sensing.acquisition import Acquisition
from acqplan.workflow.explorer import Candidate, Explorer, choose, consistent, distances, features


def knob_plan(losses: tuple[str, ...] = ("data-consistency", "wavelet", "tv")) -> Plan:
    return make_plan(reconstructor=make_reconstructor("hyper", True, 1, spread=0.2, losses=losses))


def acquired(plan: Plan) -> Acquisition:
    image = np.random.default_rng(0).random(plan.sensing.image_shape)
    return plan.simulate(image * plan.noise.image_scale)


def made_up(values: list[tuple[float, float, float]]) -> list[Candidate]:
    """Of (brightness of a corner, χ², loss)."""
    found = []
    for i, (corner, chi2, loss) in enumerate(values):
        image = np.ones((16, 16), dtype=np.float32)
        image[:8, :8] += corner
        found.append(Candidate((i / len(values),), image, chi2, loss))
    return found


@pytest.mark.parametrize("case", ["lines", "points", "hadamard"])
def test_chi2_of_the_truth_is_one_per_degree_of_freedom(case: str) -> None:
    plan = make_plan(case)
    image = np.random.default_rng(1).random(plan.sensing.image_shape) * plan.noise.image_scale
    explorer = Explorer.__new__(Explorer)
    explorer.plan, explorer._noise, explorer._sensing = plan, plan.noise, plan.sensing
    found = []
    for seed in range(60):
        acquisition = plan.simulate(image, seed=seed)
        explorer.acquisition = acquisition
        from acqplan.sensing.measurement import coefficients_of

        explorer._coefficients, explorer._counts = coefficients_of(acquisition, plan.pattern, plan.sensing)
        exact = np.asarray(image, dtype=np.complex64 if plan.sensing.is_complex else np.float32)
        found.append(explorer._judged((0.5,), exact).chi2)
    assert np.mean(found) == pytest.approx(1.0, abs=0.06)
    assert explorer._judged((0.5,), 1.5 * exact).chi2 > 2


def test_the_knob_moves_between_images_that_are_those_of_the_plan() -> None:
    plan = knob_plan()
    acquisition = acquired(plan)
    explorer = Explorer(plan, acquisition)
    assert np.array_equal(explorer.image((0.2, 0.7)), plan.reconstruct(acquisition, knob=(0.2, 0.7)))
    assert np.abs(explorer.image((0.0, 0.5)) - explorer.image((1.0, 0.5))).max() > 1e-3
    assert len(explorer.candidates()) == 13**2


@pytest.mark.parametrize("knob", [(1.2, 0.5), (-0.1, 0.5), (float("nan"), 0.5), (0.5,), (0.5, 0.5, 0.5)])
def test_a_knob_outside_its_range_is_refused(knob: tuple[float, ...]) -> None:
    plan = knob_plan()
    acquisition = acquired(plan)
    with pytest.raises(RecipeError, match="Give 2 numbers from 0 to 1"):
        Explorer(plan, acquisition).image(knob)
    with pytest.raises(RecipeError, match="Give 2 numbers from 0 to 1"):
        plan.reconstruct(acquisition, knob=knob)


def test_a_plan_without_a_knob_is_told_which_have_one() -> None:
    plan = make_plan("points", reconstructor="unrolled")
    with pytest.raises(RecipeError, match=r"unrolled has no knob.*--pattern-from PLAN --reconstructor hyper"):
        Explorer(plan, acquired(plan))
    with pytest.raises(RecipeError, match="has no knob"):
        plan.reconstruct(acquired(plan), knob=(0.5,))


def test_an_acquisition_of_another_plan_is_refused() -> None:
    with pytest.raises(PatternMismatch):
        Explorer(knob_plan(), acquired(make_plan("points", seed=3)))


def test_a_saved_plan_keeps_its_knob(tmp_path: Path) -> None:
    plan = knob_plan(("l1", "ssim"))
    assert plan.reconstructor.table is not None
    plan.reconstructor.table.copy_(plan.reconstructor.table**2)
    plan.save(tmp_path / "knob.acqplan")
    loaded, acquisition = Plan.load(tmp_path / "knob.acqplan"), acquired(plan)
    for knob in (0.0, 0.3, 1.0):
        before, after = (p.reconstruct(acquisition, knob=(knob,)) for p in (plan, loaded))
        assert np.array_equal(before, after)


def test_only_consistent_candidates_with_a_low_loss_pass() -> None:
    found = made_up([(0.0, 1.0, 1.0), (0.1, 1.06, 0.1), (0.2, 0.5, 1.09), (0.3, 0.5, 1.2), (0.4, float("nan"), 1.0)])
    assert [c.knob[0] for c in consistent(found)] == [0.0, 0.4, 0.8]


def test_the_choice_is_the_medoid_and_what_lies_farthest() -> None:
    found = made_up([(x, 1.0, 1.0) for x in (0.0, 0.5, 0.9, 1.0, 1.02, 1.1, 1.5, 2.0)])
    choice = choose(found, 3)
    corners = [float(c.image[0, 0]) - 1 for c in choice.chosen]
    assert corners[0] == pytest.approx(1.0, abs=0.05)
    assert sorted(corners[1:]) == pytest.approx([0.0, 2.0])
    np.testing.assert_allclose(choice.distances, distances(choice.chosen), atol=1e-6)
    assert (choice.n_candidates, choice.n_consistent) == (8, 8)


def test_too_few_candidates_are_an_error() -> None:
    with pytest.raises(RecipeError, match=r"3 reconstructions are asked for; 1 of 2 candidates agree"):
        choose(made_up([(0.0, 1.0, 1.0), (1.0, 2.0, 1.0)]), 3)


def test_features_don_t_depend_on_the_unit_and_see_detail_and_shading() -> None:
    image = np.random.default_rng(0).random((32, 32))
    np.testing.assert_allclose(features(image), features(50 * image), rtol=1e-9)
    detail, shading = image.copy(), image + 0.05 * np.linspace(-1, 1, 32)
    detail[::2, ::2] += 0.05
    for changed in (detail, shading):
        assert np.linalg.norm(features(changed) - features(image)) > 1e-3
