"""What each order promises beyond the laws of all."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from builders.plans import make_plan

from acqplan.core import registry
from acqplan.core.errors import InstrumentError, RecipeError
from acqplan.core.seeding import numpy_generator
from acqplan.formats.export import export
from acqplan.learning.resolve import resolve
from acqplan.learning.training import design
from acqplan.modalities.mri.orders import dealt_to_trains
from acqplan.modalities.mri.sensing import CartesianMRI
from acqplan.plan.components import Component
from acqplan.plan.recipe import BudgetSettings, ImageSettings, Recipe, TrainingSettings
from acqplan.plan.recipe_text import from_toml, to_toml
from acqplan.report import figures
from acqplan.report.plan_page import plan_page
from acqplan.sensing.model import SensingModel

LINES = CartesianMRI((8, 2), "lines")
POINTS = CartesianMRI((4, 4), "points")


def arrange(kind: str, units: list[int], sensing: SensingModel = LINES, **options: int) -> list[int]:
    order = registry.find("orders", kind)(**options)
    arranged: list[int] = order.arrange(np.array(units, dtype=np.int32), sensing, energy=None, seed=0).tolist()
    return arranged


def test_linear_ascends() -> None:
    assert arrange("linear", [5, 1, 4, 1]) == [1, 1, 4, 5]


def test_centre_out_starts_in_the_centre() -> None:
    # The centre is line 4; of two lines equally far the one with the lower index comes first.
    assert arrange("centre-out", list(range(8))) == [4, 3, 5, 2, 6, 1, 7, 0]
    # Centre (2, 2) is unit 10; its neighbours are 6, 9, 11 and 14.
    assert arrange("centre-out", list(range(16)), POINTS)[:5] == [10, 6, 9, 11, 14]


def test_centre_out_by_trains_gives_the_centre_to_the_first_echoes() -> None:
    assert arrange("centre-out", list(range(8)), echo_train=2) == [4, 6, 3, 1, 5, 7, 2, 0]


def test_interleaved_takes_every_nth() -> None:
    assert arrange("interleaved", list(range(8))) == [0, 2, 4, 6, 1, 3, 5, 7]
    assert arrange("interleaved", list(range(8)), interleaves=3) == [0, 3, 6, 1, 4, 7, 2, 5]


def test_random_follows_the_seed() -> None:
    order, units = registry.find("orders", "random")(), np.arange(8, dtype=np.int32)
    drawn = {tuple(order.arrange(units, LINES, energy=None, seed=seed).tolist()) for seed in range(20)}
    assert len(drawn) > 15


def test_segmented_sweeps_once_per_train() -> None:
    # Two trains of four echoes: each echo has a band of two neighbouring lines.
    assert arrange("segmented", list(range(8)), echo_train=4) == [0, 2, 4, 6, 1, 3, 5, 7]


@pytest.mark.parametrize("echo", [1, 2, 3, 4])
def test_the_effective_echo_covers_the_centre(echo: int) -> None:
    sensing = CartesianMRI((64, 2), "lines")
    arranged = np.array(arrange("segmented", list(range(64)), sensing, echo_train=4, effective_echo=echo))
    trains = arranged.reshape(16, 4)
    band = np.sort(trains[:, echo - 1])
    assert 32 in band
    assert band.tolist() == list(range(24, 40))  # the centre is in the middle of its band
    other = trains[:, echo % 4]
    assert np.ptp(np.sort(other)) in (15, 63)  # one band, or across both ends


@pytest.mark.parametrize(("n", "echo_train"), [(12, 4), (13, 4), (15, 4), (3, 4), (1, 7), (100, 9)])
def test_trains_take_one_unit_from_each_band(n: int, echo_train: int) -> None:
    dealt = dealt_to_trains(np.arange(n, dtype=np.int32), echo_train)
    assert sorted(dealt.tolist()) == list(range(n))
    for start in range(0, n, echo_train):
        train = dealt[start : start + echo_train]
        assert np.array_equal(train, np.sort(train))
        assert train.size == 1 or np.diff(train).min() >= max(1, n // echo_train - 2)


@pytest.mark.parametrize(
    ("kind", "options", "said"),
    [
        ("interleaved", {"interleaves": 1}, "interleaves is 1"),
        ("segmented", {"echo_train": 0}, "0 echoes"),
        ("centre-out", {"echo_train": -1}, "-1 echoes"),
        ("segmented", {"echo_train": 4, "effective_echo": 5}, "effective echo is 5, a train has 4"),
    ],
)
def test_impossible_settings_are_named(kind: str, options: dict[str, int], said: str) -> None:
    with pytest.raises(RecipeError, match=said):
        registry.find("orders", kind)(**options)


@pytest.fixture(scope="module")
def recipe(tmp_path_factory: pytest.TempPathFactory) -> Recipe:
    folder = tmp_path_factory.mktemp("images") / "scans"
    folder.mkdir()
    for i in range(3):
        np.save(folder / f"subject{i}.npy", numpy_generator(i, "image").random((1, 16, 16), dtype=np.float32))
    return Recipe(
        "mri",
        images=ImageSettings([str(folder)]),
        budget=BudgetSettings("8"),
        sensing=Component("cartesian_mri", {"encoding": "lines"}),
        designer=Component("uniform"),
        reconstructor=Component("zero-filled"),
        training=TrainingSettings(steps=1, threads=1),
    )


def test_the_order_is_decided_and_written(recipe: Recipe) -> None:
    assert resolve(recipe).recipe.pattern.order == Component("linear")
    trains = resolve(recipe.with_settings("pattern", echo_train=4)).recipe
    assert trains.pattern.order == Component("segmented")
    sweeps = resolve(recipe.with_settings("pattern", order="interleaved")).recipe
    assert sweeps.pattern.order == Component("interleaved", {"interleaves": 2})
    assert resolve(from_toml(to_toml(sweeps))).recipe == sweeps


def test_the_plan_acquires_in_the_order(recipe: Recipe) -> None:
    usual = design(recipe)
    assert usual.pattern.order.tolist() == sorted(usual.pattern.order.tolist())
    plan = design(recipe.with_settings("pattern", order="centre-out"))
    distances = plan.sensing.distance()[plan.pattern.order]
    assert (np.diff(distances) >= 0).all()
    assert np.array_equal(plan.pattern.mask, usual.pattern.mask)
    assert np.array_equal(plan.pattern.calibration, usual.pattern.calibration)
    # What is measured is the same, so that the order alone changes no evidence.
    assert plan.evidence == usual.evidence


def test_a_pattern_from_a_plan_keeps_its_order(recipe: Recipe, tmp_path: Path) -> None:
    first = design(recipe.with_settings("pattern", order="random"))
    first.save(tmp_path / "first.acqplan")
    given = Component("from-plan", {"plan": str(tmp_path / "first.acqplan")})
    again = replace(first.recipe, designer=given, seed=7)
    with pytest.raises(RecipeError, match="keeps the other plan's"):
        resolve(again)
    second = design(again.with_settings("pattern", order=None))
    assert second.pattern == first.pattern
    assert second.recipe.pattern.order == Component("given")


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"order": "centre-in"}, "Did you mean 'centre-out'"),
        ({"interleaves": 3}, "interleaves is given, which the order linear doesn't have.*interleaved"),
        ({"order": "random", "effective_echo": 1}, "effective_echo is given"),
    ],
)
def test_orders_that_cannot_be(recipe: Recipe, settings: dict[str, object], said: str) -> None:
    with pytest.raises(RecipeError, match=said):
        resolve(recipe.with_settings("pattern", **settings))


def test_an_order_of_another_modality_is_refused(recipe: Recipe) -> None:
    dmd = replace(recipe, modality="dmd", sensing=None).with_settings("pattern", order="centre-out")
    with pytest.raises(RecipeError, match=r"centre-out isn't one for dmd.*linear"):
        resolve(dmd.with_settings("images", size=[16, 16]))


# --- the picture ----------------------------------------------------------------------------------


def test_the_picture_of_lines_is_ky_against_shot(recipe: Recipe) -> None:
    plan = design(recipe.with_settings("pattern", order="random"))
    pixels = figures.order_colours(plan)
    assert pixels.shape == (16, 16, 3)  # eight shots of two columns each
    paper = (pixels == pixels[0, 0]).all(-1) if 0 not in plan.pattern.order else (pixels == pixels[-1, -1]).all(-1)
    for shot, ky in enumerate(plan.pattern.order.tolist()):
        column = ~paper[:, 2 * shot]
        assert np.flatnonzero(column).tolist() == [ky]
        assert np.array_equal(pixels[ky, 2 * shot], pixels[ky, 2 * shot + 1])
    drawn = pixels[plan.pattern.order, 2 * np.arange(8)].astype(int)
    scale = figures.order_scale(8)[0].astype(int)
    assert np.abs(drawn - scale).max() <= 1


def test_the_picture_of_trains_shows_the_echo(recipe: Recipe) -> None:
    plan = design(recipe.with_settings("pattern", echo_train=4))
    pixels = figures.order_colours(plan, by_echo=True)
    scale = figures.order_scale(4)[0].astype(int)
    for number, ky in enumerate(plan.pattern.order.tolist()):
        shot, echo = divmod(number, 4)
        assert np.abs(pixels[ky, 8 * shot].astype(int) - scale[echo]).max() <= 1


def test_the_picture_of_points_shows_the_time(recipe: Recipe) -> None:
    points = replace(recipe, sensing=Component("cartesian_mri", {"encoding": "points"}))
    plan = design(points.with_settings("budget", amount="64").with_settings("pattern", order="centre-out"))
    pixels = figures.order_colours(plan).reshape(-1, 3).astype(int)
    scale = figures.order_scale(64)[0].astype(int)
    assert np.abs(pixels[plan.pattern.order] - scale).max() <= 1
    unmeasured = pixels[~plan.pattern.mask]
    assert (unmeasured == unmeasured[0]).all()
    assert (np.abs(unmeasured[0] - scale).max(1) > 20).all()  # paper is no time


def test_large_pictures_stay_small() -> None:
    sensing = CartesianMRI((1500, 2), "lines")
    plan = make_plan(sensing, np.random.default_rng(0).permutation(1500)[:1100])
    assert max(figures.order_colours(plan).shape) <= 512


def test_the_page_shows_the_order(recipe: Recipe) -> None:
    html = plan_page(design(recipe.with_settings("pattern", echo_train=4)))
    assert "Order of acquisition: segmented" in html
    assert "ky down, 2 shots to the right." in html
    assert "last echo" in html


def test_a_table_says_what_its_rows_are(recipe: Recipe, tmp_path: Path) -> None:
    plan = design(recipe.with_settings("pattern", echo_train=4))
    export(plan, registry.find("instruments", "table")(), tmp_path / "table")
    text = (tmp_path / "table" / "table.csv").read_text()
    assert "# echo_train: 4\n" in text
    assert "every 4 follow one excitation" in text
    (tmp_path / "table" / "table.csv").write_text(text.replace("echo_train: 4", "echo_train: 5"))
    with pytest.raises(InstrumentError, match="contradicts itself: rows"):
        registry.find("instruments", "table")().read(tmp_path / "table")


def test_a_gradient_echo_plays_no_trains(recipe: Recipe) -> None:
    pytest.importorskip("pypulseq")
    pulseq = registry.find("instruments", "pulseq")
    trains = design(recipe.with_settings("pattern", echo_train=4))
    assert any("trains of 4 echoes" in problem for problem in pulseq().check(trains))
    assert not any("trains" in problem for problem in pulseq().check(design(recipe)))
    points = design(replace(recipe, sensing=Component("cartesian_mri", {"encoding": "points"})))
    assert any("one slab, not 3 slices" in p and "whole lines" in p for p in pulseq(slices=3).check(points))
