"""What training sees: sized, normalised, reproducible, with the global random state untouched."""

import random
from dataclasses import replace

import numpy as np
import pytest
import torch

from acqplan.core.errors import ImageError
from acqplan.core.seeding import torch_generator
from acqplan.images import ImageStack, Split, TrainingImages, prepare
from acqplan.modalities.dmd.images import Intensities
from acqplan.modalities.mri.images import MRImages
from acqplan.modalities.mri.phase import constant_phase, smooth_phase
from acqplan.sensing.acquisition import Geometry


def blobs(rng: np.random.Generator, n: int, shape: tuple[int, int], n_blobs: int = 12) -> np.ndarray:
    """Smooth positive images on a dark background."""
    y, x = np.mgrid[: shape[0], : shape[1]]
    images = np.zeros((n, *shape))
    for image in images:
        for cy, cx, width, height in rng.random((n_blobs, 4)) * [shape[0], shape[1], 4, 1]:
            image += (0.2 + height) * np.exp(-((y - cy) ** 2 + (x - cx) ** 2) / (2 * (1 + width) ** 2))
    return images


def stack_of(subject: str, images: np.ndarray, **changes: object) -> ImageStack:
    images = images.astype(np.complex64 if np.iscomplexobj(images) else np.float32)
    magnitude = not np.iscomplexobj(images)
    return ImageStack(images=images, subject=subject, source=f"/x/{subject}.npy", is_magnitude=magnitude, **changes)


def mri(scale: float = 1000.0, is_complex: bool = False) -> Split:
    rng = np.random.default_rng(0)
    turn = np.exp(0.3j) * np.exp(1j * np.linspace(0, 1, 40)) if is_complex else 1.0
    stacks = [
        stack_of(s, scale * (i + 1) * blobs(rng, 6, (40, 40)) * turn, geometry=Geometry(affine=np.eye(4)))
        for i, s in enumerate("abc")
    ]
    return Split((stacks[0],), (stacks[1],), (stacks[2],), ("a warning.",))


def microscopy() -> Split:
    rng = np.random.default_rng(0)
    stacks = [stack_of(s, 100 + 50 * (i + 1) * blobs(rng, 1, (90, 120), 100)) for i, s in enumerate("abc")]
    return Split((stacks[0],), (stacks[1],), (stacks[2],))


def prepared_mri(**changes: object) -> TrainingImages:
    return prepare(mri(**changes), (24, 24), preparation=MRImages())


def test_records_of_magnitude_mri_are_complex_normalised_and_placed():
    images = prepared_mri()
    assert (images.size, images.preparation.is_complex, images.regions) == ((24, 24), True, ())
    for part, subject in (("train", "a"), ("validation", "b"), ("test", "c")):
        records = getattr(images, part)
        assert [r.index for r in records] == list(range(6))
        assert {r.subject for r in records} == {subject}
        pixels = np.stack([r.array for r in records])
        assert (pixels.dtype, pixels.shape) == (np.complex64, (6, 24, 24))
        assert np.isclose(np.percentile(np.abs(pixels), 99.9), 1, atol=1e-3)  # each subject by its own scale
        assert all(np.isclose(r.data_range, np.abs(r.array).max()) for r in records)
        assert records[3].geometry.affine[2, 3] == 3
        assert np.abs(pixels.imag).max() > 0.1
    assert images.warnings[0] == "a warning."
    assert "phase was lost" in images.warnings[1]


def test_units_of_the_file_do_not_matter():
    one, other = prepared_mri(scale=1000.0), prepared_mri(scale=1e-4)
    assert all(np.allclose(a.array, b.array, atol=1e-5) for a, b in zip(one.test, other.test, strict=True))


def test_complex_images_keep_their_phase():
    images = prepared_mri(is_complex=True)
    array = images.test[0].array
    column = 20 + (np.arange(24) - 12) * 40 / 24  # of the original 40
    error = np.angle(array * np.exp(-1j * (0.3 + column / 39)))
    assert np.abs(error[np.abs(array) > 0.3]).max() < 0.05
    assert len(images.warnings) == 1


def test_the_made_up_phase_of_a_held_out_image_depends_on_seed_and_image_only():
    split = mri()
    first = prepare(split, (24, 24), preparation=MRImages())
    again = prepare(Split(split.test, split.train, split.validation), (24, 24), preparation=MRImages())
    assert all(np.array_equal(a.array, b.array) for a, b in zip(first.test, again.train, strict=True))
    phases = [np.angle(r.array * (np.abs(r.array) > 0.2)) for r in first.test]
    assert not np.allclose(phases[0], phases[1])
    assert not np.array_equal(
        prepare(split, (24, 24), seed=1, preparation=MRImages()).test[0].array, first.test[0].array
    )
    twin = replace(split.train[0], subject="twin")
    twins = prepare(Split(split.train, (twin,), split.test), (24, 24), preparation=MRImages())
    assert np.allclose(np.abs(twins.train[0].array), np.abs(twins.validation[0].array))
    assert not np.allclose(twins.train[0].array, twins.validation[0].array)


