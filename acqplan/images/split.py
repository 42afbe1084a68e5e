"""Training, validation and test images that never share a subject.

Neighbouring slices and neighbouring fields of view are nearly copies of each other: a split by
random slices measures memory, not reconstruction. So whole subjects are set apart. Where there
are too few subjects, blocks of one subject are, with a guard gap between them, and a warning
says what the evidence then isn't.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from acqplan.core.errors import ImageError, RecipeError
from acqplan.core.seeding import numpy_generator
from acqplan.images.resample import binning_of
from acqplan.images.stack import ImageStack

GUARD_FRACTION = 0.05  # of the slices that hold anything, between two parts of one subject
NEARLY_EMPTY = 0.05  # of the median energy: such images count as empty
MIN_SLICES = 10  # of a series that is divided in blocks of slices


@dataclass(frozen=True, eq=False)
class Split:
    """Stacks to train on, to choose the best training state by, and to report on.

    With three subjects or more no subject is in two parts. ``warnings`` say what the test
    images are not evidence for.
    """

    train: tuple[ImageStack, ...]
    validation: tuple[ImageStack, ...]
    test: tuple[ImageStack, ...]
    warnings: tuple[str, ...] = ()


def split(
    stacks: Sequence[ImageStack],
    held_out_fraction: float = 0.2,
    validation_fraction: float = 0.1,
    seed: int = 0,
    *,
    tile_size: tuple[int, int] | None = None,
    binning: int | None = None,
) -> Split:
    """Set subjects apart; the same arguments give the same split.

    Parameters
    ----------
    held_out_fraction, validation_fraction
        Of the subjects, for test and for validation; at least one each. With two subjects one
        is the test and the other is divided; a single one is divided in three.
    seed
        Which subjects go where. Blocks of one subject don't depend on it.
    tile_size, binning
        Of microscopy: rows and columns of a tile, in binned pixels, and the binning (None: what
        the stack recommends). With it a single subject is divided in strips of every image,
        each at least a tile wide with half a tile between, instead of in blocks of slices.

    Raises
    ------
    RecipeError
        For fractions that leave nothing to train on.
    ImageError
        For a subject that is too small to be divided.
    """
    if min(held_out_fraction, validation_fraction) <= 0 or held_out_fraction + validation_fraction >= 1:
        raise RecipeError(
            f"Held-out fractions {held_out_fraction} (test) and {validation_fraction} (validation) are impossible.",
            "Give positive fractions whose sum is below 1.",
        )
    subjects = sorted({stack.subject for stack in stacks})
    if not subjects:
        raise ImageError("No images were given.", "Name a file, a folder or a sample such as sample:brain.")
    if len(subjects) >= 3:
        return _by_subject(stacks, subjects, held_out_fraction, validation_fraction, seed)
    fractions = {"validation": validation_fraction}
    test: list[ImageStack] = []
    if len(subjects) == 2:
        test_subject = subjects[int(numpy_generator(seed, "split").integers(2))]
        test = [stack for stack in stacks if stack.subject == test_subject]
        warning = (
            f"Only 2 subjects: the test images are of one ({test_subject}), training and validation "
            "images of the other; the evidence is weak."
        )
    else:
        test_subject = ""
        fractions["test"] = held_out_fraction
        warning = (
            f"Only 1 subject ({subjects[0]}): the test images are another part of it, so the evidence is not "
            "for other subjects."
        )
    parts = _divide([s for s in stacks if s.subject != test_subject], fractions, tile_size, binning)
    return Split(tuple(parts["train"]), tuple(parts["validation"]), tuple(test + parts["test"]), (warning,))


def _by_subject(
    stacks: Sequence[ImageStack], subjects: list[str], held_out: float, validation: float, seed: int
) -> Split:
    n = len(subjects)
    n_test = min(max(1, round(held_out * n)), n - 2)
    n_validation = min(max(1, round(validation * n)), n - 1 - n_test)
    order = numpy_generator(seed, "split").permutation(n)
    shuffled = [subjects[i] for i in order]
    test, rest = set(shuffled[:n_test]), shuffled[n_test:]
    chosen = {"test": test, "validation": set(rest[:n_validation]), "train": set(rest[n_validation:])}
    parts = {part: tuple(s for s in stacks if s.subject in names) for part, names in chosen.items()}
    return Split(parts["train"], parts["validation"], parts["test"])


def _divide(
    stacks: list[ImageStack], fractions: dict[str, float], tile_size: tuple[int, int] | None, binning: int | None
) -> dict[str, list[ImageStack]]:
    """The stacks of one subject divided in parts that don't touch.

    Fields of view are divided in strips at the same place of every image, because the images of
    a time or focus series all show the same; where they are too small for that, and volumes, in
    blocks of slices. Files of a few slices each are one series in the order of their names.
    """
    parts: dict[str, list[ImageStack]] = {"train": [], "validation": [], "test": []}
    series: list[ImageStack] = []
    for stack in stacks:
        strips = None
        if tile_size is not None:
            strips = _strips(stack, fractions, tile_size, binning_of(stack, binning))
        if strips is not None:
            _add(parts, strips)
        elif stack.n_slices >= MIN_SLICES:
            _add(parts, _blocks([stack], fractions))
        else:
            series.append(stack)
    if series:
        _add(parts, _blocks(series, fractions))
    return parts


def _add(parts: dict[str, list[ImageStack]], more: dict[str, list[ImageStack]]) -> None:
    for part, pieces in more.items():
        parts[part] += pieces


def _blocks(series: list[ImageStack], fractions: dict[str, float]) -> dict[str, list[ImageStack]]:
    """Blocks of held-out slices with training slices before, between and after them.

    Slices differ along a volume, the first and last most of all: training has to see all of it, and the
    test is not at an end.
    """
    energy = np.concatenate([np.square(np.abs(s.images)).mean(axis=(1, 2), dtype=np.float64) for s in series])
    filled = np.flatnonzero(energy >= NEARLY_EMPTY * np.median(energy[energy > 0]))
    first, n = int(filled[0]), int(filled[-1] - filled[0]) + 1
    guard = max(1, round(GUARD_FRACTION * n))
    lengths = {part: max(1, round(fraction * n)) for part, fraction in fractions.items()}
    n_held_out = sum(lengths.values()) + 2 * guard * len(lengths)
    if n < MIN_SLICES or n_held_out > n - 2:
        raise ImageError(
            f"{series[0].source} has {n} slices that hold anything: too few to hold some of them out and still train.",
            "Give images of three subjects or more, or hold out a smaller fraction.",
        )
    ranges: dict[str, list[tuple[int, int]]] = {"train": []}
    position, n_train = first, n - n_held_out
    for i, (part, length) in enumerate(lengths.items()):
        share = (i + 1) * n_train // (len(lengths) + 1) - i * n_train // (len(lengths) + 1)
        ranges["train"].append((position, position + share))
        position += share + guard
        ranges[part] = [(position, position + length)]
        position += length + guard
    ranges["train"].append((position, first + n))
    return {part: [piece for r in at for piece in _pieces(series, *r)] for part, at in ranges.items()}


def _pieces(series: list[ImageStack], start: int, stop: int) -> list[ImageStack]:
    """The slices ``start`` to ``stop`` (exclusive) of a series, counted through all its stacks."""
    pieces = []
    for stack in series:
        low, high = max(0, start), min(stack.n_slices, stop)
        if low < high:
            pieces.append(stack.slices(low, high))
        start, stop = start - stack.n_slices, stop - stack.n_slices
    return pieces


def _strips(
    stack: ImageStack, fractions: dict[str, float], tile_size: tuple[int, int], binning: int
) -> dict[str, list[ImageStack]] | None:
    """Test strip at the far end of the longer side, then a guard, the validation strip, a guard, training.

    None where the images are too small.
    """
    axis = int(stack.image_shape[1] >= stack.image_shape[0])
    tile = tile_size[axis] * binning
    guard = -(-tile // 2)
    parts: dict[str, list[ImageStack]] = {}
    length = stop = stack.image_shape[axis]
    for part in ("test", "validation"):
        if part in fractions:
            start = stop - tile * max(1, round(fractions[part] * length / tile))
            if start < 0:
                return None
            parts[part] = [_strip(stack, axis, start, stop)]
            stop = start - guard
    if stop < tile:
        return None
    parts["train"] = [_strip(stack, axis, 0, stop)]
    return parts


def _strip(stack: ImageStack, axis: int, start: int, stop: int) -> ImageStack:
    whole = (0, stack.image_shape[1 - axis])
    return stack.region((start, stop), whole) if axis == 0 else stack.region(whole, (start, stop))
