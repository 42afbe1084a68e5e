"""Images of several coils: raw data combined with maps of their own, and simulated maps for all others."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch

from acqplan.core.errors import ImageError
from acqplan.core.math.transforms import fft_centred
from acqplan.core.seeding import torch_generator
from acqplan.images import ImageStack, Split, TrainingImages, fit, load, load_stacks, prepare
from acqplan.images.reading import RawImages, root_sum_of_squares
from acqplan.modalities.mri.coils import simulated_maps
from acqplan.modalities.mri.images import COMBINED, MRImages
from acqplan.modalities.mri.raw.images import MAX_COILS, few_coils

N_COILS, SIDE, SIZE = 5, 48, (32, 32)
Complex = npt.NDArray[np.complex64]


def heads(seed: int, n: int = 3) -> npt.NDArray[np.float64]:
    numbers = np.random.default_rng(seed)
    y, x = np.mgrid[-1 : 1 : SIDE * 1j, -1 : 1 : SIDE * 1j]
    images = np.zeros((n, SIDE, SIDE))
    for image in images:
        image += 1 / (1 + np.exp(30 * (np.hypot(x, 1.1 * y) - 0.8)))
        for cy, cx, radius in numbers.uniform([-0.5, -0.5, 0.1], [0.5, 0.5, 0.3], (4, 3)):
            image += 0.5 / (1 + np.exp(30 * (np.hypot(x - cx, y - cy) - radius)))
    return images


def magnitude(subject: str, seed: int) -> ImageStack:
    return ImageStack(heads(seed).astype(np.float32), subject, f"/x/{subject}.npy", is_magnitude=True)


def received(seed: int, n_coils: int = N_COILS) -> Complex:
    """What coils receive of images with a phase: [n, C, SIDE, SIDE]."""
    maps = simulated_maps(n_coils, (SIDE, SIDE), torch_generator(seed, "maps")).numpy()
    x = np.linspace(-1, 1, SIDE)
    return np.asarray((heads(seed) * np.exp(1j * x))[:, None] * maps, np.complex64)


def raw(subject: str, seed: int, n_coils: int = N_COILS) -> ImageStack:
    coil_images = received(seed, n_coils)
    return ImageStack(
        root_sum_of_squares(coil_images), subject, f"/x/{subject}.h5", is_magnitude=False, coil_images=coil_images
    )


def split_of(make: Any) -> Split:
    stacks = [make(subject, seed) for seed, subject in enumerate("abc")]
    return Split((stacks[0],), (stacks[1],), (stacks[2],))


@pytest.fixture(scope="module")
def of_raw() -> TrainingImages:
    return prepare(split_of(raw), SIZE, preparation=MRImages(4))


# --- simulated maps --------------------------------------------------------------------------------


def test_held_out_images_keep_their_simulated_maps() -> None:
    images = prepare(split_of(magnitude), SIZE, preparation=MRImages(4), seed=1)
    assert images.n_coils == 4
    assert images.maps_source == "simulated"
    assert all(record.coil_maps is None for record in images.train)
    held_out = [*images.validation, *images.test]
    for record in held_out:
        assert record.coil_maps is not None
        assert record.coil_maps.shape == (4, *SIZE)
        np.testing.assert_allclose(np.square(np.abs(record.coil_maps)).sum(0), 1, atol=1e-5)
    assert len({record.coil_maps.tobytes() for record in held_out if record.coil_maps is not None}) == len(held_out)
    again = prepare(
        Split((), (), split_of(magnitude).test), SIZE, preparation=MRImages(4), seed=1
    )  # whatever else there is
    for record, same in zip(images.test, again.test, strict=True):
        assert np.array_equal(record.coil_maps, same.coil_maps)  # type: ignore[arg-type]
    other = prepare(split_of(magnitude), SIZE, preparation=MRImages(4), seed=2)
    assert not np.array_equal(other.test[0].coil_maps, images.test[0].coil_maps)  # type: ignore[arg-type]
    assert images.fingerprint not in (
        other.fingerprint,
        prepare(split_of(magnitude), SIZE, preparation=MRImages(), seed=1).fingerprint,
    )


def test_training_maps_are_new_in_every_batch_and_leave_the_images_alone() -> None:
    several, single = (prepare(split_of(magnitude), SIZE, preparation=MRImages(n)) for n in (4, 1))
    generator = torch_generator(0, "b")
    images, maps = several.coil_batch(3, generator)
    _, others = several.coil_batch(3, generator)
    assert maps is not None
    assert others is not None
    assert maps.shape == (3, 4, *SIZE)
    assert len({each.numpy().tobytes() for each in (*maps, *others)}) == 6
    assert torch.equal(single.batch(3, torch_generator(0, "b")), images)
    assert torch.equal(several.batch(3, torch_generator(0, "b")), images)
    assert single.coil_batch(3, torch_generator(0, "b"))[1] is None


def test_a_training_image_measured_once_has_one_set_of_maps() -> None:
    images = prepare(split_of(magnitude), SIZE, preparation=MRImages(3))
    first, again, other = (images.maps_of(images.train[i]) for i in (0, 0, 1))
    assert first is not None
    assert other is not None
    assert torch.equal(first, again)  # type: ignore[arg-type]
    assert not torch.equal(first, other)
    assert prepare(split_of(magnitude), SIZE, preparation=MRImages()).maps_of(images.train[0]) is None


# --- raw data ----------------------------------------------------------------------------------------


def test_raw_data_become_a_complex_image_and_maps(of_raw: TrainingImages) -> None:
    assert of_raw.maps_source == "estimated from raw data"
    assert COMBINED in of_raw.warnings
    for part, seed in (("train", 0), ("validation", 1), ("test", 2)):
        sized = fit(raw("x", seed), SIZE)
        assert sized.coil_images is not None
        for record, coil_images, combined in zip(getattr(of_raw, part), sized.coil_images, sized.images, strict=True):
            assert record.coil_maps is not None
            assert record.coil_maps.shape == (4, *SIZE)
            assert record.array.dtype == np.complex64
            # Four virtual coils of five hold nearly all; the image's size is that of the root of the sum of squares.
            scale = np.abs(combined).max() / record.data_range
            error = np.abs(np.abs(record.array) * scale - combined)
            assert error.max() < 0.06 * combined.max()
            energy = np.square(np.abs(record.coil_maps * record.array * scale)).sum()
            assert energy == pytest.approx(np.square(np.abs(coil_images)).sum(), rel=0.03)
    # The phase is that of the data: smooth, not made up anew.
    phase = np.angle(of_raw.test[0].array[12:20, 12:20])
    assert np.abs(np.diff(np.unwrap(phase, axis=1), axis=1)).max() < 0.3


def test_maps_and_image_explain_what_the_coils_received(of_raw: TrainingImages) -> None:
    """Per coil, in the virtual coils' own order, against a projection that knows nothing of maps."""
    sized = fit(raw("x", 2), SIZE)
    assert sized.coil_images is not None
    record = of_raw.test[1]
    assert record.coil_maps is not None
    predicted = (record.coil_maps * record.array).reshape(4, -1)
    actual = sized.coil_images[1].reshape(N_COILS, -1)
    # Each predicted coil image lies in the span of the coil images that were received.
    weights = np.linalg.lstsq(actual.T, predicted.T, rcond=None)[0]
    rest = predicted - (actual.T @ weights).T
    assert np.linalg.norm(rest) < 0.03 * np.linalg.norm(predicted)