def test_records_of_microscopy_are_tiles_above_the_background():
    images = prepare(microscopy(), (16, 16), how="crop", preparation=Intensities(), binning=2)
    assert [r.index for r in images.test] == list(range(2 * 3))  # 45 x 60 binned pixels
    assert [tuple(r.shape) for r in images.regions] == [(45, 60)]
    region = images.regions[0].numpy()
    assert region.dtype == images.test[0].array.dtype == np.float32
    assert np.isclose(np.percentile(region, 99.9), 1, atol=1e-5)
    assert region.min() == 0
    assert np.isclose((region == 0).mean(), 0.01, atol=0.002)
    assert np.array_equal(images.train[0].array, region[6:22, 6:22])


def test_recommended_binning_is_used_unless_another_is_given():
    split = microscopy()
    split = Split(
        *(tuple(replace(s, recommended_binning=3) for s in p) for p in (split.train, split.validation, split.test))
    )
    assert prepare(split, (16, 16), how="crop", preparation=Intensities()).regions[0].shape == (30, 40)
    assert prepare(split, (16, 16), how="crop", preparation=Intensities(), binning=1).regions[0].shape == (90, 120)


def test_nearly_empty_slices_and_tiles_are_left_out():
    split = mri()
    split.train[0].images[0] = 0
    split.train[0].images[4] *= 0.1
    assert [r.index for r in prepare(split, (24, 24), preparation=MRImages()).train] == [1, 2, 3, 5]
    split = microscopy()
    split.test[0].images[:, :60] = 100.0
    images = prepare(split, (16, 16), how="crop", preparation=Intensities())
    assert len(images.test) < 5 * 7
    assert min(np.square(r.array).mean() for r in images.test) > 0
    split.train[0].images[:, :, 30:] = 100.0
    split.train[0].images[:, :, :30] += 20 * np.random.default_rng(1).random((90, 30)).astype(np.float32)
    images = prepare(split, (16, 16), how="crop", preparation=Intensities())
    crops = images.batch(100, torch_generator(0, "b"))
    assert float(crops.square().mean(dim=(1, 2)).min()) >= images.min_energy[0] > 0


def test_impossible_images_are_refused_by_name():
    with pytest.raises(ImageError, match=r"/x/a\.npy is complex"):
        prepare(mri(is_complex=True), (16, 16), how="crop", preparation=Intensities())
    with pytest.raises(ImageError, match=r"/x/a\.npy has images of 40x40"):
        prepare(mri(), (64, 64), preparation=MRImages())
    flat = stack_of("flat", np.full((1, 40, 40), 5.0))
    with pytest.raises(ImageError, match=r"/x/flat\.npy has no contrast"):
        prepare(Split((flat,), (flat,), (flat,)), (16, 16), how="crop", preparation=Intensities())
    split = mri()
    faint = replace(split.train[0], images=split.train[0].images / 100)
    with pytest.raises(ImageError, match="No test image is left"):
        prepare(Split(split.train, split.validation, (faint,)), (24, 24), preparation=MRImages())


def test_a_part_may_be_given_empty():
    images = prepare(Split((), (), mri().test), (24, 24), preparation=MRImages())
    assert (len(images.train), len(images.validation), len(images.test)) == (0, 0, 6)


@pytest.mark.parametrize("kind", ["magnitude", "complex", "microscopy"])
def test_batches_come_from_the_generator_alone(kind):
    if kind == "microscopy":
        images = prepare(microscopy(), (16, 16), how="crop", preparation=Intensities())
    else:
        images = prepared_mri(is_complex=kind == "complex")
    torch.manual_seed(7)
    np.random.seed(7)  # noqa: NPY002
    random.seed(7)
    before = (torch.get_rng_state(), np.random.get_state()[1].copy(), random.getstate())  # noqa: NPY002
    first = images.batch(5, torch_generator(3, "batches"))
    generator = torch_generator(3, "batches")
    again, following = images.batch(5, generator), images.batch(5, generator)
    assert torch.equal(first, again)
    assert not torch.equal(first, following)
    assert torch.equal(before[0], torch.get_rng_state())
    assert np.array_equal(before[1], np.random.get_state()[1])  # noqa: NPY002
    assert before[2] == random.getstate()
    assert first.shape == (5, *images.size)
    assert first.dtype == (torch.float32 if kind == "microscopy" else torch.complex64)


