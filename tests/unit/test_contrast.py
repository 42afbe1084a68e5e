"""Made-up contrasts: the same places, other greys."""

from __future__ import annotations

import torch

from acqplan.modalities.mri.contrast import recontrasted
from acqplan.modalities.mri.images import MRImages


def test_air_stays_empty_and_equal_tissue_stays_equal() -> None:
    labels = torch.randint(0, 4, (40, 16, 16), generator=torch.Generator().manual_seed(0))
    images = torch.tensor([0.0, 0.3, 0.55, 0.9])[labels]
    changed = recontrasted(images, torch.Generator().manual_seed(1))
    assert torch.equal(changed[labels == 0], torch.zeros(int((labels == 0).sum())))
    orders = set()
    for image, label in zip(changed, labels, strict=True):
        greys = [image[label == tissue].unique() for tissue in (1, 2, 3)]
        assert all(len(grey) == 1 for grey in greys)
        orders.add(tuple(torch.stack(greys).flatten().argsort().tolist()))
    assert len(orders) > 3
    n_kept = sum(torch.equal(a, b) for a, b in zip(images, changed, strict=True))
    assert 10 <= n_kept <= 30


def test_only_magnitudes_get_one_and_only_where_it_is_asked_for() -> None:
    images = torch.rand(8, 8, 8, generator=torch.Generator().manual_seed(0)).to(torch.complex64)
    is_magnitude = torch.tensor([True, False] * 4)

    def change(contrasts: bool) -> torch.Tensor:
        seen = MRImages(contrasts=contrasts).augmented(images, is_magnitude, torch.Generator().manual_seed(2))
        return (seen.abs() - images.abs()).abs().amax((-2, -1)) > 1e-4

    assert not change(False).any()
    assert change(True)[is_magnitude].any()
    assert not change(True)[~is_magnitude].any()
