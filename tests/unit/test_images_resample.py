"""Resampling is cropping k-space: exact for band-limited images, and true in space."""

import numpy as np
import pytest

from acqplan.core.errors import ImageError, RecipeError
from acqplan.images import ImageStack, fit
from acqplan.images.resample import bin_pixels, crop_kspace, pad_to_aspect, tile_corners
from acqplan.sensing.acquisition import Geometry

AFFINE = np.array([[0.0, -1.5, 0.2, 30.0], [-2.0, 0.1, 0.0, 40.0], [0.0, 0.0, 3.0, -9.0], [0, 0, 0, 1]])


def stack_of(images: np.ndarray, **changes: object) -> ImageStack:
    is_magnitude = not np.iscomplexobj(images) and bool(images.min() >= 0)
    images = images.astype(np.complex64 if np.iscomplexobj(images) else np.float32)
    defaults = {"subject": "s", "source": "s.npy", "is_magnitude": is_magnitude, "geometry": Geometry(affine=AFFINE)}
    return ImageStack(images=images, **{**defaults, **changes})


def waves(shape: tuple[int, int], period: tuple[int, int], size: tuple[int, int]) -> np.ndarray:
    """A sum of waves sampled at ``size`` points of the field of view whose centre is index n // 2."""
    y, x = ((np.arange(n) - n // 2) / n for n in size)
    return np.exp(2j * np.pi * (period[0] * y[:, None] + period[1] * x[None, :])) + 0.5


@pytest.mark.parametrize("size", [(16, 16), (15, 20), (32, 7)])
@pytest.mark.parametrize("shape", [(32, 32), (33, 40), (64, 41)])
def test_a_band_limited_image_is_sampled_exactly(shape, size):
    for period in [(0, 0), (2, -1), (-3, 3), (6, 2)]:
        small = crop_kspace(waves(shape, period, shape)[None].astype(np.complex64), size)[0]
        assert np.allclose(small, waves(shape, period, size), atol=1e-5)


def test_real_images_stay_real_and_frequencies_beyond_the_band_vanish():
    y = (np.arange(32) - 16) / 32
    image = np.broadcast_to(2 + np.cos(2 * np.pi * 3 * y) + np.cos(2 * np.pi * 12 * y), (32, 32))
    small = crop_kspace(image[None].astype(np.float32), (16, 16))[0]
    expected = np.broadcast_to(2 + np.cos(2 * np.pi * 3 * y[::2]), (16, 16))
    assert small.dtype == np.float32
    assert np.allclose(small, expected, atol=1e-5)


@pytest.mark.parametrize("kind", [np.float32, np.complex64])
def test_a_constant_stays_constant(kind):
    fitted = fit(stack_of(np.full((2, 40, 40), 7).astype(kind)), (16, 16))
    assert fitted.images.dtype == kind
    assert np.allclose(fitted.images, 7, atol=1e-5)


def test_the_shorter_side_is_padded_and_magnitudes_are_not_negative():
    assert pad_to_aspect((40, 20), (16, 16)) == (40, 40)
    assert pad_to_aspect((40, 20), (8, 16)) == (40, 80)
    assert pad_to_aspect((20, 41), (16, 8)) == (82, 41)
    image = np.zeros((1, 40, 20))
    image[:, 10:30, 5:15] = 1
    fitted = fit(stack_of(image), (16, 16))
    assert fitted.images.shape == (1, 16, 16)
    assert fitted.images.min() == 0
    assert np.abs(fitted.images[0, 5:11, 7:9].mean() - 1) < 0.1
    assert np.abs(fitted.images[0, :, :4]).max() < 0.1
    signed = fit(stack_of(image - 0.5), (16, 16))
    assert signed.images.min() < 0


@pytest.mark.parametrize("shape", [(40, 31), (41, 64), (64, 64)])
@pytest.mark.parametrize("size", [(32, 32), (20, 31)])
def test_geometry_follows_resampling(shape, size):
    """The centre of mass of a smooth blob is at the same millimetres before and after."""
    y, x = np.arange(shape[0])[:, None], np.arange(shape[1])[None, :]
    centre = np.array([shape[0] * 0.45, shape[1] * 0.55])
    blob = np.exp(-((y - centre[0]) ** 2 + (x - centre[1]) ** 2) / 18)
    fitted = fit(stack_of(np.stack([blob, blob])), size)
    image = fitted.images[0].astype(float)
    found = [(image * grid).sum() / image.sum() for grid in np.mgrid[: size[0], : size[1]]]
    for i in (0, 1):
        before = AFFINE @ [*centre, i, 1]
        assert np.allclose(fitted.slice_geometry(i).affine @ [*found, 0, 1], before, atol=0.05)


@pytest.mark.parametrize("binning", [1, 2, 3])
def test_cropping_averages_pixels_and_keeps_the_geometry(binning):
    rows, columns = np.mgrid[:40, :50].astype(float)
    stack = stack_of(np.stack([rows, columns]))
    fitted = fit(stack, (10, 12), "crop", binning)
    assert fitted.images.shape == (2, 10, 12)
    for at in [(0, 0), (9, 11), (3, 7)]:
        millimetres = fitted.geometry.affine @ [*at, 0, 1]
        old = np.linalg.inv(AFFINE) @ millimetres
        assert np.allclose(old[:2], fitted.images[:, at[0], at[1]])


def test_binning_is_the_mean_and_drops_what_is_left_over():
    image = np.arange(7 * 5, dtype=float).reshape(1, 7, 5)
    binned = bin_pixels(stack_of(image), 3).images
    assert binned.shape == (1, 2, 1)
    assert binned[0, 1, 0] == image[0, 3:6, :3].mean()
    with pytest.raises(RecipeError, match="binning of 0"):
        fit(stack_of(image), (2, 1), "crop", 0)
    with pytest.raises(RecipeError, match=r"binning of 6 is impossible: the images of .* have 7x5 pixels.*from 1 to 5"):
        fit(stack_of(image), (2, 1), "crop", 6)


def test_tiles_lie_side_by_side_in_the_middle():
    assert tile_corners((10, 9), (4, 4)) == [(1, 0), (1, 4), (5, 0), (5, 4)]
    assert tile_corners((3, 9), (4, 4)) == []


@pytest.mark.parametrize("how", ["resample", "crop"])
def test_small_images_are_refused_by_name(how):
    with pytest.raises(ImageError, match=r"s\.npy has images of 20x30 pixels.*smaller than the size 32x32") as caught:
        fit(stack_of(np.ones((1, 20, 30))), (32, 32), how)
    assert "--size" in caught.value.remedy
    assert fit(stack_of(np.ones((1, 20, 33))), (32, 32)).image_shape == (32, 32)


def test_an_unknown_way_is_refused():
    with pytest.raises(RecipeError, match="'stretch'"):
        fit(stack_of(np.ones((1, 20, 30))), (8, 8), "stretch")


def test_padding_gives_small_images_margins_and_larger_ones_larger_voxels():
    image = np.random.default_rng(0).uniform(0, 1, (1, 12, 20))
    padded = fit(stack_of(image), (16, 24), "pad")
    assert np.allclose(padded.images[0, 2:14, 2:22], image[0], atol=1e-6)
    assert np.allclose(padded.images[0, [0, 1, 14, 15]], 0)
    place = np.array([6.0, 10.0, 0.0, 1.0])  # the centre of both
    assert np.allclose(padded.geometry.affine @ np.array([8.0, 12.0, 0.0, 1.0]), AFFINE @ place)
    large = stack_of(np.random.default_rng(1).uniform(0, 1, (1, 40, 40)))
    assert np.array_equal(fit(large, (16, 16), "pad").images, fit(large, (16, 16)).images)
