"""No subject, no neighbouring slice and no neighbouring region on both sides of a split."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from acqplan.core.errors import ImageError, RecipeError
from acqplan.images import ImageStack, Split, split
from acqplan.sensing.acquisition import Geometry

RNG = np.random.default_rng(0)


def stack_of(subject: str, n: int = 12, shape: tuple[int, int] = (8, 8), **changes: object) -> ImageStack:
    images = RNG.random((n, *shape)).astype(np.float32) + 1
    return ImageStack(images=images, subject=subject, source=f"{subject}.npy", is_magnitude=True, **changes)


def subjects(part: tuple[ImageStack, ...]) -> set[str]:
    return {stack.subject for stack in part}


def numbers(part: tuple[ImageStack, ...]) -> list[int]:
    return [stack.first_slice + i for stack in part for i in range(stack.n_slices)]


@given(n=st.integers(3, 40), held_out=st.floats(0.01, 0.6), validation=st.floats(0.01, 0.39), seed=st.integers(0, 99))
@settings(max_examples=60, deadline=None)
def test_whole_subjects_go_to_exactly_one_part(n, held_out, validation, seed):
    stacks = [stack_of(f"s{i // 2}", n=1) for i in range(2 * n)]  # two files each
    parts = split(stacks, held_out, validation, seed)
    train, val, test = subjects(parts.train), subjects(parts.validation), subjects(parts.test)
    assert min(len(train), len(val), len(test)) >= 1
    assert len(train) + len(val) + len(test) == len(train | val | test) == n
    assert len(parts.train) + len(parts.validation) + len(parts.test) == 2 * n
    assert parts.warnings == ()
    if n >= 10:
        assert abs(len(test) - held_out * n) <= 1


def test_the_seed_alone_decides_whatever_the_order_of_the_files():
    stacks = [stack_of(f"s{i}", n=1) for i in range(20)]
    first, again = split(stacks, seed=1), split(stacks[::-1], seed=1)
    assert subjects(first.test) == subjects(again.test)
    assert subjects(first.validation) == subjects(again.validation)
    assert len({frozenset(subjects(split(stacks, seed=seed).test)) for seed in range(10)}) > 5


def test_of_two_subjects_one_is_the_test_and_the_other_is_divided():
    parts = split([stack_of("a", n=40), stack_of("b", n=40)])
    assert len(subjects(parts.test)) == 1
    assert subjects(parts.train) == subjects(parts.validation) == {"a", "b"} - subjects(parts.test)
    check_gaps(parts, ("train", "validation"), guard=2)
    assert "Only 2 subjects" in parts.warnings[0]


def check_gaps(parts: Split, names: tuple[str, ...], guard: int) -> None:
    for i, one in enumerate(names):
        mine = numbers(getattr(parts, one))
        assert mine
        for other in names[i + 1 :]:
            gap = min(abs(a - b) for a in mine for b in numbers(getattr(parts, other)))
            assert gap > guard


@pytest.mark.parametrize("n", [12, 40, 180])
def test_of_one_volume_blocks_of_slices_with_a_guard_are_held_out(n):
    stack = stack_of("a", n=n)
    parts = split([stack], held_out_fraction=0.2, validation_fraction=0.1)
    check_gaps(parts, ("train", "validation", "test"), guard=max(1, round(0.05 * n)))
    test = numbers(parts.test)
    assert test == list(range(test[0], test[-1] + 1))  # one contiguous block
    assert len(test) == round(0.2 * n)
    assert "not for other subjects" in parts.warnings[0]
    for part in (parts.train, parts.validation, parts.test):
        for piece in part:
            assert np.array_equal(piece.images[0], stack.images[piece.first_slice])


def test_empty_ends_of_a_volume_are_not_held_out():
    stack = stack_of("a", n=60)
    stack.images[:30] *= 1e-3
    parts = split([stack])
    assert min(numbers(parts.train)) == 30


def test_blocks_keep_their_place_in_space():
    affine = np.diag([1.0, 1.0, 5.0, 1.0])
    parts = split([stack_of("a", n=40, geometry=Geometry(affine=affine))])
    again = parts.train[1].slices(2, 9).slices(1, 3)  # a part of a part
    assert np.array_equal(again.images[0], parts.train[1].images[3])
    for piece in (*parts.train, *parts.test, again):
        assert piece.geometry.affine[2, 3] == 5.0 * piece.first_slice
    assert again.first_slice == parts.train[1].first_slice + 3


def test_single_slices_of_one_subject_are_a_series():
    stacks = [
        ImageStack(np.full((1, 8, 8), i + 1, np.float32), "a", f"{i:02}.png", is_magnitude=True) for i in range(40)
    ]
    parts = split(stacks)
    values = {name: [int(s.images.max()) for s in getattr(parts, name)] for name in ("train", "validation", "test")}
    assert min(abs(a - b) for a in values["train"] for b in values["test"] + values["validation"]) > 2
    assert min(abs(a - b) for a in values["validation"] for b in values["test"]) > 2


@pytest.mark.parametrize("shape", [(40, 90), (90, 40)])
@pytest.mark.parametrize("n", [1, 15])
def test_of_one_field_of_view_strips_are_held_out(shape, n):
    images = np.broadcast_to(np.arange(90, dtype=np.float32) + 1, (n, 40, 90))
    axis = 1 if shape == (40, 90) else 0
    stack = ImageStack(images if axis else images.swapaxes(1, 2), "a", "a.png", is_magnitude=True)
    parts = split([stack], tile_size=(8, 8), binning=2)
    extent = {
        name: (int(piece.images.min()) - 1, int(piece.images.max()))
        for name in ("train", "validation", "test")
        for piece in getattr(parts, name)
    }
    assert extent == {"train": (0, 42), "validation": (50, 66), "test": (74, 90)}  # 16 pixels wide, 8 between
    assert all(piece.n_slices == n for piece in (*parts.train, *parts.test))


def test_a_stack_recommends_its_binning_for_strips():
    parts = split([stack_of("a", n=1, shape=(40, 90), recommended_binning=2)], tile_size=(8, 8))
    assert parts.test[0].image_shape == (40, 16)


@pytest.mark.parametrize("n", [1, 5, 9])
def test_too_few_images_are_refused(n):
    with pytest.raises(ImageError, match=r"a\.npy has \d slices"):
        split([stack_of("a", n=n)])
    with pytest.raises(ImageError, match=r"a\.npy has \d slices"):
        split([stack_of("a", n=n)], tile_size=(8, 8))


@pytest.mark.parametrize("fractions", [(0.0, 0.1), (0.5, 0.5), (0.2, -0.1)])
def test_impossible_fractions_are_refused(fractions):
    with pytest.raises(RecipeError, match="impossible"):
        split([stack_of("a")], *fractions)
    with pytest.raises(ImageError, match="too few to hold"):
        split([stack_of("a")], 0.5, 0.45)