def test_augmented_mri_is_a_flipped_slice_with_another_phase():
    images = prepared_mri()
    magnitudes = torch.from_numpy(np.abs(np.stack([r.array for r in images.train])))
    batch = images.batch(40, torch_generator(0, "b"))
    seen = set()
    for image in batch.abs():
        candidates = [torch.flip(magnitudes, axes) for axes in ((), (1,), (2,), (1, 2))]
        errors = torch.stack([(c - image).abs().amax(dim=(1, 2)) for c in candidates])
        assert float(errors.min()) < 1e-5
        seen.add(divmod(int(errors.argmin()), 6))
    assert len(seen) > 12
    assert float(batch.imag.abs().max()) > 0.1
    # the phase of the batch replaces the one that the record had
    other = prepare(mri(), (24, 24), seed=1, preparation=MRImages()).batch(40, torch_generator(0, "b"))
    assert torch.allclose(batch, other, atol=1e-6)
    plain = images.batch(4, torch_generator(0, "b"), augment=False)
    assert all(any(np.array_equal(p, r.array) for r in images.train) for p in plain.numpy())


def test_augmented_complex_images_get_a_constant_phase():
    images = prepared_mri(is_complex=True)
    references = torch.from_numpy(np.stack([r.array for r in images.train]))
    for image in images.batch(10, torch_generator(0, "b")):
        turned = torch.cat([torch.flip(references, axes) for axes in ((), (1,), (2,), (1, 2))])
        overlap = (turned.conj() * image).sum(dim=(1, 2)).abs()
        norms = turned.abs().square().sum(dim=(1, 2)).sqrt() * image.abs().square().sum().sqrt()
        assert float((overlap / norms).max()) > 0.99999


def test_microscopy_batches_are_crops_from_anywhere_turned_anyhow():
    ramp = np.arange(40 * 50, dtype=float).reshape(1, 40, 50)  # every crop is recognised by its corner values
    stack = stack_of("a", ramp)
    images = prepare(Split((stack,), (stack,), (stack,)), (16, 16), how="crop", preparation=Intensities())
    directions, corners = set(), set()
    for image in images.batch(200, torch_generator(0, "b")):
        down, right = float(image[8, 8] - image[7, 8]), float(image[8, 8] - image[8, 7])
        directions.add((np.sign(down), np.sign(right), abs(down) > abs(right)))
        corners.add(round(float(image.min()), 4))
    assert len(directions) == 8
    assert len(corners) > 100


def test_the_fingerprint_sees_every_pixel_and_every_part():
    first = prepared_mri()
    assert first.fingerprint == prepared_mri().fingerprint
    assert len(first.fingerprint) == 64
    changed = mri()
    changed.test[0].images[5, 20, 20] += 1
    swapped = mri()
    others = {
        prepare(changed, (24, 24), preparation=MRImages()).fingerprint,
        prepare(Split(swapped.validation, swapped.train, swapped.test), (24, 24), preparation=MRImages()).fingerprint,
        first.fingerprint,
    }
    assert len(others) == 3
    fields = [microscopy(), microscopy()]
    fields[1].train[0].images[0, 0, 0] += 1  # in no tile of the grid, but in random crops
    assert len({prepare(f, (16, 16), how="crop", preparation=Intensities()).fingerprint for f in fields}) == 2


def test_smooth_phase_is_smooth_reproducible_and_varied():
    first = smooth_phase(200, (32, 48), torch_generator(0, "phase"))
    assert torch.equal(first, smooth_phase(200, (32, 48), torch_generator(0, "phase")))
    assert (first.shape, first.dtype) == ((200, 32, 48), torch.float32)
    steps = torch.cat([first.diff(dim=1).abs().flatten(), first.diff(dim=2).abs().flatten()])
    assert float(steps.max()) < 0.6
    within = first - first.mean(dim=(1, 2), keepdim=True)
    assert 0.5 < float(within.std()) < 2.0
    # almost all the energy of exp(i phase) lies in the centre of k-space
    kspace = torch.fft.fftshift(torch.fft.fft2(torch.polar(torch.ones_like(first), first)), dim=(1, 2)).abs().square()
    assert float(kspace[:, 8:24, 12:36].sum() / kspace.sum()) > 0.97
    constant = constant_phase(1000, torch_generator(0, "phase"))
    assert constant.shape == (1000, 1, 1)
    assert 3 < float(constant.max()) <= np.pi
    assert -np.pi <= float(constant.min()) < -3
