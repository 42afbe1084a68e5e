"""Plans against each other: per subject and kind of image, groups of seeds, several draws of the noise, a sentence."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from builders.images import blobs
from builders.plans import make_plan

from acqplan.core.errors import RecipeError
from acqplan.core.statistics import Effect
from acqplan.core.verdict import sentence
from acqplan.images import ImageRecord
from acqplan.images.kinds import kinds_of
from acqplan.plan.plan import Plan
from acqplan.workflow.compare import compare
from acqplan.workflow.evaluate import evaluate

N_SUBJECTS = 7


@pytest.fixture(scope="module")
def people(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("people")
    for i in range(N_SUBJECTS):
        (folder / f"anna{i}").mkdir()
        for contrast in ("t1", "t2") if i else ("t1",):
            images = blobs(3 * i + int(contrast[1]), (2, 24, 24))
            np.save(folder / f"anna{i}" / f"anna{i}_{contrast}_axial_{i}.npy", images)
    return folder


def lines(units: object, **how: object) -> Plan:
    plan = make_plan("lines", np.asarray(units), **how)  # type: ignore[arg-type]
    rows, columns = plan.sensing.image_shape
    return replace(plan, recipe=plan.recipe.with_settings("images", size=[rows, columns], fit="resample"))


@pytest.fixture(scope="module")
def plans() -> tuple[Plan, Plan, Plan]:
    """The centre; the centre less one line; the edge."""
    rows = lines([0]).sensing.n_units
    centre = np.arange(rows // 2 - 3, rows // 2 + 3)
    other = centre.copy()
    other[0] = 0
    return lines(centre), lines(other), lines(np.arange(6))


def test_the_verdict_is_of_subjects_kinds_and_all(people: Path, plans: tuple[Plan, Plan, Plan]) -> None:
    centre, _, edge = plans
    compared = compare({"edge": edge, "centre": centre, "again": edge}, people)
    found, same = compared.differences
    assert found.psnr.n_subjects == N_SUBJECTS == len(found.subjects)
    assert found.psnr.interval is not None
    assert found.psnr.interval[0] <= found.psnr.mean <= found.psnr.interval[1]
    assert found.psnr.mean == pytest.approx(np.mean([each["psnr_db"] for each in found.subjects.values()]))
    assert found.effects["nrmse"].outcome == found.psnr.outcome == "better"
    assert found.effects["nrmse"].mean < 0
    assert found.sentence.startswith("centre is better than edge in PSNR")
    assert f"{N_SUBJECTS} subjects" in found.sentence
    assert {kind: effects["psnr_db"].n_subjects for kind, effects in found.kinds.items()} == {"t1": 7, "t2": 6}
    assert same.sentence.startswith("again gives the same as edge: PSNR +0.00 dB")
    table = compared.table()
    assert table["differences_to_first"][0]["verdict"] == found.sentence
    assert table["differences_to_first"][0]["measures"]["psnr_db"]["interval"] == list(found.psnr.interval)


def test_plans_of_several_seeds_count_as_one(people: Path, plans: tuple[Plan, Plan, Plan]) -> None:
    centre, other, edge = plans
    compared = compare({"edge": edge, "both": [centre, other]}, people)
    alone = [evaluate(plan, [str(people)]).evaluation.means["plan"]["psnr_db"] for plan in (centre, other)]
    (both,) = compared.measured[1:]
    assert both.evaluation.means["plan"]["psnr_db"] == pytest.approx(np.mean(alone))
    assert both.numbers()["plan_ids"] == [centre.plan_id, other.plan_id]
    wide, narrow = compared.differences[0].psnr, compare({"edge": edge, "one": centre}, people).differences[0].psnr
    assert wide.interval is not None
    assert narrow.interval is not None
    assert wide.interval[1] - wide.interval[0] > narrow.interval[1] - narrow.interval[0]


def test_what_isnt_one_group(people: Path, plans: tuple[Plan, Plan, Plan]) -> None:
    centre, _, edge = plans
    with pytest.raises(RecipeError, match=r"holds the plan .* twice"):
        compare({"edge": edge, "both": [centre, centre]}, people)
    with pytest.raises(RecipeError, match=r"differ in more than their seed: .* the budget 6 of"):
        compare({"edge": edge, "both": [centre, lines(np.arange(5))]}, people)
    with pytest.raises(RecipeError, match=r"differ in more than their seed: .* the noise"):
        compare({"edge": edge, "both": [centre, lines(np.arange(6), noise={"std": 0.2})]}, people)
    with pytest.raises(RecipeError, match=r"both has no plans"):
        compare({"edge": edge, "both": []}, people)
    with pytest.raises(RecipeError, match=r"0 draws"):
        compare({"edge": edge, "centre": centre}, people, noise_seeds=0)


def test_several_draws_of_the_noise_are_averaged(people: Path, plans: tuple[Plan, Plan, Plan]) -> None:
    centre, other, _ = plans
    seeds = [compare([centre, other], people, seed=seed) for seed in (3, 4)]
    both = compare([centre, other], people, seed=3, noise_seeds=2)
    values = [each.measured[0].evaluation.values("plan", "psnr_db") for each in (*seeds, both)]
    assert not np.array_equal(values[0], values[1])
    assert values[2] == pytest.approx((values[0] + values[1]) / 2)


def record(subject: str, name: str) -> ImageRecord:
    return ImageRecord(np.zeros((4, 4), np.float32), subject, f"/a/{subject}/{name}", 0, 1.0, True)


def test_kinds_are_what_names_of_several_subjects_share() -> None:
    records = [
        record("adult_b", "adult_b_t1_axial.npz"),
        record("adult_b", "adult_b_t1_sagittal.npz"),
        record("ms12", "ms12_visit1_t2_axial.npz"),
        record("glioma1", "glioma1_t2_axial.npz"),
        record("x", "x_pd_sagittal_003.npz"),
    ]
    assert kinds_of(records) == ["axial", "sagittal", "t2 axial", "t2 axial", "sagittal"]
    files = [record(name, name) for name in ("file_AXT2_200_001.h5", "file_AXT1_7.h5", "file_AXT2_9.h5")]
    assert kinds_of(files) == ["AXT2", "", "AXT2"]
    assert kinds_of([record("actin", "actin_001.tif"), record("neurons", "neurons_001.tif")]) == ["", ""]


def told(psnr: Effect, ssim: Effect) -> str:
    return sentence("a", "b", {"psnr_db": psnr, "ssim": ssim, "nrmse": psnr})


def test_the_sentence() -> None:
    better = Effect(0.52, (0.31, 0.74), 12, "better")
    worse = Effect(-0.01, (-0.012, -0.008), 12, "worse")
    unclear = Effect(0.05, (-0.1, 0.2), 12, "no difference shown", 140)
    few = Effect(0.3, None, 3, "no difference shown", 9)
    assert told(better, better).startswith("a is better than b in PSNR and SSIM: PSNR +0.52 dB (+0.31 to +0.74), SSIM")
    assert told(better, worse).startswith("a is better than b in PSNR and worse than b in SSIM: ")
    assert told(better, unclear).startswith("a is better than b in PSNR: ")
    assert told(unclear, unclear) == (
        "No difference shown of a to b: PSNR +0.05 dB (-0.10 to +0.20), SSIM +0.0500 (-0.1000 to +0.2000); "
        "12 subjects; one in PSNR of this size would take about 140."
    )
    end = "; 3 subjects, too few to show any, which takes 6 at least; one in PSNR of this size about 9."
    assert told(few, few).endswith(end)
