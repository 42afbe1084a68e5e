"""Whether a trace's numbers are photo-electrons, and as many as were planned for.

Photo-electrons fluctuate by the root of their number, so that the variance of readings of the same light over their
mean tells the gain. Pairs read all the light each time. One detector does so only in the repeats of the reference,
which are few; in its other readings the image adds to the scatter, so that they can only scatter too little.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import scipy

from acqplan.modalities.dmd.checks import Floats, Trace, light_of, spectrum_of, traces_of, undisturbed
from acqplan.modalities.dmd.noise import PoissonGaussian
from acqplan.modalities.dmd.slow_course import smooth, spread
from acqplan.modalities.dmd.traces.calibration import SCATTER, block
from acqplan.plan.plan import Plan
from acqplan.plan.verification import Check, Finding
from acqplan.sensing.acquisition import Scan

_DEGREE = 8  # of the light's slow course
_LEAST_READINGS = 32
_LEAST_REPEATS = 6
_CHANCE = 1e-4  # of an alarm by noise alone, to either side
_SIGMAS = 6.0
_OUTLIER_SIGMAS = 10.0  # a disturbed frame tells nothing of the gain, and is named as such
_NOISE_AT_LEAST = 1.2  # von Neumann's ratio, 2 of noise
_GAIN_AT_LEAST = 1.5  # or its inverse: a smaller difference isn't told
_KNOWN_WITHIN = 4.0  # times the gain of photo-electrons, or its inverse
_SHOT_AT_LEAST = 4.0  # times read and dark noise, for the light's own noise to be known
_LIGHT_AT_LEAST = 50.0  # or its inverse: samples of one kind differ by some ten times
_LIGHT_SIGMAS = 3.0


@dataclass(frozen=True)
class Gain:
    """Variance of readings over that of photo-electrons, and the limits within which noise alone may change it."""

    ratio: float
    least: float
    most: float

    @property
    def is_possible(self) -> bool:
        """The readings may be photo-electrons."""
        return self.least < self.ratio < self.most

    @property
    def is_certain(self) -> bool:
        """They can hardly be anything else."""
        return self.is_possible and self.most <= _KNOWN_WITHIN


def gain_of(plan: Plan, trace: Trace) -> Gain | None:
    """None where it can't be told: few readings, little light, or sums that a correction of the drift made equal."""
    if trace.facts.drift_corrected == "pairs" or not isinstance(plan.noise, PoissonGaussian):
        return None
    if trace.values.shape[1] == 2:
        return _of_sums(plan.noise, trace)
    is_reference = trace.units == plan.sensing.reference_unit
    if not is_reference.any() or is_reference.all():
        return None
    values, mirrors_half = trace.values[:, 0], ~is_reference
    whole, half = float(np.median(values[is_reference])), float(scipy.stats.trim_mean(values[mirrors_half], 0.05))
    light = 2 * (whole - half)  # without an offset
    repeats = _of_repeats(plan.noise, values[is_reference], light, whole)
    if repeats is not None and not repeats.is_possible:
        return repeats
    # The finest patterns hold the least of the image.
    fine = np.argsort(plan.sensing.distance()[trace.units[mirrors_half]], kind="stable")
    few = max(_LEAST_READINGS, fine.size // 3)
    others = _of_one_frame_each(plan.noise, values[mirrors_half][fine[-few:]], light / 2, half)
    return others if others is not None and not others.is_possible else repeats


def _of_sums(noise: PoissonGaussian, trace: Trace) -> Gain | None:
    values = trace.sums
    values = values[np.abs(values - smooth(values)) <= _OUTLIER_SIGMAS * spread(values)]
    if values.size < _LEAST_READINGS:
        return None
    middle = float(np.median(values))
    found = block(values - _course(values, _DEGREE))  # a steep drift is no noise
    factor = math.exp(max(math.log(_GAIN_AT_LEAST), _SIGMAS * math.sqrt(SCATTER / found.n)))
    limits = (1 / factor, factor)
    return _gain(noise, found.variance, middle - 2 * _dark(trace), middle, limits, n_frames=2)


def _of_repeats(noise: PoissonGaussian, values: Floats, light: float, whole: float) -> Gain | None:
    """Of readings [n] with all mirrors on: their scatter around a smooth course of the lamp."""
    if values.size < _LEAST_REPEATS:
        return None
    for _ in range(2):
        degree = min(2, values.size // _LEAST_REPEATS)
        off = values - _course(values, degree)
        worst = int(np.argmax(np.abs(off)))
        others = float(np.sqrt(np.mean(np.delete(off, worst) ** 2)))
        if abs(off[worst]) <= _SIGMAS * others or values.size <= _LEAST_REPEATS:
            break
        values = np.delete(values, worst)
    n_free = values.size - 1 - degree
    found = _gain(noise, float((off**2).sum()) / n_free, light, whole, _limits(n_free))
    # Of noise the squared differences of successive values are twice the squares; a lamp's course makes them smaller.
    is_course = float((np.diff(off) ** 2).sum()) < _NOISE_AT_LEAST * float((off**2).sum())
    return None if found is not None and found.ratio >= found.most and is_course else found


def _of_one_frame_each(noise: PoissonGaussian, values: Floats, light: float, mean: float) -> Gain | None:
    """Of readings [n] of different patterns: the image makes them scatter more, nothing makes them scatter less."""
    if values.size < _LEAST_READINGS:
        return None
    least, _ = _limits(values.size - 1)
    return _gain(noise, float(np.var(values, ddof=1)), light, mean, (least, math.inf))


def _gain(
    noise: PoissonGaussian, variance: float, light: float, mean: float, limits: tuple[float, float], n_frames: int = 1
) -> Gain | None:
    """An offset adds nothing to the noise, stray light as much as to the mean: between the two nothing is said."""
    if mean <= 0:
        return None
    others = n_frames * (noise.dark_e + noise.read_noise_e**2)
    least, most = max(light, 0.0) + others, max(light, mean) + others
    ratio = variance / min(max(variance, least), most) if least > 0 else 1.0
    is_shot_noise = mean > _SHOT_AT_LEAST * others or ratio >= limits[1]
    # Numbers far too small to be photo-electrons, such as volts, fluctuate far less than the planned read noise.
    return Gain(ratio, *limits) if is_shot_noise or ratio <= limits[0] else None


def _limits(n_free: int) -> tuple[float, float]:
    """Of a variance with so many degrees of freedom, relative to what is expected."""
    least, most = (float(scipy.stats.chi2.ppf(chance, n_free)) / n_free for chance in (_CHANCE, 1 - _CHANCE))
    return min(least, 1 / _GAIN_AT_LEAST), max(most, _GAIN_AT_LEAST)


def _course(values: Floats, degree: int) -> Floats:
    places = np.arange(values.size)
    return np.asarray(np.polynomial.Polynomial.fit(places, values, degree)(places))


def _dark(trace: Trace) -> float:
    """What a frame without mirrors on reads, where a pair shows one; else 0."""
    dark = trace.values[trace.units == 0, 1] if trace.values.shape[1] == 2 else np.zeros(0)
    return float(np.median(dark)) if dark.size else 0.0


def units(plan: Plan, scan: Scan) -> Iterator[Finding]:
    """Numbers that don't fluctuate as photo-electrons do, or are said to be others."""
    for trace in traces_of(plan, scan):
        found, stated = gain_of(plan, trace), trace.facts.other_unit
        if stated is not None:
            text = f"{trace.source} says that its values are {stated}, no photo-electrons."
        elif found is not None and not found.is_possible:
            ratio = found.ratio
            why = (
                "a converter's numbers or a lamp that flickers"
                if ratio > 1
                else "volts, averages, or a detector's gain"
            )
            text = f"{trace.source}: the light fluctuates by {ratio:.3g} times the variance of photo-electrons: {why}."
        else:
            continue
        given = trace.facts.in_electrons
        yield Finding(
            "warning",
            "units",
            text,
            ("Calibrate the detector again" if given else "Give the detector's file (acqplan calibrate, --detector)")
            + ": until then the image's brightness has no known unit, and its noise isn't the plan's.",
        )


def level(plan: Plan, scan: Scan) -> Iterator[Finding]:
    """Far more or less light than the images that the plan was made with give."""
    if not isinstance(plan.noise, PoissonGaussian):
        return
    planned = plan.noise.photons
    for trace in traces_of(plan, scan):
        gain = gain_of(plan, trace)
        if trace.facts.other_unit is not None or (gain is not None and not gain.is_possible):
            continue  # no unit, no level
        found = _brightness(plan, trace)
        if found is None:
            continue
        least, most = found
        share = _share_of_light(plan, trace)
        is_little = most < planned / _LIGHT_AT_LEAST or (
            share < 1 / _LIGHT_AT_LEAST and least < planned / _LIGHT_AT_LEAST
        )
        is_much = least > planned * _LIGHT_AT_LEAST or (share > _LIGHT_AT_LEAST and least > planned)
        if is_little or is_much:
            size = f"at most {most:.2g}" if is_little else f"at least {least:.2g}"
            yield Finding(
                "warning",
                "light",
                f"{trace.source}: bright pixels give {size} photo-electrons a frame, the plan was made for up to "
                f"{planned:.3g}.",
                f"Give {'more' if is_little else 'less'} light, or design a plan with --photons "
                f"{most if is_little else least:.2g}: this one's evidence doesn't hold, and its network expects "
                "another noise."
                + ("" if trace.is_certain else " If the values are no photo-electrons, give the detector's file."),
            )


def _brightness(plan: Plan, trace: Trace) -> tuple[float, float] | None:
    """(least, most) that Σx²/Σx of the image x can be, photo-electrons a frame: how much its bright pixels give.

    Σx² is the sum over all squared coefficients. The least is that of the measured ones; for the most, those that
    weren't measured are taken to be as large as the finest measured ones. Unlike the sum of the light it hardly depends
    on how much of the field the sample fills.
    """
    trace = undisturbed(plan, trace)
    light = light_of(plan, trace)
    units, energy, noise = spectrum_of(plan, trace)
    if light is None or units.size < _LEAST_READINGS:
        return None
    total = float(np.median(light[1]))
    if total <= 0:
        return None
    n_units = plan.sensing.n_units
    excess = np.minimum(energy, total**2 / n_units) - noise  # no coefficient is larger than that of all the light
    error = _LIGHT_SIGMAS * math.sqrt(float((2 * noise**2 + 4 * noise * np.maximum(excess, 0)).sum()))
    fine = np.argsort(plan.sensing.distance()[units], kind="stable")[-max(units.size // 3, 1) :]
    unmeasured = (n_units - units.size) * max(float(excess[fine].mean()), 0.0)
    mean = total / n_units
    measured = float(excess.sum())
    least = mean + max(measured - error, 0.0) / total
    most = mean + max(measured + unmeasured + error * n_units / units.size, 0.0) / total
    return least, min(most, total)


def _share_of_light(plan: Plan, trace: Trace) -> float:
    """All the light, as a multiple of that of the images that the plan was made with; 1 where the plan doesn't say."""
    cost = plan.evidence.get("exposure") or {}
    electrons, lit, light = cost.get("photo_electrons"), cost.get("light_frames"), light_of(plan, trace)
    if not electrons or not lit or light is None:
        return 1.0
    return float(np.median(light[1]) * lit / electrons)


def unit_is_known(plan: Plan, scan: Scan) -> bool:
    """Whether the values of a scan are photo-electrons for sure, or by their noise."""
    for trace in traces_of(plan, scan):
        found = gain_of(plan, trace)
        is_certain = found.is_certain if found is not None else False
        if trace.facts.other_unit is not None or (found is not None and not found.is_possible):
            return False
        if not is_certain and not trace.is_certain:
            return False
    return True


CHECKS: tuple[Check, ...] = (units, level)
