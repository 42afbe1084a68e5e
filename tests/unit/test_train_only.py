"""Images that are only trained on."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from builders.images import write_volume
from builders.trainings import make_recipe

from acqplan.learning.evidence import base_warnings
from acqplan.learning.resolve import resolve
from acqplan.learning.training import design
from acqplan.plan.recipe import Recipe
from acqplan.workflow.evaluate import evaluate


@pytest.fixture(scope="module")
def public(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("public") / "public"
    folder.mkdir()
    for i in range(3):
        write_volume(folder / f"stranger{i}.nii.gz", 30 + i)
    return folder


def recipe_of(scans: Path, *more: Path) -> Recipe:
    return make_recipe(scans).with_settings("images", train_only=[str(path) for path in more] or None)


def test_they_join_the_training_images_and_leave_the_split_alone(scans: Path, public: Path) -> None:
    alone, joined = (resolve(recipe_of(scans, *more)).images for more in ((), (public,)))
    for part in ("validation", "test"):
        here, there = getattr(alone, part), getattr(joined, part)
        assert [record.source for record in here] == [record.source for record in there]
        for one, other in zip(here, there, strict=True):
            np.testing.assert_array_equal(one.array, other.array)
    more = {record.subject for record in joined.train} - {record.subject for record in alone.train}
    assert more == {f"stranger{i}.nii.gz" for i in range(3)}
    assert {record.subject for record in alone.train} <= {record.subject for record in joined.train}


def test_a_copy_of_a_held_out_image_does_not_get_into_training(scans: Path, tmp_path: Path) -> None:
    held_out = Path(resolve(recipe_of(scans)).images.test[0].source)
    (tmp_path / "copy.nii.gz").write_bytes(held_out.read_bytes())
    images = resolve(recipe_of(scans, tmp_path / "copy.nii.gz")).images
    assert not any("copy" in record.source for record in images.train)
    assert not {record.subject for record in images.train} & {record.subject for record in images.test}


def test_images_that_are_named_twice_follow_the_split(scans: Path) -> None:
    assert resolve(recipe_of(scans, scans)).images.fingerprint == resolve(recipe_of(scans)).images.fingerprint


def test_a_folder_of_links_is_as_good_as_one_of_files(scans: Path, public: Path, tmp_path: Path) -> None:
    for path in scans.iterdir():
        (tmp_path / path.name).symlink_to(path)
    here, there = (resolve(recipe_of(folder, public)).images for folder in (scans, tmp_path))
    assert here.fingerprint == there.fingerprint


def test_a_plan_knows_that_it_was_trained_on_them(scans: Path, public: Path) -> None:
    base = design(recipe_of(scans, public))
    (warning,) = evaluate(base, public, limit=1).seen
    assert "aren't evidence" in warning
    (told,) = base_warnings(resolve(recipe_of(public)), base)
    assert "it has seen the held-out ones" in told
