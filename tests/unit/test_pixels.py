"""Gathered pixels and local means are those of torch's layers."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional

from acqplan.reconstructors.pixels import gather_pixels, local_mean, spread_pixels


@pytest.mark.parametrize("block", [1, 2, 3])
def test_gathered_pixels_are_channels_and_come_back(block: int) -> None:
    pixels = torch.arange(2 * 3 * 6 * 12.0).reshape(2, 3, 6, 12)
    gathered = gather_pixels(pixels, block)
    assert torch.equal(gathered, functional.pixel_unshuffle(pixels, block))
    assert torch.equal(spread_pixels(gathered, block), pixels)


@pytest.mark.parametrize("window", [3, 5])
def test_local_means_and_their_gradient_are_those_of_pooling(window: int) -> None:
    pixels, weights = torch.randn((2, 2, 3, 9, 8), dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    results = []
    for mean in (local_mean, lambda x, w: functional.avg_pool2d(x, w, stride=1, padding=w // 2)):
        given = pixels.clone().requires_grad_()
        (mean(given, window) * weights).sum().backward()
        assert given.grad is not None
        results.append((mean(given, window).detach(), given.grad))
    torch.testing.assert_close(results[0], results[1])
