"""The one image, or the slices of one volume, that are put before the virtual instrument."""

from __future__ import annotations

from collections.abc import Sequence

from acqplan.core.errors import ImageError, RecipeError
from acqplan.images import ImageRecord, ImageStack, load_stacks
from acqplan.images.resample import binning_of, tile_corners
from acqplan.learning.image_sets import evaluation_images, with_own_binning
from acqplan.plan.plan import Plan


def one_image(
    plan: Plan, path: str, slice_number: int | None, tile: tuple[int, int] | None, binning: int | None = None
) -> tuple[ImageRecord, str]:
    """One image of the file at the plan's size, normalised as in training, and which one it is.

    Parameters
    ----------
    slice_number
        Counted from 0 along the file's slice axis; None: the middle one.
    tile
        Row and column of a tile, where plans are made of tiles; None: the one nearest to the centre.
    binning
        N x N pixels averaged into one, where plans are made of tiles; None: the image's own.

    Raises
    ------
    ImageError
        There is no such slice or tile, or it is nearly empty.
    """
    stack = _stack(plan, path)
    rows, columns = _tile_grid(plan, stack, binning)
    if tile is not None and rows * columns == 1:
        raise RecipeError(f"{path} isn't divided into tiles for this plan.", "Leave --tile out.")
    if tile is not None and not (tile[0] < rows and tile[1] < columns):
        raise ImageError(
            f"{path} has {rows} x {columns} tiles of the plan's size; there is no tile {tile[0]},{tile[1]}.",
            f"Count rows from 0 to {rows - 1} and columns from 0 to {columns - 1}.",
        )
    if slice_number is not None and not 0 <= slice_number < stack.n_slices:
        raise ImageError(
            f"{path} has {stack.n_slices} slices; there is no slice {slice_number}.",
            f"Count from 0 to {stack.n_slices - 1}.",
        )
    prepared = evaluation_images(plan.recipe, [stack], one_receiver=True, binning=binning).test
    records = {divmod(record.index, rows * columns): record for record in prepared}

    def cost(place: tuple[int, int]) -> tuple[float, ...]:
        """How far a place is from the one asked for, or from the middle."""
        row, column = divmod(place[1], columns)
        slice_cost = abs(place[0] - (stack.n_slices // 2 if slice_number is None else slice_number))
        at = ((rows - 1) / 2, (columns - 1) / 2) if tile is None else tile
        return (slice_cost, (row - at[0]) ** 2 + (column - at[1]) ** 2, place[1])

    place = min(records, key=cost)
    row, column = divmod(place[1], columns)
    if (slice_number is not None and place[0] != slice_number) or (tile is not None and (row, column) != tile):
        raise ImageError(f"The part of {path} that was asked for is nearly empty.", "Choose another slice or tile.")
    where = f"slice {place[0]} of {stack.n_slices}" if stack.n_slices > 1 else "the image"
    if rows * columns > 1:
        where += f", tile {row},{column} of {rows} x {columns}"
    return records[place], f"{where} of {path}"


def volume(
    plan: Plan, path: str, slices: Sequence[int] | None, binning: int | None = None
) -> tuple[list[ImageRecord], str]:
    """All slices of the file, or from the first to the last given, as `one_image` prepares one; empty ones too.

    Raises
    ------
    ImageError
        There are no such slices, or the file isn't a volume of which a plan takes whole slices.
    """
    stack = _stack(plan, path)
    if _tile_grid(plan, stack, binning) != (1, 1):
        raise ImageError(f"{path} is divided into tiles for this plan.", "Choose one with --tile.")
    first, last = slices or (0, stack.n_slices - 1)
    if not 0 <= first <= last < stack.n_slices:
        raise ImageError(
            f"{path} has {stack.n_slices} slices; {first}-{last} aren't among them.",
            f"Count from 0 to {stack.n_slices - 1}.",
        )
    records = evaluation_images(plan.recipe, [stack], keep_empty=True, one_receiver=True, binning=binning).test
    return list(records[first : last + 1]), f"slices {first} to {last} of {stack.n_slices} of {path}"


def _stack(plan: Plan, path: str) -> ImageStack:
    """The only stack that ``path`` names."""
    stacks = load_stacks([path], require_non_negative=plan.modality.takes_intensities)
    if len(stacks) != 1:
        raise ImageError(f"{path} holds {len(stacks)} files; one is simulated at a time.", "Name one of them.")
    return stacks[0]


def _tile_grid(plan: Plan, stack: ImageStack, binning: int | None) -> tuple[int, int]:
    """Rows and columns of the tiles that an image is divided into."""
    settings = plan.recipe.images
    if settings.fit != "crop":
        return 1, 1
    binning = binning_of(with_own_binning(stack, plan.recipe), binning)
    size = plan.sensing.image_shape
    corners = tile_corners((stack.image_shape[0] // binning, stack.image_shape[1] // binning), size)
    n_rows, n_columns = len({row for row, _ in corners}), len({column for _, column in corners})
    return max(1, n_rows), max(1, n_columns)
