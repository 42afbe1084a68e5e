"""Recipes: TOML and back, and a clear word for every mistake."""

from __future__ import annotations

import math
import re
import tomllib
from dataclasses import fields
from typing import Any

import pytest

from acqplan.core.errors import RecipeError
from acqplan.modalities.dmd.settings import DMDSettings
from acqplan.plan.components import Component, build, check_options, option_names
from acqplan.plan.recipe import BudgetSettings, ImageSettings, Recipe, TrainingSettings
from acqplan.plan.recipe_text import from_dict, from_toml, to_toml

FULL = Recipe(
    "dmd",
    seed=7,
    images=ImageSettings(
        ["fields/ä b", 'quote".tif'],
        [64, 32],
        "crop",
        2,
        [3, 9],
        held_out=0.25,
        validation=0.125,
        train_only=["public/"],
    ),
    sensing=Component("hadamard_dmd"),
    budget=BudgetSettings("2min30s", 4, 5e-05),
    noise=Component("poisson_gaussian", {"photons": 200.0, "dark_e": 0.5}),
    designer=Component("variable-density", {"power": 1.5}),
    reconstructor=Component("unet", {"channels": 8}),
    instrument=DMDSettings(power_w=2e-3),
    training=TrainingSettings(
        steps=400,
        base="lab.acqbase",
        base_id="ab12",
        keep_best=True,
        compact=True,
        loss={"tv": 0.005, "held-back": 1.0},
        hold_back=0.3,
        noise_range=[0.5, 4.0],
        batch_size=2,
        learning_rate=1e-3,
        precision="bfloat16",
        joint_share=0.5,
        pace=[4] * 20 + [16] * 20,
        stop_at=399,
        threads=1,
        device="cuda",
    ),
)


@pytest.mark.parametrize("recipe", [Recipe("mri"), FULL])
def test_toml_gives_the_recipe_back(recipe: Recipe) -> None:
    assert from_toml(to_toml(recipe)) == recipe
    assert to_toml(from_toml(to_toml(recipe))) == to_toml(recipe)


def test_settings_left_open_are_left_out() -> None:
    table = tomllib.loads(to_toml(Recipe("mri")))
    assert "sensing" not in table
    assert "size" not in table["images"]
    assert "designer" not in table
    assert table["reconstructor"] == {"kind": "unrolled"}


def test_every_setting_is_written() -> None:
    table = tomllib.loads(to_toml(FULL))
    assert set(table) == {each.name for each in fields(Recipe)} - {"instrument"}
    assert set(table["images"]) == {each.name for each in fields(ImageSettings)}
    assert table["noise"] == {"kind": "poisson_gaussian", "photons": 200.0, "dark_e": 0.5}
    assert set(table["training"]) == {each.name for each in fields(TrainingSettings)} - {"minutes"}


def test_a_recipe_as_a_person_writes_it() -> None:
    recipe = from_toml(
        """
        modality = "mri"
        [images]
        paths = ["scans/"]
        size = [128, 128]
        held_out = 0          # whole numbers are numbers
        [budget]
        amount = "4x"
        [designer]
        kind = "variable-density"
        power = 2
        """
    )
    assert recipe.images.size == [128, 128]
    assert recipe.images.held_out == 0.0
    assert isinstance(recipe.images.held_out, float)
    assert recipe.designer == Component("variable-density", {"power": 2})
    assert recipe.training == TrainingSettings()


