"""`acqplan.prove`: what was altered since a plan was finished is found, each thing under its name."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import h5py
import numpy as np
import pytest
from builders.plans import make_plan

from acqplan.core.errors import PlanFileError
from acqplan.plan.plan import Plan
from acqplan.workflow.export import export
from acqplan.workflow.prove import Proof, add_vectors, prove


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A plan, and beside it two of its exports."""
    plan = make_plan("points").with_vector()
    plan.save(tmp_path / "a.acqplan")
    export(plan, "numpy", tmp_path / "played")
    export(plan, "table", tmp_path / "table")
    return tmp_path


def results(proof: Proof) -> dict[str, str]:
    return {check.subject: check.result for check in proof.checks}


def test_a_plan_proves_itself_and_the_exports_beside_it(folder: Path) -> None:
    (proof,) = prove(folder / "a.acqplan")
    assert results(proof) == {"identity": "ok", "played": "ok", "table": "ok", "test vector": "ok"}
    assert proof.passed
    assert proof.plan_id == Plan.load(folder / "a.acqplan").plan_id
    assert proof.checks[-1].numbers["image"] <= proof.checks[-1].numbers["tolerance"]


def test_plans_folders_and_values_are_taken_and_each_is_looked_at_once(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder)
    plan = Plan.load(folder / "a.acqplan")
    (alone,) = prove(plan)
    assert results(alone) == {"identity": "ok", "test vector": "ok"}
    (given,) = prove(plan, folder / "table")
    assert results(given) == {"identity": "ok", "table": "ok", "test vector": "ok"}
    (proof,) = prove(folder, "table", str(folder / "table"), folder / "a.acqplan")
    assert [check.subject for check in proof.checks] == ["identity", "played", "table", "test vector"]
    (folder / "a.acqplan").rename(folder / "lab.acqbase")
    (base,) = prove(folder)
    assert base.name.endswith("lab.acqbase")


def test_altered_weights_are_found(folder: Path) -> None:
    make_plan("points", reconstructor="unrolled").with_vector().save(folder / "b.acqplan")
    with h5py.File(folder / "b.acqplan", "r+") as file:
        name = sorted(file["weights"])[0]
        file["weights"][name][...] = np.asarray(file["weights"][name][()]) * 1.001
    first, second = prove(folder / "a.acqplan", folder / "b.acqplan")
    assert first.passed
    assert results(second) == {"identity": "failed"}
    assert "changed after it was written" in second.checks[0].text
    assert second.plan_id is None


def test_an_altered_vector_is_found(folder: Path) -> None:
    with h5py.File(folder / "a.acqplan", "r+") as file:
        file["test_vector/image"][0] += 1
    (proof,) = prove(folder / "a.acqplan")
    assert results(proof) == {"identity": "failed"}
    assert "test vector" in proof.checks[0].text


def test_an_altered_export_is_found(folder: Path) -> None:
    order = np.load(folder / "played" / "order.npy")
    np.save(folder / "played" / "order.npy", order[::-1])
    (proof,) = prove(folder / "a.acqplan")
    assert results(proof) == {"identity": "ok", "played": "failed", "table": "ok", "test vector": "ok"}
    assert not proof.passed


def test_an_export_of_another_pattern_under_this_plans_name_is_found(folder: Path) -> None:
    """Files and manifest fit each other, and only the plan tells that they aren't its own."""
    manifest = json.loads((folder / "played" / "manifest.json").read_text())
    shutil.rmtree(folder / "played")
    export(make_plan("points", seed=1), "numpy", folder / "played")
    other = json.loads((folder / "played" / "manifest.json").read_text())
    (folder / "played" / "manifest.json").write_text(json.dumps(other | {"plan_id": manifest["plan_id"]}))
    (proof,) = prove(folder / "a.acqplan")
    assert results(proof)["played"] == "failed"
    assert "doesn't play the plan's pattern" in proof.checks[1].text


def test_an_export_that_belongs_to_no_plan_is_found(folder: Path) -> None:
    other = make_plan("points", seed=1)
    export(other, "numpy", folder / "strange")
    (alone,) = prove(folder / "a.acqplan")
    assert "strange" not in results(alone)
    for given in ([folder], [folder / "a.acqplan", folder / "strange"]):
        first, stray = prove(*given)
        assert first.passed
        assert results(stray) == {"strange": "failed"}
        assert other.plan_id[:12] in stray.checks[0].text


def test_a_plan_of_an_earlier_acqplan_has_none_until_one_is_added(folder: Path) -> None:
    earlier = make_plan("hadamard")
    earlier.save(folder / "earlier.acqplan")
    (before,) = prove(folder / "earlier.acqplan")
    assert results(before) == {"identity": "ok", "test vector": "none"}
    assert before.passed
    assert "--add" in before.checks[-1].remedy
    kept = (folder / "a.acqplan").read_bytes()
    assert add_vectors(folder) == [folder / "earlier.acqplan"]
    assert (folder / "a.acqplan").read_bytes() == kept
    (after,) = prove(folder / "earlier.acqplan")
    assert results(after) == {"identity": "ok", "test vector": "ok"}
    assert after.plan_id == earlier.plan_id


def test_what_a_killed_write_has_left_isnt_looked_at(folder: Path) -> None:
    (folder / ".b.acqplan.x1").mkdir()
    (folder / ".b.acqplan.x1" / "b.acqplan").write_bytes((folder / "a.acqplan").read_bytes()[:999])
    (proof,) = prove(folder)
    assert proof.passed


def test_what_holds_nothing_is_refused(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    for given in (tmp_path / "empty", tmp_path / "none.acqplan"):
        with pytest.raises(PlanFileError):
            prove(given)
