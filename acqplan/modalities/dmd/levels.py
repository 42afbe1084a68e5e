"""Whether a trace's numbers are photo-electrons, and as many as were planned for.

Photo-electrons fluctuate by the root of their number, so that the variance of the light over its mean tells the gain.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from acqplan.modalities.dmd.checks import Trace, light_of, traces_of
from acqplan.modalities.dmd.noise import PoissonGaussian
from acqplan.modalities.dmd.slow_course import smooth, spread
from acqplan.modalities.dmd.traces.calibration import SCATTER, block
from acqplan.plan.plan import Plan
from acqplan.plan.verification import Check, Finding
from acqplan.sensing.acquisition import Scan

_DEGREE = 8  # of the light's slow course
_LEAST_READINGS = 32
_SIGMAS = 6.0
_OUTLIER_SIGMAS = 10.0  # a disturbed frame tells nothing of the gain, and is named as such
_GAIN_AT_LEAST = 1.5  # or its inverse: a smaller difference isn't told
_SHOT_AT_LEAST = 4.0  # times read and dark noise, for the light's own noise to be known
_LIGHT_AT_LEAST = 50.0  # or its inverse: samples of one kind differ by some ten times


def gain_of(plan: Plan, trace: Trace) -> tuple[float, float] | None:
    """(variance of all the light over that of photo-electrons, factor by which noise alone may change it); or None.

    None where it can't be told: few readings, little light, or sums that a correction of the drift has made equal.
    """
    light = light_of(plan, trace)
    noise = plan.noise
    if light is None or trace.facts.drift_corrected == "pairs" or not isinstance(noise, PoissonGaussian):
        return None
    values = light[1]
    values = values[np.abs(values - smooth(values)) <= _OUTLIER_SIGMAS * spread(values)]
    if values.size < _LEAST_READINGS:
        return None
    middle, n_values = float(np.median(values)), trace.values.shape[1]
    others = n_values * (noise.dark_e + noise.read_noise_e**2)
    if middle <= 0:
        return None
    places = np.arange(values.size)
    course = np.polynomial.Polynomial.fit(places, values, _DEGREE)(places)  # a steep drift is no noise
    found = block(values - course)
    factor = math.exp(max(math.log(_GAIN_AT_LEAST), _SIGMAS * math.sqrt(SCATTER / found.n)))
    # An offset adds nothing to the noise, stray light as much as to the mean: between the two nothing is said.
    signal = middle - n_values * _dark(trace)
    least, most = max(signal, 0.0) + others, max(signal, middle) + others
    ratio = found.variance / min(max(found.variance, least), most) if least > 0 else 1.0
    is_shot_noise = middle > _SHOT_AT_LEAST * others or ratio > factor
    # Numbers far too small to be photo-electrons, such as volts, fluctuate far less than the planned read noise.
    return (ratio, factor) if is_shot_noise or ratio < 1 / factor else None


def _dark(trace: Trace) -> float:
    """What a frame without mirrors on reads, where a pair shows one; else 0."""
    dark = trace.values[trace.units == 0, 1] if trace.values.shape[1] == 2 else np.zeros(0)
    return float(np.median(dark)) if dark.size else 0.0


def units(plan: Plan, scan: Scan) -> Iterator[Finding]:
    """Numbers that don't fluctuate as photo-electrons do."""
    for trace in traces_of(plan, scan):
        found = gain_of(plan, trace)
        if found is None or 1 / found[1] < found[0] < found[1]:
            continue
        ratio = found[0]
        why = "a converter's numbers or a lamp that flickers" if ratio > 1 else "volts, averages, or a detector's gain"
        given = trace.facts.in_electrons
        yield Finding(
            "warning",
            "units",
            f"{trace.source}: the light fluctuates by {ratio:.3g} times the variance of photo-electrons: {why}.",
            ("Calibrate the detector again" if given else "Give the detector's file (acqplan calibrate, --detector)")
            + ": until then the image's brightness has no known unit, and its noise isn't the plan's.",
        )


def level(plan: Plan, scan: Scan) -> Iterator[Finding]:
    """Far more or less light than the images that the plan was made with give."""
    cost = plan.evidence.get("exposure") or {}
    electrons, lit = cost.get("photo_electrons"), cost.get("light_frames")
    if not electrons or not lit or not isinstance(plan.noise, PoissonGaussian):
        return
    planned = electrons / lit
    for trace in traces_of(plan, scan):
        light, gain = light_of(plan, trace), gain_of(plan, trace)
        if light is None or (gain is not None and not 1 / gain[1] < gain[0] < gain[1]):
            continue  # no unit, no level
        middle = float(np.median(light[1]))
        if middle > 0 and not 1 / _LIGHT_AT_LEAST < middle / planned < _LIGHT_AT_LEAST:
            yield Finding(
                "warning",
                "light",
                f"{trace.source} has {middle:.3g} photo-electrons a frame with all mirrors on, the plan was made for "
                f"about {planned:.3g}.",
                f"Give {'more' if middle < planned else 'less'} light, or design a plan with --photons "
                f"{plan.noise.photons * middle / planned:.2g}: this one's evidence doesn't hold, and its network "
                "expects another noise.",
            )


def unit_is_known(plan: Plan, scan: Scan) -> bool:
    """Whether the values of a scan are photo-electrons for sure, or by their noise."""
    for trace in traces_of(plan, scan):
        found = gain_of(plan, trace)
        if found is not None and not 1 / found[1] < found[0] < found[1]:
            return False
        if found is None and not trace.is_certain:
            return False
    return True


CHECKS: tuple[Check, ...] = (units, level)