def test_a_changed_setting_makes_a_new_recipe() -> None:
    changed = FULL.with_settings("training", steps=None, minutes=3.0)
    assert (changed.training.steps, changed.training.minutes) == (None, 3.0)
    assert FULL.training.steps == 400
    assert changed.with_settings("training", steps=400, minutes=None) == FULL


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            'modality = "mri"\nbudgets = 3',
            "myfile has an unknown key 'budgets'. Did you mean 'budget'? Known: modality,",
        ),
        ('modality = "mri"\n[images]\npath = []', "myfile [images] has an unknown key 'path'. Did you mean 'paths'?"),
        (
            'modality = "mri"\n[training]\nbatch = 4',
            "[training] has an unknown key 'batch'. Did you mean 'batch_size'?",
        ),
        ('modality = "mri"\n[training]\nzzz = 4', "[training] has an unknown key 'zzz'. Known: minutes, steps"),
        ('modality = "pet"', "There is no modality 'pet'. Choose one of: dmd, mri."),
        ("seed = 1", 'myfile doesn\'t say which modality. Add modality = "dmd" or "mri".'),
        ('modality = "mri"\nimages = 3', "myfile [images] is 3, expected a table. Write it as [images]."),
        ('modality = "mri"\n[designer]\nslope = 3', 'myfile [designer] has no kind. Add kind = "…".'),
        ('modality = "mri"\n[designer]\nkind = 3', "[designer] has no kind"),
        ('modality = "mri', "myfile is no valid TOML"),
        (f'modality = "mri"\nseed = {"9" * 5000}', "myfile is no valid TOML"),
        (f'modality = "mri"\nseed = {"[" * 5000}', "myfile is no valid TOML"),
        ('modality = "dmd"\n[noise]\ndark_e = 99999999999999999999', "its whole numbers have 64 bits"),
        ('modality = "mri"\n[images]\nsize = [8, -9223372036854775809]', "-9223372036854775809 doesn't fit"),
        ('modality = "mri"\nseed = 1.5', "myfile seed is 1.5, expected a whole number of at least 0. Correct it."),
        ('modality = "mri"\nseed = true', "seed is True, expected a whole number"),
        ('modality = "mri"\nseed = "1"', "seed is '1', expected a whole number"),
        ("modality = 3", "modality is 3, expected a text"),
        ('modality = "mri"\n[images]\nsize = 128', "[images] size is 128, expected a list of whole numbers"),
        ('modality = "mri"\n[images]\nsize = [128, 12.5]', "[images] size is 12.5, expected a whole number"),
        ('modality = "mri"\n[images]\npaths = "scans"', "[images] paths is 'scans', expected a list of texts"),
        ('modality = "mri"\n[images]\nheld_out = true', "held_out is True, expected a number"),
        ('modality = "mri"\n[training]\nlearning_rate = nan', "learning_rate is nan, expected a number"),
        ('modality = "mri"\n[training]\nminutes = inf', "minutes is inf, expected a number"),
        ('modality = "mri"\n[budget]\namount = 64', "[budget] amount is 64, expected a text"),
    ],
)
def test_mistakes_are_named(text: str, message: str) -> None:
    with pytest.raises(RecipeError, match=re.escape(message)):
        from_toml(text, "myfile")


def test_from_dict_takes_the_tables_of_toml() -> None:
    table: dict[str, Any] = tomllib.loads(to_toml(FULL))
    assert from_dict(table) == FULL
    with pytest.raises(RecipeError, match="recipe has an unknown key 'model'"):
        from_dict({**table, "model": 1})


def test_options_of_a_component_are_those_of_its_class() -> None:
    assert option_names("designers", "loupe") == ["slope"]
    check_options("designers", Component("loupe", {"slope": 3}))
    with pytest.raises(RecipeError, match=r"designer 'loupe' has an unknown key 'slop'\. Did you mean 'slope'\?"):
        check_options("designers", Component("loupe", {"slop": 3}))
    with pytest.raises(RecipeError, match=r"designer 'uniform' has an unknown key 'slope'\. Known: none\."):
        check_options("designers", Component("uniform", {"slope": 3}))
    with pytest.raises(RecipeError, match="unknown key 'problem'"):  # what acqplan gives isn't an option
        check_options("designers", Component("loupe", {"problem": 3}))
    with pytest.raises(RecipeError, match=r"no designer kind 'lupe'\. Did you mean 'loupe'\?"):
        check_options("designers", Component("lupe"))


def test_a_size_that_no_image_has_is_refused() -> None:
    recipe = Recipe("mri").with_settings("images", size=[16, 2**31])
    with pytest.raises(RecipeError, match="more than 268435456 pixels"):
        recipe.check()


def test_options_that_no_network_can_have_are_refused() -> None:
    beyond: tuple[dict[str, Any], ...] = ({"channels": math.inf}, {"channels": 2**62}, {"depth": 10**5})
    together: tuple[dict[str, Any], ...] = ({"stages": 9999, "depth": 9999}, {"channels": 9999})
    for options in (*beyond, *together, {"depth": "three"}):
        with pytest.raises(RecipeError, match=r"can't be made from|Give at most 10000"):
            build("reconstructors", Component("unrolled", options), is_complex=True)
