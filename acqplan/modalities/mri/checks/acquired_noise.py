"""How much noise acquired data hold, in relation to their image."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch

from acqplan.modalities.mri.checks.samples import SHELL, Array, distances, looked_at, outermost, power_of
from acqplan.modalities.mri.facts import facts_of
from acqplan.modalities.mri.sensing import CartesianMRI
from acqplan.plan.plan import Plan
from acqplan.sensing.acquisition import Acquisition, Scan
from acqplan.sensing.measurement import averaged

_SHELLS = 3  # outermost ones that are compared
_LEAST_SAMPLES = 64  # in a shell, for its power to be known
_FLAT = 1.3  # ratio of the powers of the shells up to which they hold noise; a signal falls off faster
_MAJORITY = 0.5  # of the coils that hold noise alone: of many, one looks like it by chance
_ENDS = 8  # share of a readout, at each end, whose samples are compared with their neighbours: 1 / 8
_LAGS = 4  # neighbours up to so many samples away
_CORRELATED = 0.25  # correlation that noise doesn't reach
_WEAKEST = 0.1  # share of the readings, the weakest, that bound the noise from above
_SPREAD = 3.0  # standard errors of a median, about, by which noise may look uneven
_UNEVEN = 0.1  # ratio of power by which it may: no receiver is quite even
_PEAK_PERCENTILE = 99.9


@dataclass(frozen=True)
class AcquiredNoise:
    """√E|n|² of a reading over the peak of the image: the ``std`` of `ComplexGaussian`.

    Parameters
    ----------
    std
        What it is; infinite where that can't be known.
    at_most
        What it can't exceed much; infinite where that can't be known either.
    is_stated
        The file itself states it; else it was estimated from the readings.
    """

    std: float
    at_most: float
    is_stated: bool


def acquired_noise(scan: Scan, plan: Plan) -> AcquiredNoise | None:
    """The noise of a scan with a plan's catalogue; None where the data don't fit it, or hold no signal.

    It is what the file states, else the power of the outermost readings, where it doesn't depend on how far out they
    are: elsewhere they hold the image's detail, and it is only known that there isn't more noise than that. The peak
    is the 99.9th percentile of the zero-filled image, the largest of at most 16 images.
    """
    if not isinstance(plan.sensing, CartesianMRI):
        return None
    stated = facts_of(scan).noise_std
    peak, lowest, most = 0.0, math.inf, math.inf
    for i in looked_at(scan):
        acquisition = scan.acquisitions[i]
        distance = distances(plan, acquisition)
        if distance is None:
            return None
        peak = max(peak, _peak(plan, acquisition))
        if stated is None:
            estimated, at_most = _noise_of(acquisition, distance)
            lowest, most = min(lowest, estimated), min(most, at_most)
    if stated is not None:
        lowest = most = stated
    return AcquiredNoise(lowest / peak, most / peak, stated is not None) if peak > 0 else None


def noise_of_readings(acquisition: Acquisition, plan: Plan) -> tuple[float, float]:
    """(√E|n|², what it can't exceed much) of one acquisition, in the units of its readings, by its outermost ones.

    Infinite where that can't be known.
    """
    distance = distances(plan, acquisition)
    return (math.inf, math.inf) if distance is None else _noise_of(acquisition, distance)


def _noise_of(acquisition: Acquisition, distance: Array) -> tuple[float, float]:
    shells = _shells(power_of(acquisition), distance)
    return _flat_noise(shells) if _is_white(acquisition.readings) else math.inf, _most_noise(shells)


def _shells(power: Array, distance: Array) -> list[Array]:
    """float64[coils, samples] power in each of the `_SHELLS` outermost shells, outermost first; [] of too few."""
    shells = [outermost(distance, i * SHELL, (i + 1) * SHELL) for i in range(_SHELLS)]
    if min(int(shell.sum()) for shell in shells) < _LEAST_SAMPLES:
        return []
    return [power[:, shell] for shell in shells]


def _flat_noise(shells: list[Array]) -> float:
    """√E|n|² of the quietest coil whose shells hold noise alone; inf unless most do.

    Medians, which a few strong samples don't move. Noise has the same power in all shells, and as an exponential
    distribution a median of ln 2 of its mean; detail, also where it falls off as slowly as that of sharp edges, has a
    few strong samples, and a mean that is much larger.
    """
    if not shells:
        return math.inf
    outer, *inner = (np.median(shell, axis=1) for shell in shells)
    tolerance = 1 + max(_UNEVEN, _SPREAD / math.sqrt(shells[0].shape[1]))
    is_even = math.log(2) * np.mean(shells[0], axis=1) < tolerance * outer
    is_noise = (outer > 0) & (np.max(inner, axis=0) < _FLAT * outer) & is_even
    if is_noise.mean() < _MAJORITY:
        return math.inf
    return float(np.sqrt(outer[is_noise].min() / math.log(2)))


def _is_white(readings: Array) -> bool:
    """Whether neighbours at both ends of the readouts have nothing to do with each other; points can't be asked.

    What an object leaves there depends on its neighbours, since its edges lie near a few places in the field of view.
    """
    if readings.ndim != 3 or readings.shape[2] < 4 * _ENDS:
        return True
    side = readings.shape[2] // _ENDS
    ends = np.stack([readings[..., :side], readings[..., -side:]]).astype(np.complex128)
    energy = float(np.square(np.abs(ends)).sum())
    pairs = (np.vdot(ends[..., lag:], ends[..., :-lag]) * side / (side - lag) for lag in range(1, min(_LAGS + 1, side)))
    return energy > 0 and max(abs(pair) for pair in pairs) < _CORRELATED * energy


def _most_noise(shells: list[Array]) -> float:
    """√E|n|² that the quietest coil can't exceed much: a tenth of its outermost readings are this weak; inf if unknown.

    Of noise a tenth has less than −ln 0.9 of the mean power; where there is detail too, it adds. Zero is no coil's.
    """
    outer = np.quantile(shells[0], _WEAKEST, axis=1) if shells else np.zeros(0)
    outer = outer[outer > 0]
    return float(np.sqrt(outer.min() / -math.log(1 - _WEAKEST))) if outer.size else math.inf


def _peak(plan: Plan, acquisition: Acquisition) -> float:
    """Peak of the zero-filled image, coils combined by the root of the sum of squares; 0 if it can't be computed."""
    sensing = plan.sensing
    assert isinstance(sensing, CartesianMRI)
    values = acquisition.readings
    if values.dtype.kind != "c" or not np.isfinite(values).all():
        return 0.0
    total = np.zeros(sensing.image_shape)
    units = acquisition.units(plan.pattern)
    for coil in range(values.shape[1]):
        with torch.inference_mode():
            mean, _ = averaged(torch.from_numpy(values[:, coil : coil + 1]), units, sensing.n_units)
            coefficients = sensing.decode(mean[None].to(torch.complex64))
            total += sensing.adjoint(coefficients)[0].abs().square().numpy()
    return float(np.percentile(np.sqrt(total), _PEAK_PERCENTILE))
