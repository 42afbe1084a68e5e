"""Small lesions put into images."""

from __future__ import annotations

import numpy as np
import pytest

from acqplan.images import ImageRecord
from acqplan.learning import lesions


def record(side: int = 48) -> ImageRecord:
    array = np.zeros((side, side), np.complex64)
    array[6:42, 6:42] = 1j
    return ImageRecord(array, "s", "s.nii", 0, 1.0, True)


def test_lesions_are_in_even_places_and_apart() -> None:
    image = record()
    where = lesions.spots(image, 0)
    assert 1 < len(where) <= lesions.PER_IMAGE
    assert lesions.spots(image, 0) == where != lesions.spots(image, 1)
    for i, spot in enumerate(where):
        around = image.array[spot.row - 4 : spot.row + 5, spot.column - 4 : spot.column + 5]
        np.testing.assert_array_equal(around, 1j)
        for other in where[:i]:
            assert np.hypot(spot.row - other.row, spot.column - other.column) >= 16


def test_a_lesion_is_brighter_and_keeps_the_phase() -> None:
    image = record()
    where = lesions.spots(image, 0)
    changed = lesions.with_lesions(image, where)
    np.testing.assert_allclose(changed.array[where[0].place], 1.2j)
    assert (changed.array != image.array).sum() == 9 * len(where)
    assert np.abs(image.array).max() == 1


@pytest.mark.parametrize("share", [0.0, 0.5, 1.0])
def test_kept_contrast_is_the_share_that_is_seen(share: float) -> None:
    image = record()
    where = lesions.spots(image, 0)
    changed = lesions.with_lesions(image, where).array
    seen = image.array + share * (changed - image.array)
    np.testing.assert_allclose(lesions.kept_contrast(image.array, seen, image, where), share, atol=1e-6)


def test_a_lesion_that_is_not_there_is_found_and_a_fainter_one_is_not() -> None:
    image = record()
    where = lesions.spots(image, 0)
    changed = lesions.with_lesions(image, where).array
    assert lesions.has_false_lesion(changed, image.array)
    assert not lesions.has_false_lesion(image.array + 0.8 * (changed - image.array), image.array)
    assert not lesions.has_false_lesion(changed, changed)  # of the true image's own spots none is false


def test_an_image_of_edges_has_no_place() -> None:
    board = np.indices((48, 48)).sum(0) % 2
    uneven = ImageRecord(board.astype(np.float32), "s", "s.tif", 0, 1.0, False)
    assert lesions.spots(uneven, 0) == []
