"""A recipe resolved: everything decided, spelled out, and decided the same way again."""

from __future__ import annotations

import tomllib
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest

from acqplan.core import registry
from acqplan.core.errors import BudgetError, RecipeError
from acqplan.core.seeding import numpy_generator
from acqplan.learning.resolve import resolve
from acqplan.plan.components import Component, option_names
from acqplan.plan.recipe import BudgetSettings, ImageSettings, Recipe
from acqplan.plan.recipe_text import from_toml, to_toml

SIDE = 32


@pytest.fixture(scope="module")
def scans(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("images") / "scans"
    folder.mkdir()
    for i in range(4):
        np.save(folder / f"subject{i}.npy", numpy_generator(i, "image").random((2, SIDE, 2 * SIDE), dtype=np.float32))
    return folder


def open_recipe(scans: Path, modality: str = "mri") -> Recipe:
    return Recipe(modality, images=ImageSettings([str(scans)]), budget=BudgetSettings("4x"))


@pytest.mark.parametrize("modality", ["mri", "dmd"])
def test_everything_is_decided_and_written(scans: Path, modality: str) -> None:
    recipe = open_recipe(scans, modality)
    recipe = recipe.with_settings("images", size=[SIDE, SIDE])
    resolved = resolve(recipe).recipe
    table = tomllib.loads(to_toml(resolved))
    assert set(table) == {each.name for each in fields(Recipe)} - {"instrument"}
    roles = {"sensing": "sensing", "noise": "noise", "designer": "designers", "reconstructor": "reconstructors"}
    for name, role in roles.items():
        # What a search or a tuned parameter comes to is the trained network's.
        assert set(table[name]) == {"kind", *option_names(role, table[name]["kind"])} - {"rounds", "power"}
    assert table["budget"]["calibration"] > 0
    assert table["training"]["batch_size"] > 0


@pytest.mark.parametrize("modality", ["mri", "dmd"])
def test_the_usual_designer_is_one_that_can_judge_patterns(scans: Path, modality: str) -> None:
    recipe = open_recipe(scans, modality).with_settings("images", size=[SIDE, SIDE])
    blind = recipe.with_settings("training", loss={"data-consistency": 1.0, "tv": 0.005})
    unjudged = {"mri": "variable-density", "dmd": "low-pass"}[modality]
    lines = replace(recipe, sensing=Component("cartesian_mri", {"encoding": "lines"}))
    for each, designer in (
        (recipe, {"mri": "poisson-disc", "dmd": "swaps"}[modality]),
        *([(lines, "swaps")] if modality == "mri" else []),
        (replace(recipe, reconstructor=Component("hqsnet")), unjudged),  # never sees the truth
        (blind, unjudged),
        (replace(recipe, reconstructor=Component("wavelet")), unjudged),
        (replace(blind, designer=Component("uniform")), "uniform"),
    ):
        assert resolve(each).recipe.designer.kind == designer


@pytest.mark.parametrize("modality", ["mri", "dmd"])
def test_a_resolved_recipe_resolves_to_itself(scans: Path, modality: str) -> None:
    recipe = open_recipe(scans, modality).with_settings("images", size=[SIDE, SIDE])
    resolved = resolve(recipe).recipe
    assert resolve(resolved).recipe == resolved
    assert resolve(from_toml(to_toml(resolved))).recipe == resolved


@pytest.mark.parametrize("kind", sorted(set(registry.kinds("designers")) - {"from-plan"}))
def test_every_designer_is_spelled_out(scans: Path, kind: str) -> None:
    lines = Component("cartesian_mri", {"encoding": "lines"})
    recipe = replace(open_recipe(scans), sensing=lines, designer=Component(kind))
    options = resolve(recipe).recipe.designer.options
    # The place where an equispaced pattern starts is the seed's, what a search comes to is the trained network's.
    decided_later = {"offset", "power", "share", "shape", "times", "rounds"}
    assert set(options) == set(option_names("designers", kind)) - decided_later


@pytest.mark.parametrize("kind", list(registry.kinds("reconstructors")))
def test_every_reconstructor_is_spelled_out(scans: Path, kind: str) -> None:
    # A fixed designer goes with every reconstructor, those that never see the truth included.
    recipe = replace(open_recipe(scans), designer=Component("variable-density"), reconstructor=Component(kind))
    assert set(resolve(recipe).recipe.reconstructor.options) == set(option_names("reconstructors", kind))


def test_options_that_were_given_stay(scans: Path) -> None:
    recipe = replace(
        open_recipe(scans),
        designer=Component("variable-density", {"power": 2}),
        reconstructor=Component("unrolled", {"stages": 1}),
        noise=Component("complex_gaussian", {"std": 0.1}),
        sensing=Component("cartesian_mri", {"encoding": "lines"}),
    )
    problem = resolve(recipe)
    assert problem.recipe.designer.options == {"power": 2.0}
    assert problem.recipe.reconstructor.options["stages"] == 1
    assert problem.recipe.reconstructor.options["channels"] > 0
    assert problem.recipe.noise == Component("complex_gaussian", {"std": 0.1})
    assert problem.recipe.sensing == Component("cartesian_mri", {"encoding": "lines"})
    assert problem.sensing.n_units == SIDE


def test_the_size_is_the_smallest_of_the_images(scans: Path, tmp_path: Path) -> None:
    np.save(tmp_path / "wide.npy", np.ones((2, SIDE - 2, 3 * SIDE), dtype=np.float32))
    recipe = open_recipe(scans).with_settings("images", paths=[str(scans), str(tmp_path / "wide.npy")])
    assert resolve(recipe).recipe.images.size == [SIDE - 2, 2 * SIDE]


def test_calibration_takes_at_most_a_third_of_the_budget(scans: Path) -> None:
    wide = resolve(open_recipe(scans))
    assert 3 * wide.design.budget.n_calibration <= wide.design.budget.n_readings
    narrow = resolve(open_recipe(scans).with_settings("budget", amount="3"))
    assert narrow.recipe.budget.calibration == 0


@pytest.mark.parametrize("amount", ["4x", "100"])
@pytest.mark.parametrize("modality", ["mri", "dmd"])
def test_the_calibration_region_counts_in_the_budget(scans: Path, modality: str, amount: str) -> None:
    recipe = open_recipe(scans, modality).with_settings("images", size=[SIDE, SIDE])
    recipe = replace(recipe, designer=Component("uniform"))
    with_one, without = (
        resolve(recipe.with_settings("budget", amount=amount, calibration=width)).design for width in (4, 0)
    )
    assert with_one.calibration.size == with_one.budget.n_calibration == 16
    assert without.calibration.size == without.budget.n_calibration == 0
    assert with_one.budget.n_readings == without.budget.n_readings
    assert with_one.n_free == without.n_free - 16


def test_a_budget_below_the_calibration_region_is_refused(scans: Path) -> None:
    recipe = open_recipe(scans).with_settings("images", size=[SIDE, SIDE])
    assert resolve(recipe.with_settings("budget", amount="16", calibration=4)).design.n_free == 0
    with pytest.raises(BudgetError, match="calibration region takes 16 readings, the whole budget is 15"):
        resolve(recipe.with_settings("budget", amount="15", calibration=4))


@pytest.mark.parametrize(("scheme", "per_unit"), [("pairs", 2.0), ("two-detector", 2.0), ("dc", 4.0)])
def test_the_noise_of_a_unit_is_in_units_of_full_scale(scans: Path, scheme: str, per_unit: float) -> None:
    """Read noise alone, next to which the light counts for nothing; decoded as the scheme's formula says."""
    recipe = open_recipe(scans, "dmd").with_settings("images", size=[SIDE, SIDE])
    photons, read_noise_e = 50.0, 1e6
    noise = Component("poisson_gaussian", {"photons": photons, "read_noise_e": read_noise_e, "dark_e": 0.0})
    design = resolve(replace(recipe, sensing=Component("hadamard_dmd", {"scheme": scheme}), noise=noise)).design
    assert design.variance is not None
    expected = per_unit * read_noise_e**2 / SIDE**2 / photons**2
    assert design.variance[1:] == pytest.approx(np.full(SIDE**2 - 1, expected), rel=1e-3)


@pytest.mark.parametrize("modality", ["mri", "dmd"])
def test_more_light_leaves_the_energy_of_a_unit_and_lowers_its_noise(scans: Path, modality: str) -> None:
    recipe = open_recipe(scans, modality).with_settings("images", size=[SIDE, SIDE])
    bright, dim = (
        resolve(replace(recipe, noise=noise)).design
        for noise in (
            (Component("complex_gaussian", {"std": 0.001}), Component("complex_gaussian", {"std": 0.01}))
            if modality == "mri"
            else (
                Component("poisson_gaussian", {"photons": 1e4, "read_noise_e": 0.0}),
                Component("poisson_gaussian", {"photons": 100.0, "read_noise_e": 0.0}),
            )
        )
    )
    assert bright.variance is not None
    assert dim.variance is not None
    assert bright.energy == pytest.approx(dim.energy)
    assert dim.variance == pytest.approx(100 * bright.variance, rel=1e-5)


def test_the_energy_is_that_of_augmented_training_images(scans: Path) -> None:
    """Tiles are turned in training, so that rows and columns of the catalogue are worth the same."""
    recipe = open_recipe(scans, "dmd").with_settings("images", size=[SIDE, SIDE])
    energy = resolve(recipe).design.energy.reshape(SIDE, SIDE)
    assert np.corrcoef(np.log(energy).ravel(), np.log(energy.T).ravel())[0, 1] > 0.5
    assert np.array_equal(energy, resolve(recipe).design.energy.reshape(SIDE, SIDE))


@pytest.mark.parametrize(
    ("section", "settings", "said"),
    [
        ("images", {"fit": "stretch"}, "fit is 'stretch'"),
        ("images", {"size": [16]}, r"size is \[16\]"),
        ("images", {"slices": [1]}, r"slices is \[1\]"),
        ("training", {"minutes": 1.0, "steps": 2}, "Both minutes and steps"),
        ("training", {"steps": 0}, "steps is 0"),
        ("training", {"batch_size": -1}, "batch_size is -1"),
        ("budget", {"amount": ""}, "No budget"),
    ],
)
def test_settings_that_make_no_sense(scans: Path, section: str, settings: dict[str, object], said: str) -> None:
    with pytest.raises(RecipeError, match=said):
        resolve(open_recipe(scans).with_settings(section, **settings))


@pytest.mark.parametrize("role", ["designer", "reconstructor", "noise"])
def test_an_option_of_the_wrong_type_is_named(scans: Path, role: str) -> None:
    kind, name = {
        "designer": ("learned", "spread"),
        "reconstructor": ("unrolled", "stages"),
        "noise": ("complex_gaussian", "std"),
    }[role]
    component = {role: Component(kind, {name: "high"})}
    with pytest.raises(RecipeError, match=name):
        resolve(replace(open_recipe(scans), **component))  # type: ignore[arg-type]
