"""Acquisitions and scans: values computed when they are asked for, units, and where slices lie."""

from __future__ import annotations

import numpy as np
import pytest

from acqplan.sensing.acquisition import Acquisition, Geometry, LazySequence, Scan
from acqplan.sensing.pattern import Pattern


def test_a_lazy_sequence_computes_what_is_asked_for() -> None:
    asked: list[int] = []

    def item(place: int) -> int:
        asked.append(place)
        return 10 * place

    items = LazySequence(item, range(5))
    assert len(items) == 5
    part = items[3:0:-1]
    assert (len(part), asked) == (3, [])
    assert (part[0], part[-1], items[-1]) == (30, 10, 40)
    assert asked == [3, 1, 4]
    assert list(items) == [0, 10, 20, 30, 40]
    for sequence in (items, part):
        for beyond in (len(sequence), -len(sequence) - 1):
            with pytest.raises(IndexError):
                sequence[beyond]


def test_a_mapped_scan_changes_one_image_at_a_time() -> None:
    images = [Acquisition(np.full(3, float(i)), None, str(i)) for i in range(4)]
    asked: list[str] = []

    def change(acquisition: Acquisition) -> Acquisition:
        asked.append(acquisition.source)
        return Acquisition(2 * acquisition.readings, None, "twice " + acquisition.source)

    mapped = Scan(images, "scan").mapped(change)
    assert len(mapped.acquisitions[1:]) == 3
    assert asked == []
    assert mapped.acquisitions[1:][1].source == "twice 2"
    assert asked == ["2"]


def test_units_are_the_files_own_or_the_patterns() -> None:
    pattern = Pattern(np.array([4, 1, 1]), 6)
    assert Acquisition(np.zeros(3), None, "a").units(pattern).tolist() == [4, 1, 1]
    assert Acquisition(np.zeros(2), None, "a", np.array([1, 4], np.int32)).units(pattern).tolist() == [1, 4]


def test_where_slices_and_parts_lie() -> None:
    random = np.random.default_rng(0)
    affine = np.vstack([random.normal(size=(3, 4)), [0, 0, 0, 1]])
    volume = Geometry(affine)
    index = np.array([2.0, 3.0, 0.0, 1.0])
    np.testing.assert_allclose(volume.of_slice(5).affine @ index, affine @ [2, 3, 5, 1])
    part = volume.moved((1.0, -2.0, 4.0), (2.0, 3.0, 1.0))
    np.testing.assert_allclose(part.affine @ index, affine @ [1 + 2 * 2, -2 + 3 * 3, 4, 1])
