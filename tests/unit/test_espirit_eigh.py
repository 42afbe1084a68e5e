"""Eigenvectors of coil data where the quick algorithm doesn't converge."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from acqplan.modalities.mri.coils import espirit
from acqplan.modalities.mri.coils.espirit import estimated_maps


def test_maps_are_the_same_where_the_quick_algorithm_gives_up(monkeypatch: pytest.MonkeyPatch) -> None:
    y, x = np.mgrid[-1:1:32j, -1:1:32j]
    maps = np.stack([np.exp(-((y - a) ** 2 + (x - b) ** 2) / 2) for a, b in ((1, 0), (-1, 0), (0, 1), (0, -1))])
    noise = np.random.default_rng(0).normal(0, 0.01, (6, 32, 32))
    images = (
        np.concatenate([maps * (np.hypot(y, x) < 0.8), np.zeros((2, 32, 32))])
        + noise * (np.arange(6) < 4)[:, None, None]
    )
    kspace = np.fft.fftshift(np.fft.fft2(np.fft.ifftshift(images, (1, 2))), (1, 2))[:, 10:22, 10:22]
    calibration = torch.from_numpy(kspace.astype(np.complex64))[None]  # of two coils that aren't there nothing
    usual = estimated_maps(calibration, (32, 32))

    def gives_up(matrix: torch.Tensor) -> None:
        raise torch.linalg.LinAlgError("the algorithm failed to converge")  # type: ignore[attr-defined]

    monkeypatch.setattr(espirit.torch.linalg, "eigh", gives_up)
    torch.testing.assert_close(estimated_maps(calibration, (32, 32)), usual, atol=2e-3, rtol=0)
