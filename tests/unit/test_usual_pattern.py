"""A usual pattern beside the one that was searched for: what chooses it, who judges it, and what a plan says."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from builders.plans import make_plan
from builders.trainings import make_recipe

from acqplan.core.statistics import Effect
from acqplan.learning import checkpoint
from acqplan.learning import usual_pattern as module
from acqplan.learning.problem import Problem
from acqplan.learning.resolve import resolve
from acqplan.learning.search import search
from acqplan.learning.state import TrainingState
from acqplan.learning.training import design
from acqplan.learning.usual_pattern import usual_pattern
from acqplan.plan.components import Component
from acqplan.plan.evidence import evidence_of
from acqplan.report.facts import facts, usual_text
from acqplan.report.plan_page import plan_page


def searched(scans: Path, designer: str = "density", **how: Any) -> tuple[TrainingState, Problem]:
    """A state whose pattern has just been frozen; its network is a classical solver, unless told otherwise."""
    recipe = make_recipe(scans, designer=designer, encoding="lines", budget="8", **{"reconstructor": "wavelet", **how})
    problem = resolve(recipe)
    state = TrainingState(problem)
    search(state, problem, None, None, lambda: None)
    state.freeze()
    return state, problem


def test_held_out_images_measure_it_and_choose_nothing(scans: Path) -> None:
    state, problem = searched(scans)
    found = usual_pattern(state, problem)
    assert found is not None
    assert found["designer"] in problem.modality.usual_designers
    assert found["n_images"] == len(problem.images.test)
    random = np.random.default_rng(0)
    others = tuple(
        replace(record, array=random.random(record.array.shape).astype(record.array.dtype))
        for record in problem.images.test
    )
    elsewhere = usual_pattern(state, replace(problem, images=replace(problem.images, test=others)))
    assert elsewhere is not None
    assert {**elsewhere, "measures": 0} == {**found, "measures": 0}
    assert elsewhere["measures"] != found["measures"]
    assert usual_pattern(state, problem) == found


def test_the_same_pattern_makes_no_difference(scans: Path) -> None:
    state, problem = searched(scans)
    found = usual_pattern(state, problem)
    assert found is not None
    same = replace(problem.recipe, designer=Component(found["designer"], {found["parameter"]: found["value"]}))
    rival = TrainingState(replace(problem, recipe=same))
    rival.freeze()
    state.pattern = rival.pattern
    again = usual_pattern(state, problem)
    assert again is not None
    assert again["measures"]["psnr_db"]["mean"] == 0
    assert "gives the same as this pattern" in usual_text(again)


@pytest.mark.parametrize("designer", ["variable-density", "learned"])
def test_only_a_pattern_that_was_searched_for_has_one_beside_it(scans: Path, designer: str) -> None:
    reconstructor = "unrolled" if designer == "learned" else "wavelet"
    state, problem = searched(scans, designer, reconstructor=reconstructor)
    assert usual_pattern(state, problem) is None


def test_a_network_that_was_hardly_trained_judges_nothing(scans: Path) -> None:
    state, problem = searched(scans, reconstructor="unrolled")
    assert usual_pattern(state, problem) is None
    state.step = 100
    assert usual_pattern(state, problem) is not None
    state.step = 0
    with_base = problem.recipe.with_settings("training", base="a.acqbase")
    assert usual_pattern(state, replace(problem, recipe=with_base)) is not None


def test_a_count_that_no_usual_pattern_has_is_passed_over(scans: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    state, problem = searched(scans)
    monkeypatch.setattr(type(problem.modality), "usual_designers", ("cake-cutting", "variable-density"))
    monkeypatch.setattr(module, "_MOST_IMAGES", 2)
    found = usual_pattern(state, problem)
    assert found is not None
    assert found["n_images"] == 2
    monkeypatch.setattr(type(problem.modality), "usual_designers", ())
    assert usual_pattern(state, problem) is None


def test_a_checkpoint_keeps_it(scans: Path, tmp_path: Path) -> None:
    state, problem = searched(scans)
    state.usual = usual_pattern(state, problem)
    checkpoint.save(state.save(), tmp_path / "state.checkpoint")
    other = TrainingState(problem)
    other.restore(checkpoint.load(tmp_path / "state.checkpoint"))
    assert other.usual is not None
    assert other.usual == state.usual


def test_a_plan_tells_of_it(scans: Path) -> None:
    recipe = make_recipe(scans, designer="density", encoding="lines", budget="8", reconstructor="wavelet")
    plan = design(recipe)
    text = dict(facts(plan))["Usual pattern"]
    assert text == usual_text(plan.evidence["usual"])
    assert "too few to show any" in text
    assert text in plan_page(plan).replace("&#x27;", "'")
    assert evidence_of(json.dumps(plan.evidence), {}) == plan.evidence


def test_the_words() -> None:
    alike = Effect(-0.02, (-0.09, 0.07), 12, "no difference shown", 900)
    found = {"designer": "variable-density", "parameter": "power", "value": 2.5, "n_images": 30}
    measures = {"psnr_db": alike.spec(), "ssim": alike.spec()}
    assert usual_text({**found, "measures": measures}).startswith(
        "A variable density of power 2.5 does as well as this pattern: PSNR -0.02 dB (-0.09 to +0.07), SSIM"
    )
    wide = replace(alike, interval=(-0.4, 0.36))
    unclear = usual_text({**found, "measures": {**measures, "psnr_db": wide.spec()}})
    assert unclear.startswith("No difference shown of a variable density of power 2.5 to this pattern: PSNR")
    assert Effect.of(json.loads(json.dumps(wide.spec()))) == wide


@pytest.mark.parametrize("wrong", [{"designer": 1}, {"measures": {}}, {"measures": {"psnr_db": {"mean": "x"}}}])
def test_evidence_of_it_that_isnt_is_refused(wrong: dict[str, Any]) -> None:
    alike = Effect(-0.02, None, 2, "no difference shown").spec()
    found = {"designer": "low-pass", "n_images": 1, "measures": {"psnr_db": alike, "ssim": alike}}
    plan = make_plan()
    assert evidence_of(json.dumps({**plan.evidence, "usual": found}), {})["usual"] == found
    with pytest.raises(ValueError, match="its evidence of usual can't be read"):
        evidence_of(json.dumps({**plan.evidence, "usual": {**found, **wrong}}), {})