def test_turned_images_take_their_maps_along(of_raw: TrainingImages) -> None:
    images, maps = of_raw.coil_batch(24, torch_generator(0, "b"))
    assert maps is not None
    seen = set()
    for image, own in zip(images, maps, strict=True):
        coil_images = (own * image).numpy()
        best = 0.0
        for i, record in enumerate(of_raw.train):
            assert record.coil_maps is not None
            expected = record.coil_maps * record.array
            for axes in ((), (-2,), (-1,), (-2, -1)):
                turned = np.flip(expected, axes)
                overlap = abs(np.vdot(turned, coil_images)) / np.linalg.norm(turned) / np.linalg.norm(coil_images)
                best = max(best, overlap)
                if overlap > 0.99999:
                    seen.add((i, axes))
        assert best > 0.99999  # but for one constant phase
    assert len(seen) > 6


def test_missing_coils_are_silent_and_one_coil_is_the_combined_image() -> None:
    few = prepare(split_of(lambda subject, seed: raw(subject, seed, 2)), SIZE, preparation=MRImages(4))
    assert few.test[0].coil_maps is not None
    assert not few.test[0].coil_maps[2:].any()
    np.testing.assert_allclose(np.square(np.abs(few.test[0].coil_maps)).sum(0), 1, atol=1e-5)
    one = prepare(split_of(raw), SIZE, preparation=MRImages())
    assert one.test[0].coil_maps is None
    assert one.test[0].array.dtype == np.complex64
    assert one.coil_batch(2, torch_generator(0, "b"))[1] is None
    mixed = prepare(Split((magnitude("a", 0),), (raw("b", 1),), (raw("c", 2),)), SIZE, preparation=MRImages(4))
    assert mixed.maps_source == "partly simulated"
    maps = mixed.coil_batch(2, torch_generator(0, "b"))[1]
    assert maps is not None
    assert maps.shape == (2, 4, *SIZE)


