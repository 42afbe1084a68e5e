"""Receive coils: how many, their maps and calibration, dead ones, and one that drowns the others."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from acqplan.core.words import named
from acqplan.modalities.mri.checks.samples import SHELL, Array, distances, outermost, power_of
from acqplan.modalities.mri.coils import MIN_WIDTH
from acqplan.modalities.mri.facts import facts_of
from acqplan.modalities.mri.sensing import CartesianMRI
from acqplan.plan.plan import Plan
from acqplan.plan.verification import Finding
from acqplan.sensing.acquisition import Scan

_MANY = 2  # times as many channels as a plan was made for, beyond which that is told
_LEAST_SAMPLES = 16  # near the centre and far from it, for their power to be known
_DROWNS = (
    1000.0  # ratio of the powers of the strongest channel and the next, of signal and of noise; coils stay below 100
)
_OUT_OF_NOISE = 2.0  # ratio of the powers of centre and outermost shell that a coil with signal exceeds


def channels(plan: Plan, scan: Scan) -> Iterator[Finding]:
    """Coils that change from image to image, aren't those of the maps, or fewer or far more than the plan was made for;
    no calibration where maps are needed."""
    sensing = plan.sensing
    if not isinstance(sensing, CartesianMRI):
        return
    found = {each.readings.shape[1] if each.readings.ndim > 1 else 1 for each in scan.acquisitions}
    stated = facts_of(scan).channels
    if len(found) > 1 or (stated is not None and found != {stated}):
        text = ", ".join(map(str, sorted(found))) + (f"; it states {stated}" if stated is not None else "")
        yield Finding("error", "channels", f"{scan.source} has images of {text} channels.", "Acquire it again.")
        return
    n_coils = found.pop()
    narrowest = None
    for acquisition in scan.acquisitions:
        maps = acquisition.coil_maps
        if maps is not None and maps.shape != (n_coils, *sensing.image_shape):
            yield Finding(
                "error",
                "coil maps",
                f"{scan.source} has {n_coils} channels and coil maps of shape {maps.shape}, "
                f"expected {(n_coils, *sensing.image_shape)}.",
                "Compute the maps from this scan, or leave them out.",
            )
            return
        if maps is None and n_coils > 1:
            width = sensing.measured_width(acquisition.units(plan.pattern))
            narrowest = width if narrowest is None else min(width, narrowest)
    yield from _otherwise_many(plan, scan, n_coils)
    if narrowest is not None and narrowest < MIN_WIDTH:
        unit = "lines" if sensing.encoding == "lines" else "points along each side"
        yield Finding(
            "error",
            "calibration",
            f"{scan.source} has {n_coils} channels without coil maps, and a fully measured centre of {narrowest} "
            f"{unit}; maps need {MIN_WIDTH}.",
            f"Acquire all of the calibration region, design a plan with --calibration {MIN_WIDTH} or more, "
            "or give coil maps.",
        )


def _otherwise_many(plan: Plan, scan: Scan, n_coils: int) -> Iterator[Finding]:
    """Fewer channels than the plan was made for, or more than twice as many; a range is respected."""
    most = plan.evidence.get("coils", {}).get("n", 1)
    fewest = plan.evidence.get("coils", {}).get("fewest", most)
    planned = f"{fewest} to {most}" if fewest < most else f"{most}"
    has = f"{scan.source} has {n_coils} channel{'s' * (n_coils > 1)}, the plan was made for {planned}"
    if n_coils < fewest:
        yield Finding(
            "warning",
            "fewer channels",
            f"{has}: fewer tell less of what was left out (at 4x, 1 uniform channel instead of 8 cost 4 dB, 4 cost 0.2 "
            "dB), and if some of a coil's channels are missing, the image is bright only near the others.",
            f"Reconstruct data of all {fewest} channels, or design a plan with --coils {n_coils}.",
        )
    if n_coils > _MANY and most == 1:
        yield Finding(
            "warning",
            "more channels",
            f"{has}: its network was trained for one uniform channel, and makes less of several than one that was "
            "trained for them (at 4x, 1.5 dB less of 4, 2.5 dB less of 8).",
            f"Design a plan with --coils {n_coils}.",
        )
    elif n_coils > _MANY * most:
        yield Finding(
            "note",
            "more channels",
            f"{has}: its evidence isn't of so many.",
            f"Compress them with --virtual-coils {most}, which is quicker, or design a plan with --coils {n_coils}.",
        )


def coils(plan: Plan, scan: Scan) -> Iterator[Finding]:
    """Coils that are zero, or receive nothing but noise."""
    if not isinstance(plan.sensing, CartesianMRI):
        return
    centre: Array | None = None
    outer: Array | None = None
    has_maps = False
    for acquisition in scan.acquisitions:
        distance = distances(plan, acquisition)
        if distance is None or (outer is not None and acquisition.readings.shape[1] != len(outer)):
            return
        power = power_of(acquisition)
        far, near = outermost(distance, 0, 2 * SHELL), outermost(-distance, 0, SHELL)
        inside, outside = power[:, near].sum(1), power[:, far].sum(1)
        centre = inside if centre is None else centre + inside
        outer = outside if outer is None else outer + outside
        has_maps |= acquisition.coil_maps is not None
        n_near, n_far = int(near.sum()), int(far.sum())
    assert centre is not None
    assert outer is not None
    if len(centre) == 1:
        return
    silent = np.flatnonzero((centre == 0) & (outer == 0))
    if silent.size and silent.size < len(centre):
        yield Finding(
            "error" if has_maps else "warning",
            "dead channel",
            f"{scan.source} is zero everywhere in {_channels(silent)}.",
            "Check that the coil was connected; leave the channel out, with its map.",
        )
    if min(n_near, n_far) < _LEAST_SAMPLES:
        return
    loudest = int(np.argmax(outer))
    others = np.arange(len(outer)) != loudest
    by = [float(part[loudest] / part[others].max()) for part in (centre, outer) if part[others].any()]
    if len(by) == 2 and min(by) > _DROWNS:
        yield Finding(
            "warning",
            "gain",
            f"{scan.source} has {math.sqrt(by[1]):.0f} times the noise and {math.sqrt(by[0]):.0f} times the signal in "
            f"channel {loudest} that any other has: it alone makes the image, which is as bright as that coil is near.",
            "Check that channel's gain and units; divide it by the factor, prewhiten the channels, or leave it out.",
        )
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = (centre / n_near) / (outer / n_far)
    noisy = np.flatnonzero(ratio < _OUT_OF_NOISE)
    if noisy.size and noisy.size < len(centre):
        yield Finding(
            "warning",
            "dead channel",
            f"{scan.source} receives nothing but noise in {_channels(noisy)}.",
            "Check that the coil was connected; leave the channel out.",
        )


def _channels(numbers: Array) -> str:
    return f"channel{'s' * (numbers.size > 1)} {named(numbers.tolist())}"
