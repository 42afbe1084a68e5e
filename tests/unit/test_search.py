"""The search with a trained network: what it is shown, and what a plan says of it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from builders.trainings import make_recipe

from acqplan.core.errors import RecipeError
from acqplan.core.seeding import torch_generator
from acqplan.learning.critic import NetworkCritic
from acqplan.learning.evaluation import Scene, evaluate
from acqplan.learning.problem import build_designer, build_reconstructor
from acqplan.learning.progress import Progress
from acqplan.learning.resolve import resolve
from acqplan.learning.training import design
from acqplan.plan.components import Component
from acqplan.plan.recipe import Recipe
from acqplan.report.facts import facts


def recipe_of(scans: Path, designer: str = "swaps", **settings: Any) -> Recipe:
    return make_recipe(scans, designer=designer, encoding="lines", budget="8", **settings)


def test_the_critic_knows_better_patterns_from_worse_ones(scans: Path) -> None:
    problem = resolve(recipe_of(scans))
    critic = NetworkCritic(problem, build_reconstructor(problem))
    n = problem.sensing.n_units
    order = np.argsort(problem.sensing.distance(), kind="stable")
    nearest, farthest, everything = (np.zeros(n, np.int64) for _ in range(3))
    nearest[order[:8]], farthest[order[-8:]], everything[:] = 1, 1, 1
    for judge in (critic.quality, critic.guard):
        all_db, near_db, far_db = judge(np.stack([everything, nearest, farthest]))
        assert all_db > near_db > far_db + 3
        assert judge(nearest[None])[0] == near_db  # the same noise again
    few = critic.quality(nearest[None], 2)
    assert few != critic.quality(nearest[None])
    worth = critic.worth(nearest)
    assert worth[order[8]] > worth[order[-1]]


@pytest.mark.parametrize("modality", ["mri", "dmd"])
def test_the_critic_measures_as_an_evaluation_does(scans: Path, modality: str) -> None:
    """Without noise, a plan's evaluation of the same images gives the same PSNR and SSIM."""
    quiet = {"mri": {"std": 0.0}, "dmd": {"photons": 1e6, "read_noise_e": 0.0}}[modality]
    recipe = make_recipe(scans, modality=modality, designer="low-pass")
    problem = resolve(recipe)
    noise = type(problem.noise)(**quiet)
    problem = replace(problem, noise=noise)
    network = build_reconstructor(problem)
    pattern = build_designer(problem).freeze(torch_generator(0, "designer"))
    images = [*problem.images.validation]
    rows = evaluate(Scene(problem.sensing, pattern, noise), {"plan": network}, images).rows
    found = np.mean([row["plan"]["psnr_db"] - 2.5 * np.log10(1 - row["plan"]["ssim"]) for row in rows])
    critic, counts = NetworkCritic(problem, network), pattern.counts[None].astype(np.int64)
    assert critic.guard(counts)[0] == pytest.approx(found, abs=0.02)
    psnr, ssim = critic.guard_measures(counts)[0]
    assert psnr == pytest.approx(np.mean([row["plan"]["psnr_db"] for row in rows]), abs=0.02)
    assert critic.guard(counts)[0] == pytest.approx(psnr + 0.25 * ssim)


def test_the_held_out_images_are_not_shown_to_the_search(scans: Path) -> None:
    problem = resolve(recipe_of(scans))
    critic = NetworkCritic(problem, build_reconstructor(problem))
    seen = {image.numpy().tobytes() for scene in (critic._search, critic._guards) for image in scene.images}
    images = problem.images
    scale = problem.noise.image_scale
    assert seen == {(record.array * scale).tobytes() for record in (*images.train, *images.validation)}
    assert not seen & {(record.array * scale).tobytes() for record in images.test}


def test_a_plan_tells_of_its_search_and_makes_it_again(scans: Path) -> None:
    told: list[Progress] = []
    plan = design(recipe_of(scans), progress=told.append)
    rounds = [progress for progress in told if progress.phase == "search"]
    assert [progress.step for progress in rounds] == list(range(1, len(rounds) + 1))
    assert all(progress.loss is None for progress in rounds)
    best = [progress.psnr_db for progress in rounds if progress.psnr_db is not None]
    found = plan.evidence["search"]
    assert found["quality_db"] == pytest.approx(best[-1], abs=2)  # the choice among finalists may take a lower one
    assert found["rounds"] == plan.recipe.designer.options["rounds"] >= len(rounds)
    assert found["tries"] > found["rounds"]
    assert plan.pattern.n_readings == 8
    (told_in_show,) = [value for name, value in facts(plan) if name == "Search"]
    assert told_in_show.startswith(f"{found['tries']} patterns tried in {found['rounds']} rounds; ")
    assert f"^{found['density']['power']:.3g}" in told_in_show
    assert design(plan.recipe).plan_id == plan.plan_id


def test_a_training_of_few_steps_tries_few_patterns(scans: Path) -> None:
    few = design(recipe_of(scans)).evidence["search"]
    assert few["tries"] == 16
    recipe = recipe_of(scans, steps=42)
    more = design(recipe).evidence["search"]
    assert 42 <= more["tries"] < 42 + 8
    asked = design(replace(recipe, designer=Component("swaps", {"rounds": 7}))).evidence["search"]
    assert asked["rounds"] == 7


def test_minutes_end_a_search_and_its_rounds_replay(scans: Path) -> None:
    plan = design(recipe_of(scans, minutes=0.01, steps=None))
    assert plan.evidence.get("search", {"rounds": 0})["rounds"] == plan.recipe.designer.options["rounds"]
    assert design(plan.recipe).plan_id == plan.plan_id


def test_a_given_power_needs_no_search(scans: Path) -> None:
    recipe = recipe_of(scans, "variable-density")
    tuned = design(recipe)
    assert tuned.evidence["search"]["power"] > 0
    assert tuned.evidence["search"]["quality_db"] > 10
    given = Component("variable-density", {"power": tuned.evidence["search"]["power"]})
    drawn = design(replace(recipe, designer=given))
    assert "search" not in drawn.evidence
    assert drawn.pattern == tuned.pattern


def test_without_the_truth_there_is_no_search(scans: Path) -> None:
    blind = {"data-consistency": 1.0, "tv": 0.005}
    with pytest.raises(RecipeError, match="swaps learns from fully sampled images"):
        design(recipe_of(scans, loss=blind))
    plan = design(recipe_of(scans, "variable-density", loss=blind))
    assert "search" not in plan.evidence
