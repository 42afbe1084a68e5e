"""The samples are real, sound, and usable as they come."""

import importlib.util
import sys

import numpy as np
import pytest

from acqplan.core.seeding import torch_generator
from acqplan.images import SAMPLES, load_stacks, prepare, samples, split
from acqplan.modalities.dmd.images import Intensities
from acqplan.modalities.mri.images import MRImages


@pytest.fixture(scope="module")
def brain():
    if importlib.util.find_spec("nilearn") is None:
        pytest.skip("the extra 'samples' isn't installed")
    return load_stacks(["sample:brain"])


@pytest.fixture(scope="module")
def cells():
    if importlib.util.find_spec("mahotas") is None:
        pytest.skip("the extra 'samples' isn't installed")
    return load_stacks(["sample:cells"], require_non_negative=True)


def test_the_brain_is_upright_in_the_right_place_and_free_of_crimes(brain):
    (stack,) = brain
    assert (stack.subject, stack.source, stack.is_magnitude) == ("sample:brain", "sample:brain", True)
    assert stack.images.shape == (189, 233, 197)
    assert stack.warnings == ()
    origin = np.linalg.inv(stack.geometry.affine) @ [0, 0, 0, 1]  # the anterior commissure of MNI space
    assert np.allclose(origin, [98, 98, 72, 1])
    middle = stack.images[85]
    # the ventricles' frontal horns (dark, near the midline) lie in front of the origin, towards row 0
    assert middle[75:90, 90:107].mean() < middle[75:90, 60:75].mean()


def test_the_brain_trains_at_128(brain):
    images = prepare(split(brain), (128, 128), preparation=MRImages())
    assert min(len(images.train), len(images.validation), len(images.test)) >= 10
    assert images.batch(2, torch_generator(0, "b")).shape == (2, 128, 128)
    assert images.test[0].geometry is not None
    assert any("not for other subjects" in w for w in images.warnings)
    numbers = [{r.index for r in getattr(images, part)} for part in ("train", "validation", "test")]
    assert min(abs(a - b) for a in numbers[0] for b in numbers[1] | numbers[2]) >= 7


def test_the_cells_are_grey_free_of_crimes_and_train_at_64(cells):
    (stack,) = cells
    assert stack.images.shape == (1, 1024, 1344)
    assert stack.warnings == ()
    assert stack.recommended_binning == SAMPLES["cells"].recommended_binning
    images = prepare(split(cells, tile_size=(64, 64)), (64, 64), how="crop", preparation=Intensities())
    assert (len(images.train), len(images.validation), len(images.test)) == (20, 5, 5)
    batch = images.batch(4, torch_generator(0, "b"))
    assert batch.shape == (4, 64, 64)
    assert float(batch.min()) >= 0


def test_finding_a_sample_does_not_import_its_package(brain, monkeypatch):
    monkeypatch.delitem(sys.modules, "nilearn", raising=False)
    samples.find("sample:brain")
    assert "nilearn" not in sys.modules
