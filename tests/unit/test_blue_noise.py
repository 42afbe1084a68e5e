"""Blue noise: even without a lattice, at every level."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from scipy import spatial

from acqplan.designers.blue_noise import blue_noise


def power(chosen: npt.NDArray[np.bool_]) -> npt.NDArray[np.float64]:
    """Power spectrum of a choice, 1 on average over white noise."""
    spectrum = np.abs(np.fft.fft2(chosen - chosen.mean())) ** 2 / (chosen.var() * chosen.size)
    return np.asarray(spectrum)


@pytest.mark.parametrize("shape", [(64, 64), (96,), (1, 40), (3, 50), (2, 2), (1,)])
def test_levels_are_a_permutation(shape: tuple[int, ...]) -> None:
    levels = blue_noise(shape, np.random.default_rng(0))
    n = levels.size
    assert levels.shape == shape
    assert np.allclose(np.sort(levels.ravel()), (np.arange(n) + 0.5) / n)
    assert np.array_equal(levels, blue_noise(shape, np.random.default_rng(0)))


@pytest.mark.parametrize("share", [0.05, 0.1, 0.25, 0.5])
def test_every_level_is_spread_evenly_but_irregularly(share: float) -> None:
    chosen = blue_noise((64, 64), np.random.default_rng(1)) < share
    random = np.random.default_rng(2).permutation(4096).reshape(64, 64) < share * 4096
    low = np.hypot(*np.meshgrid(np.fft.fftfreq(64), np.fft.fftfreq(64))) < 0.3 * np.sqrt(share)
    low[0, 0] = False
    assert power(chosen)[low].mean() < 0.25 * power(random)[low].mean()
    assert power(chosen).max() < 0.1 * chosen.size  # a lattice has all of it in a few peaks
    gaps = [_largest_gap(each) for each in (chosen, random)]
    assert gaps[0] < gaps[1]


def _largest_gap(chosen: npt.NDArray[np.bool_]) -> float:
    points = np.argwhere(np.tile(chosen, (3, 3)))
    return float(spatial.cKDTree(points).query(np.argwhere(np.ones_like(chosen)) + 64)[0].max())


def test_large_grids_repeat() -> None:
    levels = blue_noise((600,), np.random.default_rng(0))
    assert np.array_equal(np.sort(levels), (np.arange(600) + 0.5) / 600)
    order = np.argsort(levels[:256])
    assert np.array_equal(order, np.argsort(levels[256:512]))
