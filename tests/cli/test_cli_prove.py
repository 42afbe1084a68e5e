"""``acqplan test``: designed plans prove themselves; exit 1 with a row for each thing that was altered."""

import json
import shutil

import numpy as np
from builders.plans import make_plan

from acqplan.plan.plan import Plan


def test_designed_plans_prove_themselves(run, plans):
    outcome = run("test", plans / "points.acqplan", plans / "lines.acqplan", plans / "cells.acqplan", "--json")
    assert outcome.code == 0, outcome
    proofs = json.loads(outcome.out)
    assert [proof["passed"] for proof in proofs] == [True] * 3
    for proof in proofs:
        vector = proof["checks"][-1]
        assert (vector["subject"], vector["result"]) == ("test vector", "ok")
        assert 0 <= vector["numbers"]["image"] <= vector["numbers"]["tolerance"] < 1e-3


def test_what_was_altered_has_a_row_and_the_exit_code_is_1(run, points, tmp_path):
    shutil.copy(points, tmp_path / "points.acqplan")
    assert run("export", points, "--to", "numpy", "-o", tmp_path / "files").code == 0
    assert run("test", tmp_path / "points.acqplan").code == 0
    order = np.load(tmp_path / "files" / "order.npy")
    np.save(tmp_path / "files" / "order.npy", order[::-1])
    outcome = run("test", tmp_path / "points.acqplan")
    assert outcome.code == 1
    rows = [line.split() for line in outcome.out.splitlines()]
    assert ["files", "failed"] in [row[:2] for row in rows]
    assert sum("failed" in row for row in rows) == 1


def test_a_vector_is_added_where_there_is_none(run, tmp_path):
    plan, path = make_plan("points"), tmp_path / "earlier.acqplan"
    plan.save(path)
    before = run("test", path)
    assert before.code == 0
    assert "--add" in before.out
    assert Plan.load(path).vector is None
    assert f"Test vector added: {path}" in run("test", "--add", path).err
    assert Plan.load(path).vector is not None
    assert Plan.load(path).plan_id == plan.plan_id
    assert "added" not in run("test", "--add", path).err


def test_what_is_no_plan_is_refused(refused, tmp_path):
    refused("test", tmp_path / "missing.acqplan")
    refused("test", tmp_path)
