"""Light: how long a scan lights each pixel of the sample, how many photo-electrons it gives, and which scheme suits it.

Where a DMD lights the sample, a pixel takes light only while its mirror is on: a scan of ± pairs lights each pixel
during half of its frames. Where the DMD is in the image path (passive single-pixel cameras, two detectors), the
sample is lit all the time. Both times are reported.
"""

from __future__ import annotations

from acqplan.modalities.dmd.scheme_choice import Recommendation, recommend_scheme
from acqplan.modalities.dmd.sensing import HadamardDMD
from acqplan.sensing.budget import Budget, Light
from acqplan.sensing.model import SensingModel
from acqplan.sensing.noise import NoiseModel
from acqplan.sensing.pattern import Pattern


def light_cost(
    sensing: SensingModel,
    budget: Budget,
    pattern: Pattern,
    *,
    electrons: float | None = None,
    power_w: float | None = None,
) -> dict[str, float | int | None]:
    """What a scan costs in light; empty where nothing is lit. JSON-ready; None is what isn't known.

    ``frames``: all that are shown. ``light_frames``: those during which a mean pixel of the pattern is on.
    ``light_on_s``: the same in seconds; ``scan_s``: of all frames, which is how long the sample is lit where the DMD is
    in the image path. ``photo_electrons``: of a typical image over the scan, at the detectors. ``energy_j``: on
    the sample, lit by the DMD.

    Parameters
    ----------
    electrons
        Of a typical image during one frame with all mirrors on (`acqplan.learning.energy.typical_electrons`).
    power_w
        On the sample with all mirrors on.
    """
    if sensing.light_frames is None:
        return {}
    reference = sensing.reference_unit
    n_reference = 0 if reference is None else int(pattern.counts[reference])
    lit = Light(sensing.light_frames, n_reference).frames_of(pattern.n_readings)
    frames = pattern.n_readings * sensing.frames_per_unit
    frame_s = None if budget.reading_time_s is None else budget.reading_time_s / sensing.frames_per_unit
    light_on_s = None if frame_s is None else lit * frame_s
    return {
        "frames": frames,
        "light_frames": lit,
        "light_on_s": light_on_s,
        "scan_s": None if frame_s is None else frames * frame_s,
        "photo_electrons": None if electrons is None else lit * electrons,
        "power_w": power_w,
        "energy_j": None if light_on_s is None or power_w is None else light_on_s * power_w,
    }


def scheme_advice(sensing: SensingModel, noise: NoiseModel, budget: Budget, electrons: float) -> Recommendation | None:
    """Which display scheme suits the light, read noise and background (dark counts) of a plan; None without a DMD."""
    if not isinstance(sensing, HadamardDMD):
        return None
    return recommend_scheme(
        n_pixels=sensing.n_units,
        n_patterns=budget.n_readings,
        scheme=sensing.scheme,
        electrons=electrons,
        read_noise_e=float(getattr(noise, "read_noise_e", 0.0)),
        background_e=float(getattr(noise, "dark_e", 0.0)),
    )
