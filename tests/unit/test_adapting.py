"""A plan's network trained on, on the same pattern: what is best is kept, and told beside what it was."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from builders.trainings import Stop, interrupt, make_recipe, write_scans

from acqplan.core.errors import RecipeError
from acqplan.learning import best, state
from acqplan.learning.best import Best, better_of
from acqplan.learning.on_pattern import ADAPTING_RATE, adapting
from acqplan.learning.progress import Progress
from acqplan.learning.schedule import PARTS, Schedule
from acqplan.learning.training import design
from acqplan.plan.plan import Plan
from acqplan.plan.recipe import BudgetSettings, Recipe
from acqplan.report import facts

STEPS = 40


@pytest.fixture(scope="module", autouse=True)
def any_gain_counts() -> Iterator[None]:
    """Networks as small as these gain little."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(best, "LEAST_GAIN_DB", 1e-4)
        yield


@pytest.fixture(scope="module")
def ready(tmp_path_factory: pytest.TempPathFactory, scans: Path) -> Path:
    """A plan of other images, with weights that leave something to gain."""
    path = tmp_path_factory.mktemp("ready") / "ready.acqplan"
    plan = design(make_recipe(scans))
    noise = torch.Generator().manual_seed(0)
    for weight in plan.reconstructor.parameters():
        if weight.ndim > 1:
            weight += 0.1 * torch.randn(weight.shape, generator=noise)
    replace(plan).save(path)
    return path


@pytest.fixture(scope="module")
def mine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_scans(tmp_path_factory.mktemp("images") / "mine")


def adapted_recipe(ready: Path, mine: Path, steps: int = STEPS, **settings: Any) -> Recipe:
    recipe = adapting(ready, "mri").with_settings("images", paths=[str(mine)])
    return recipe.with_settings("training", **{"minutes": None, "steps": steps, "threads": 1, **settings})


@pytest.fixture(scope="module")
def adapted(ready: Path, mine: Path) -> Plan:
    return design(adapted_recipe(ready, mine, learning_rate=3e-3))


def test_all_that_was_decided_stays(ready: Path, adapted: Plan) -> None:
    before = Plan.load(ready)
    assert adapted.pattern.digest == before.pattern.digest
    assert (adapted.noise, adapted.recipe.budget) == (before.noise, before.recipe.budget)
    assert adapted.reconstructor.spec() == before.reconstructor.spec()
    training = adapted.recipe.training
    assert (training.base_id, training.keep_best, training.joint_share) == (before.plan_id, True, 0.0)
    assert adapting(ready, "mri").training.learning_rate == ADAPTING_RATE < before.recipe.training.learning_rate


def test_it_says_what_it_gained(ready: Path, adapted: Plan) -> None:
    told, means = adapted.evidence["adapted"], adapted.evidence["held_out"]["mean"]
    assert (told["before"], told["after"]) == (means["base"], means["plan"])
    assert told["plan_id"] == Plan.load(ready).plan_id
    assert told["n_images"] == adapted.evidence["n_test"]
    assert 0 < told["steps"] <= STEPS
    assert told["validation_gain_db"] > 0
    text = dict(facts.facts(adapted))["Adapted"]
    assert f"from plan {told['plan_id'][:12]} by {told['steps']} steps" in text
    assert f"to {told['after']['psnr_db']:.2f} dB" in text


def test_it_is_made_again(adapted: Plan, tmp_path: Path) -> None:
    path = tmp_path / "adapted.acqplan"
    adapted.save(path)
    assert design(Plan.load(path).recipe).plan_id == adapted.plan_id


