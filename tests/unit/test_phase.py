"""Made-up phase: smooth, and for half of the images steep beside air and between tissues; a measured one is kept."""

import math

import numpy as np
import pytest
import torch
from scipy import ndimage

from acqplan.modalities.mri import phase
from acqplan.modalities.mri.images import MRImages
from acqplan.modalities.mri.phase import made_up_phase, smooth_phase

SIDE = 96


def head(n=1):
    """A head with a cavity, two tissues and a bright rim, float32[n, SIDE, SIDE], slightly noisy."""
    y, x = np.mgrid[-1 : 1 : SIDE * 1j, -1 : 1 : SIDE * 1j]
    radius = np.hypot(x / 0.75, y / 0.85)
    image = 0.45 * (radius < 1) + 0.25 * (np.hypot(x, y - 0.2) < 0.35) + 0.55 * ((radius > 0.92) & (radius < 1))
    image[np.hypot(x - 0.1, y + 0.5) < 0.13] = 0
    image = ndimage.gaussian_filter(image, 0.7) + 0.01 * np.random.default_rng(0).random((SIDE, SIDE))
    return torch.from_numpy(image.astype(np.float32)).expand(n, -1, -1)


def difference(seed, n=1):
    """Made-up phase less the smooth one that is drawn with it, rad."""
    made_up = made_up_phase(head(n), torch.Generator().manual_seed(seed))
    return (made_up - smooth_phase(n, (SIDE, SIDE), torch.Generator().manual_seed(seed))).numpy()


def unexplained(image, width=24):
    """Share of the energy that is imaginary once the phase of the centre of k-space is taken away."""
    kspace = np.fft.fftshift(np.fft.fft2(image))
    window = np.zeros((SIDE, SIDE))
    first = SIDE // 2 - width // 2
    window[first : first + width, first : first + width] = np.outer(np.hanning(width), np.hanning(width))
    low = np.fft.ifft2(np.fft.ifftshift(kspace * window))
    rest = image * np.exp(-1j * np.angle(low))
    return float(np.square(rest.imag).sum() / np.square(np.abs(image)).sum())


def test_half_of_the_images_have_steep_places_where_air_and_tissues_meet():
    steep = [not np.allclose(each, 0, atol=1e-5) for each in difference(0, 200)]
    assert 70 < sum(steep) < 130
    added = difference(0, 200)[steep]
    assert np.abs(added).max() < 2 * math.pi + 0.5
    # Away from the air, the phase of the field is small; in its neighbourhood it isn't.
    tissue = ndimage.binary_erosion(head()[0].numpy() > 0.2, iterations=2)
    cavity = ndimage.binary_dilation(head()[0].numpy() < 0.1, iterations=8) & tissue
    far = tissue & ~cavity
    slope = np.hypot(*np.gradient(added, axis=(1, 2)))
    assert slope[:, cavity].mean() > 1.5 * slope[:, far].mean()


def test_steep_places_arent_explained_by_the_centre_of_k_space(monkeypatch):
    monkeypatch.setattr(phase, "STEEP_SHARE", 1.0)
    image = head()[0].numpy()

    def median(make):
        drawn = [make(torch.Generator().manual_seed(seed)) for seed in range(12)]
        return np.median([unexplained(image * np.exp(1j * each[0].numpy())) for each in drawn])

    smooth = median(lambda generator: smooth_phase(1, (SIDE, SIDE), generator))
    steep = median(lambda generator: made_up_phase(head(), generator))
    assert smooth < 0.005
    assert 3 * smooth < steep < 0.2


def test_image_and_generator_alone_decide():
    assert np.array_equal(difference(3, 4), difference(3, 4))
    several = made_up_phase(head(5), torch.Generator().manual_seed(1))
    assert torch.isfinite(several).all()
    assert not torch.equal(several[0], several[1])
    empty = made_up_phase(torch.zeros(6, 16, 20), torch.Generator().manual_seed(1))
    assert empty.shape == (6, 16, 20)
    assert torch.isfinite(empty).all()


@pytest.mark.parametrize("lost", [True, False])
def test_a_measured_phase_is_kept(lost):
    image = torch.polar(head(2), torch.linspace(0, 3, SIDE).expand(2, SIDE, SIDE).contiguous())
    seen = MRImages().augmented(image, torch.tensor([lost, lost]), torch.Generator().manual_seed(0))
    turned = (seen * image.conj()).angle()
    assert torch.allclose(seen.abs(), image.abs(), atol=1e-6)
    constant = torch.polar(torch.ones(2), turned[:, 40, 40])[:, None, None]
    kept = ((torch.polar(torch.ones_like(turned), turned) - constant).abs() < 1e-3)[image.abs() > 0.1].all()
    assert bool(kept) != lost
