"""From images or acquired readings to the coefficients that a reconstructor takes: one door for both."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from acqplan.core.errors import AcquisitionError
from acqplan.core.words import named
from acqplan.sensing.acquisition import Acquisition
from acqplan.sensing.model import SensingModel
from acqplan.sensing.noise import NoiseModel
from acqplan.sensing.pattern import Pattern

MISFIT_REMEDY = "Check the transfer and the type of the numbers, and acquire them again."

_GAP = 1e6
_LARGEST = 1e9
_LEAST_READINGS = 16


Spoil = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
"""What a fault makes of images[B, *image_shape] and their expected readings[B, K, *reading_shape]."""


def measured(coefficients: torch.Tensor, counts: torch.Tensor, sensing: SensingModel) -> torch.Tensor:
    """Keep what was measured: coefficients[B, K, …] × min(counts, 1), with +0 elsewhere.

    A product with a 0/1 mask alone leaves −0.0, whose sign tells the truth's; adding zero removes it.
    """
    return coefficients * sensing.per_unit(counts.clamp(max=1)) + 0.0


def measure(
    images: torch.Tensor,
    counts: torch.Tensor,
    sensing: SensingModel,
    noise: NoiseModel,
    generator: torch.Generator,
    known: SensingModel | None = None,
    spoil: Spoil | None = None,
) -> tuple[torch.Tensor, SensingModel]:
    """Simulate: images[B, *image_shape], counts[B or 1, K] -> measured coefficients[B, K, …], and the sensing model.

    The model that is given back is what a reconstruction knows: it learned from the coefficients what differs from
    scan to scan (`SensingModel.self_calibrated`), unless that is ``known``, and is told how noisy they are
    (`SensingModel.noise_level`). Noise acts on the detector's readings, which ``spoil`` may change before; repeats are
    averaged. Differentiable in ``counts`` through what is kept, not through the noise level. Of a
    sensing model with a reference unit, ``counts`` measure it.
    """
    readings = sensing(images)
    if spoil is not None:
        readings = spoil(images, readings)
    repeats = counts.detach().reshape(*counts.shape, *(1,) * len(sensing.reading_shape))
    noisy = noise.sample(readings, generator=generator, counts=repeats)
    level = noise_level(readings.detach(), sensing, noise)
    coefficients = measured(sensing.decode(noisy), counts, sensing)
    if known is None:
        known = sensing.self_calibrated(coefficients.detach(), counts.detach())
    return coefficients, known.with_noise_level(level)


def noise_level(readings: torch.Tensor, sensing: SensingModel, noise: NoiseModel) -> torch.Tensor:
    """float32[B]: `SensingModel.noise_level` of readings[B, K, *reading_shape] as they are expected."""
    variance = sensing.decoded_variance(noise.variance(readings)) / math.prod(sensing.coefficient_shape)
    return variance.mean(1).sqrt()


def acquired_noise_level(
    acquisition: Acquisition, pattern: Pattern, sensing: SensingModel, noise: NoiseModel
) -> torch.Tensor:
    """float32[1]: `noise_level` of acquired readings, in the units of the noise model."""
    readings = torch.from_numpy(acquisition.readings).to(sensing.reading_dtype)
    mean, counts = averaged(readings, acquisition.units(pattern), sensing.n_units)
    variance = sensing.decoded_variance(noise.variance(mean[None])) / math.prod(sensing.coefficient_shape)
    return variance[:, counts > 0].mean(1).sqrt()


def coefficients_of(
    acquisition: Acquisition, pattern: Pattern, sensing: SensingModel
) -> tuple[torch.Tensor, torch.Tensor]:
    """Acquired readings -> (coefficients[1, K, …], counts[1, K]); repeats are averaged.

    Units are those of the acquisition's own ``order`` where it has one, else of the pattern's: what wasn't acquired
    has the count 0.

    Raises
    ------
    AcquisitionError
        Wrong number or shape of readings, a dtype that can't be right, values that aren't finite or can't belong to the
        rest (`misfits`), or no reading of the unit that decodes all the others.
    """
    readings = acquisition.readings
    far = misfits(readings, sensing)
    if far.size:
        raise AcquisitionError(f"{acquisition.source} {misfit_text(readings, far)}", MISFIT_REMEDY)
    order = acquisition.units(pattern)
    expected = (order.size, *sensing.reading_shape)
    if tuple(readings.shape) != expected:
        several = readings.shape == (order.size, *sensing.acquired_shape(tuple(readings.shape[1:])))
        raise AcquisitionError(
            f"{acquisition.source} holds readings of shape {tuple(readings.shape)}, "
            f"the plan's pattern gives {expected}.",
            sensing.several_remedy if several else "Pass the plan that it was acquired with.",
        )
    if readings.dtype.kind not in ("c" if sensing.is_complex else "fiu"):
        wanted = "complex" if sensing.is_complex else "real"
        raise AcquisitionError(
            f"{acquisition.source} holds readings of type {readings.dtype}, expected {wanted} numbers.",
            "Check which instrument the file comes from.",
        )
    with np.errstate(over="ignore"):  # beyond float32 becomes infinite, and is refused below
        values = torch.from_numpy(readings.astype(np.complex64 if sensing.is_complex else np.float32))
    if not torch.isfinite(torch.view_as_real(values) if values.is_complex() else values).all():
        bad = int((~torch.isfinite(values.abs())).reshape(values.shape[0], -1).any(1).sum())
        raise AcquisitionError(
            f"{acquisition.source} has {bad} readings with NaN or infinite values.",
            "Repair or re-acquire them.",
        )
    reference = sensing.reference_unit
    if reference is not None and not (order == reference).any():
        raise AcquisitionError(
            f"{acquisition.source} has no reading of {sensing.unit_name} {reference}, which decodes all the others.",
            "Acquire again; this reading can't be missing.",
        )
    mean, counts = averaged(values, order, sensing.n_units)
    return measured(sensing.decode(mean[None]), counts[None], sensing), counts[None]


def misfits(readings: npt.NDArray[Any], sensing: SensingModel) -> npt.NDArray[np.int64]:
    """int64[m]: places of readings [n, …] that can't belong to the rest; none where that can't be told.

    Sizes within one acquisition fall off without a gap: from the strongest sample to the weakest, each is at most some
    hundred times as large as the next. Few readings (a tenth at most) that are `_GAP` times as large as every other
    come from a broken transfer or a wrong type of number. Where one reading may dominate (the centre of k-space of an
    even, noise-free object), a single largest one is taken for broken only beyond `_LARGEST`.
    """
    if readings.dtype.kind not in "cfiu":
        return np.zeros(0, np.int64)
    size = np.abs(readings.reshape(len(readings), -1)).max(1) if readings.size else np.zeros(0)
    finite = np.flatnonzero(np.isfinite(size))
    order = finite[np.argsort(-size[finite], kind="stable")]
    most = max(len(order) // 10, 1)
    if len(order) < _LEAST_READINGS:
        return np.zeros(0, np.int64)
    ranked = size[order].astype(np.float64)
    below = ranked[1 : most + 1]
    limits = np.full(most, _GAP)
    limits[0] = _LARGEST if sensing.one_may_dominate else _GAP
    ratio = np.divide(ranked[:most], below, out=np.zeros(most), where=below > 0)  # above nothing at all is no gap
    steps = np.flatnonzero(ratio > limits)
    return np.sort(order[: steps[-1] + 1]) if steps.size else np.zeros(0, np.int64)


def misfit_text(readings: npt.NDArray[Any], far: npt.NDArray[np.int64]) -> str:
    """What is wrong with an acquisition whose readings at ``far`` are `misfits`: a sentence without its subject."""
    largest = float(np.abs(readings[far]).max())
    return f"has {far.size} readings that can't belong to the rest, up to {largest:.3g}: number {named(far.tolist())}."


def averaged(readings: torch.Tensor, units: npt.NDArray[np.integer], n_units: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Mean of each unit's readings, and their number.

    Parameters
    ----------
    readings
        [n, …], of any floating or complex type.
    units
        int[n]: the unit of each reading, from 0 to ``n_units`` − 1.

    Returns
    -------
    [n_units, …] of the same type, 0 where nothing was measured; float32[n_units].
    """
    counts = torch.from_numpy(np.bincount(units, minlength=n_units).astype(np.float32))
    summed = torch.zeros((n_units, *readings.shape[1:]), dtype=readings.dtype)
    summed.index_add_(0, torch.from_numpy(units.astype(np.int64)), readings)
    return summed / counts.clamp(min=1).reshape(-1, *(1,) * (readings.ndim - 1)), counts
