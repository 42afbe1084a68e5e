"""Images that trainings share."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from builders.trainings import blobs, make_recipe, write_scans

from acqplan.learning.training import design
from acqplan.plan.recipe import BudgetSettings, Recipe


@pytest.fixture(scope="module")
def scans(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_scans(tmp_path_factory.mktemp("images") / "scans")


@pytest.fixture(scope="session")
def family(tmp_path_factory: pytest.TempPathFactory) -> Recipe:
    """Recipe of a base for lines: of fourteen subjects six are held out, and four validated by."""
    folder = tmp_path_factory.mktemp("images") / "people"
    folder.mkdir()
    for i in range(14):
        np.save(folder / f"subject{i:02}.npy", blobs(i))
    made = make_recipe(folder, designer="any-pattern", encoding="lines", budget="8")
    made = made.with_settings("images", held_out=0.43, validation=0.29)
    return replace(made, budget=BudgetSettings("8", frame_time_s=0.5))


@pytest.fixture(scope="session")
def family_base(family: Recipe, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("base") / "lab.acqbase"
    design(family).save(path)
    return path