@pytest.mark.parametrize("step", [STEPS // 2, STEPS])
def test_it_resumes(ready: Path, mine: Path, adapted: Plan, tmp_path: Path, step: int) -> None:
    recipe, path = adapted_recipe(ready, mine, learning_rate=3e-3), tmp_path / "run.checkpoint"
    interrupt(recipe, path, step)
    assert design(recipe, checkpoint=path, resume=True).plan_id == adapted.plan_id


def test_one_kept_early_is_made_again(ready: Path, mine: Path, tmp_path: Path) -> None:
    path = tmp_path / "run.checkpoint"
    interrupt(adapted_recipe(ready, mine, learning_rate=3e-3), path, STEPS // 2 + 1)
    kept = design(adapted_recipe(ready, mine, learning_rate=3e-3), checkpoint=path, keep=True)
    assert kept.evidence["adapted"]["steps"] <= STEPS // 2 + 1
    assert design(kept.recipe).plan_id == kept.plan_id


def test_minutes_are_made_again(ready: Path, mine: Path) -> None:
    plan = design(adapted_recipe(ready, mine, steps=None, minutes=0.03, learning_rate=3e-3))
    assert plan.recipe.training.pace is not None
    assert not any("HARDLY" in warning for warning in plan.evidence["warnings"])
    assert design(plan.recipe).plan_id == plan.plan_id


def test_one_that_is_no_better_keeps_the_weights(ready: Path, mine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(best, "LEAST_GAIN_DB", 100.0)
    plan = design(adapted_recipe(ready, mine, learning_rate=3e-3))
    for name, weight in Plan.load(ready).reconstructor.state_dict().items():
        assert torch.equal(plan.reconstructor.state_dict()[name], weight)
    told = plan.evidence["adapted"]
    assert told["before"] == told["after"]
    assert (told["steps"], told["validation_gain_db"]) == (0, 0.0)
    assert any("were kept as they were" in warning for warning in plan.evidence["warnings"])


def test_the_best_one_gains_and_loses_no_ssim(monkeypatch: pytest.MonkeyPatch, adapted: Plan) -> None:
    monkeypatch.setattr(best, "LEAST_GAIN_DB", 0.02)
    images = SimpleNamespace(validation=(1, 2, 3))
    problem: Any = SimpleNamespace(sensing=adapted.sensing, noise=adapted.noise, images=images)
    kept: Best | None = None
    steps = []
    for step, (psnr_db, ssim) in enumerate([(30.0, 0.9), (30.01, 0.91), (31.0, 0.89), (30.5, 0.899), (30.4, 0.95)]):
        means = {"plan": {"psnr_db": psnr_db, "ssim": ssim}}
        monkeypatch.setattr(best, "evaluate", lambda *_, means=means: SimpleNamespace(means=means))
        kept = better_of(kept, adapted.reconstructor, step, adapted.pattern, problem)
        steps.append(kept.step)
    assert steps == [0, 0, 0, 3, 3]


def test_it_is_judged_at_every_twentieth() -> None:
    pace = [0] * PARTS + [3, 0, 2] + [1] * (PARTS - 3)
    paced = Schedule(sum(pace), 0, tuple(pace))
    assert [step for step in range(paced.steps + 1) if paced.ends_part(step)] == [0, 3, *range(5, paced.steps + 1)]
    plain = Schedule(100, 40)
    assert [step for step in range(101) if plain.ends_part(step)] == list(range(40, 101, 3))


def test_without_the_setting_nothing_is_judged(scans: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def forbidden(*_: Any) -> Any:
        raise Stop

    monkeypatch.setattr(state, "better_of", forbidden)
    assert "adapted" not in design(make_recipe(scans)).evidence
    with pytest.raises(Stop):
        design(make_recipe(scans, keep_best=True))


@pytest.mark.parametrize(("seed", "warns"), [(0, False), (1, True)])
def test_a_base_that_may_have_seen_the_held_out_images_is_named(
    ready: Path, scans: Path, seed: int, warns: bool
) -> None:
    recipe = make_recipe(scans, designer="low-pass", base=str(ready), seed=seed, steps=1)
    warnings = design(recipe).evidence["warnings"]
    assert any("it may have seen the held-out ones" in each for each in warnings) == warns


def test_a_plan_without_a_network_is_refused(scans: Path, tmp_path: Path) -> None:
    design(make_recipe(scans, designer="low-pass", reconstructor="zero-filled")).save(tmp_path / "a.acqplan")
    with pytest.raises(RecipeError, match="nothing to train"):
        adapting(tmp_path / "a.acqplan", "mri")


def test_a_budget_that_depends_on_the_images_is_kept_as_a_count(ready: Path, tmp_path: Path) -> None:
    plan = Plan.load(ready)
    asked = replace(plan.recipe, budget=replace(plan.recipe.budget, amount="1e6 photons"))
    replace(plan, recipe=asked).save(tmp_path / "light.acqplan")
    assert adapting(tmp_path / "light.acqplan", "mri").budget == BudgetSettings("64", plan.recipe.budget.calibration)


def test_listeners_are_told_of_the_same_steps(ready: Path, mine: Path) -> None:
    told: list[Progress] = []
    design(adapted_recipe(ready, mine, steps=3), progress=told.append)
    assert [(each.phase, each.step) for each in told] == [("fine-tune", i) for i in (1, 2, 3)]
