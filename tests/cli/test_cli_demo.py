"""The demonstration, with tiny images in the place of the samples."""

import re
from dataclasses import replace

import pytest

from acqplan.plan.components import Component
from acqplan.plan.plan import Plan
from acqplan.workflow import demonstration


@pytest.fixture
def tiny(monkeypatch, scans, cells):
    setups = demonstration.setups()
    mirrors = Component("dmd-tiff", {"device": "32x24"})
    small = {
        "mri": replace(setups["mri"], sample=str(scans), size=(16, 16)),
        "dmd": replace(setups["dmd"], sample=str(cells), size=(16, 16), format=mirrors),
    }
    monkeypatch.setattr(demonstration, "setups", lambda: small)


def test_the_whole_demonstration(run, tiny, tmp_path):
    folder = tmp_path / "demo"
    outcome = run("demo", "-o", folder, "--minutes", 0.01, "--threads", 1, "--no-open")
    assert outcome.code == 0, outcome.err
    html = (folder / "index.html").read_text()
    assert "<script" not in html
    assert not re.search(r"https?:", html)
    for name in ("learned", "variable density", "wavelet", "low pass", "half half", "variance ordered", "low sequency"):
        assert name in html
    for modality, count in (("mri", 64), ("dmd", 32)):
        plan = Plan.load(folder / modality / "learned.acqplan")
        assert plan.pattern.n_readings == count
        assert plan.plan_id in html
        assert f"At exactly {count} of 256" in outcome.out
    assert (
        run("reconstruct", folder / "mri/learned.acqplan", folder / "mri/acquired.cfl", "-o", tmp_path / "r.npy").code
        == 0
    )
    demonstration.check_folder(folder)  # a second time may replace the first


def test_with_a_number_of_steps_every_network_takes_them(tiny, tmp_path):
    shown = demonstration.demonstrate("dmd", tmp_path, 0.01, steps=3, threads=1)
    trained = [each for each in shown.contestants if each.is_trained]
    assert shown.learned is trained[0]
    assert shown.learned.designer == "swaps"
    assert len(trained) == 1 + len(shown.setup.trained)
    assert {each.plan.recipe.training.steps for each in trained} == {3}
    assert len({each.plan.budget.n_readings for each in shown.contestants}) == 1
    assert len({each.plan.evidence["training_images"] for each in shown.contestants}) == 1


def test_a_folder_with_other_files_is_left_alone(refused, tmp_path):
    (tmp_path / "demo").mkdir()
    (tmp_path / "demo/thesis.tex").write_text("years of work")
    assert "holds other files" in refused("demo", "-o", tmp_path / "demo").err


@pytest.mark.parametrize("words", [("--only", "pet"), ("--minutes", 0), ("--minutes", -1)])
def test_an_impossible_demonstration(refused, tmp_path, words):
    refused("demo", "-o", tmp_path / "demo", *words)