def test_coil_images_are_resampled_like_any_complex_image() -> None:
    stack = replace(raw("a", 0), images=np.zeros((3, SIDE, SIDE), np.float32))
    small = fit(stack, SIZE)
    assert small.coil_images is not None
    kspace = fft_centred(torch.from_numpy(received(0)), (-2, -1)).numpy()[..., 8:40, 8:40]
    found = fft_centred(torch.from_numpy(small.coil_images), (-2, -1)).numpy()
    np.testing.assert_allclose(found, kspace * SIZE[0] / SIDE, atol=1e-4)
    np.testing.assert_allclose(small.images, np.sqrt(np.square(np.abs(small.coil_images)).sum(1)), atol=1e-6)
    part = stack.slices(1, 2).region((0, 20), (5, 30))
    assert part.coil_images is not None
    assert np.array_equal(part.coil_images, received(0)[1:2, :, :20, 5:30])
    with pytest.raises(ImageError, match=r"/x/a\.h5 has several coils, which aren't cropped"):
        fit(stack, SIZE, "crop")


def loaded(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, coil_images: Complex, **options: Any) -> ImageStack:
    """What `load_stacks` makes of a reader's coil images."""
    path = tmp_path / "raw.h5"
    path.write_bytes(b"raw")
    found = RawImages(root_sum_of_squares(coil_images), coil_images=coil_images)
    monkeypatch.setattr(load.reading, "read", lambda path: found)
    (stack,) = load_stacks([path], **options)
    return stack


def test_raw_data_are_loaded_with_few_virtual_coils(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    stack = loaded(monkeypatch, tmp_path, received(0))
    assert stack.coil_images is not None
    assert np.array_equal(stack.coil_images, received(0))
    np.testing.assert_allclose(stack.images, root_sum_of_squares(received(0)))
    assert not stack.is_magnitude
    assert stack.n_coils == N_COILS
    many = received(0, 20)
    compressed = few_coils(many)
    assert compressed.shape == (len(many), MAX_COILS, *many.shape[2:])
    kept = np.square(np.abs(compressed)).sum() / np.square(np.abs(many)).sum()
    assert 0.99 < kept <= 1 + 1e-5


def test_impossible_raw_data_are_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    broken = received(0)
    broken[0, 0, 0, 0] = np.nan
    with pytest.raises(ImageError, match="NaN or infinite"):
        loaded(monkeypatch, tmp_path, broken)
    with pytest.raises(ImageError, match="zero everywhere"):
        loaded(monkeypatch, tmp_path, np.zeros((1, 2, 8, 8), np.complex64))
    with pytest.raises(ImageError, match="several coils; intensities"):
        loaded(monkeypatch, tmp_path, received(0), require_non_negative=True)
