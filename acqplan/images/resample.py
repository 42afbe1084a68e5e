"""Bring images to the size of a plan, keeping their position in space."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Literal, get_args

import numpy as np
import numpy.typing as npt
import torch

from acqplan.core.errors import ImageError, RecipeError
from acqplan.core.math.transforms import fft_centred, ifft_centred
from acqplan.images.reading import root_sum_of_squares
from acqplan.images.stack import ImageStack

How = Literal["resample", "pad", "crop"]


def fit(stack: ImageStack, size: tuple[int, int], how: How = "resample", binning: int = 1) -> ImageStack:
    """Every image of ``stack`` at ``size`` (rows, columns); the geometry follows.

    ``"resample"`` pads one side with zeros to the aspect ratio of ``size`` and keeps the centre of k-space: what the
    instrument would have acquired of the same field of view with larger voxels. Pixel values keep their level.
    Magnitudes are clipped at zero, complex images stay complex. Images of several coils are treated alike, and combined
    anew. ``"pad"`` is the same, but gives smaller images a margin of zeros, as a larger field of view would have:
    nothing is interpolated. ``"crop"`` averages ``binning`` × ``binning`` pixels and takes the centre.

    Raises `ImageError` for images smaller than ``size`` (unless they are padded), and for images of several coils that
    are to be cropped.
    """
    if how not in get_args(How):
        raise RecipeError(f"Images can't be brought to their size by {how!r}.", "Choose 'resample', 'pad' or 'crop'.")
    if how == "crop":
        if stack.coil_images is not None:
            raise ImageError(f"{stack.source} has several coils, which aren't cropped.", "Choose fit = 'resample'.")
        binned = bin_pixels(stack, binning_of(stack, binning))
        _check_not_smaller(stack, binned.image_shape, size)
        top, left = (have // 2 - want // 2 for have, want in zip(binned.image_shape, size, strict=True))
        return binned.region((top, top + size[0]), (left, left + size[1]))
    held = stack.image_shape
    if how == "pad":
        held = max(held[0], size[0]), max(held[1], size[1])
    padded = pad_to_aspect(held, size)
    _check_not_smaller(stack, padded, size)
    coil_images = None
    if stack.coil_images is not None:
        flat = stack.coil_images.reshape(-1, *stack.image_shape)
        coil_images = crop_kspace(_padded(flat, padded), size).reshape(*stack.coil_images.shape[:2], *size)
        images = root_sum_of_squares(coil_images)
    else:
        images = crop_kspace(_padded(stack.images, padded), size)
    if stack.is_magnitude:
        images = np.clip(images, 0.0, None)
    geometry = stack.geometry
    if geometry is not None:
        # Index n // 2 is position zero before and after; a voxel becomes padded / size times as long.
        steps = [large / small for large, small in zip(padded, size, strict=True)]
        origin = [
            have // 2 - (want // 2) * step for have, want, step in zip(stack.image_shape, size, steps, strict=True)
        ]
        geometry = geometry.moved((origin[0], origin[1], 0.0), (steps[0], steps[1], 1.0))
    return replace(stack, images=images, geometry=geometry, coil_images=coil_images)


def binning_of(stack: ImageStack, binning: int | None) -> int:
    """The binning to use: the one asked for, else what the stack recommends, else 1.

    Raises `RecipeError` for a binning below 1, or of more pixels than an image has.
    """
    if binning is None:
        return stack.recommended_binning or 1
    rows, columns = stack.image_shape
    if not 1 <= binning <= min(rows, columns):
        raise RecipeError(
            f"A binning of {binning} is impossible: the images of {stack.source} have {rows}x{columns} pixels.",
            f"Give a whole number of pixels, from 1 to {min(rows, columns)}.",
        )
    return binning


def _check_not_smaller(stack: ImageStack, shape: tuple[int, int], size: tuple[int, int]) -> None:
    if shape[0] < size[0] or shape[1] < size[1]:
        note = "" if shape == stack.image_shape else f" ({shape[0]}x{shape[1]} when padded or binned)"
        raise ImageError(
            f"{stack.source} has images of {stack.image_shape[0]}x{stack.image_shape[1]} pixels{note}, "
            f"smaller than the size {size[0]}x{size[1]}.",
            "Choose a smaller --size, give it margins with --fit pad, or leave the file out.",
        )


def pad_to_aspect(shape: tuple[int, int], size: tuple[int, int]) -> tuple[int, int]:
    """The smallest shape that holds ``shape`` and has the aspect ratio of ``size``, to the pixel."""
    height, width = shape
    if height * size[1] < width * size[0]:
        return -(-width * size[0] // size[1]), width
    return height, -(-height * size[1] // size[0])


def _padded(images: npt.NDArray[Any], shape: tuple[int, int]) -> npt.NDArray[Any]:
    """Zeros around the images [n, H, W], index n // 2 staying the centre."""
    height, width = images.shape[1:]
    if (height, width) == shape:
        return images
    top, left = shape[0] // 2 - height // 2, shape[1] // 2 - width // 2
    padded = np.zeros((images.shape[0], *shape), images.dtype)
    padded[:, top : top + height, left : left + width] = images
    return padded


def crop_kspace(images: npt.NDArray[Any], size: tuple[int, int]) -> npt.NDArray[Any]:
    """Keep the centre ``size`` of the k-space of images [n, H, W]; a constant keeps its value.

    float32 stays float32 (of an even ``size`` the one frequency without a partner counts half),
    complex64 stays complex64. The work is done in double precision, image by image.
    """
    height, width = images.shape[1:]
    top, left = height // 2 - size[0] // 2, width // 2 - size[1] // 2
    scale = float(np.sqrt(size[0] * size[1] / (height * width)))
    out = np.empty((images.shape[0], *size), images.dtype)
    for i, image in enumerate(images):
        kspace = fft_centred(torch.from_numpy(np.ascontiguousarray(image)).to(torch.complex128), (0, 1))
        small = ifft_centred(kspace[top : top + size[0], left : left + size[1]] * scale, (0, 1)).numpy()
        out[i] = small if np.iscomplexobj(images) else small.real
    return out


def bin_pixels(stack: ImageStack, binning: int) -> ImageStack:
    """The mean of every ``binning`` × ``binning`` pixels; what is left over at the far sides is dropped."""
    if binning == 1:
        return stack
    rows, columns = (side // binning for side in stack.image_shape)
    cut = stack.images[:, : rows * binning, : columns * binning]
    binned = cut.reshape(-1, rows, binning, columns, binning).mean(axis=(2, 4), dtype=np.result_type(cut, np.float64))
    geometry = stack.geometry
    if geometry is not None:
        half = (binning - 1) / 2  # the centre of the first large pixel
        geometry = geometry.moved((half, half, 0.0), (float(binning), float(binning), 1.0))
    return replace(stack, images=binned.astype(stack.images.dtype), geometry=geometry)


def tile_corners(shape: tuple[int, int], size: tuple[int, int]) -> list[tuple[int, int]]:
    """Top-left corners of the tiles of ``size`` that fit side by side into ``shape``, centred, row by row."""
    tops, lefts = (
        [(have % want) // 2 + k * want for k in range(have // want)] for have, want in zip(shape, size, strict=True)
    )
    return [(top, left) for top in tops for left in lefts]
