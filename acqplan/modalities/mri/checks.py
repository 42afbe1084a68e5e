"""What MRI data can be checked for besides their units: grid, channels, calibration, noise and clipping."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from acqplan.modalities.mri.coils import MIN_WIDTH
from acqplan.modalities.mri.facts import facts_of
from acqplan.modalities.mri.noise import ComplexGaussian
from acqplan.modalities.mri.sensing import CartesianMRI
from acqplan.plan.plan import Plan
from acqplan.plan.verification import Check, Finding, named
from acqplan.sensing.acquisition import Acquisition, Scan
from acqplan.sensing.measurement import coefficients_of

_VOXEL_TOLERANCE = 0.01
_NOISE_FACTOR = 2.0  # of the plan's noise, beyond which its evidence is too good
_LEAST_NOISE = 0.001  # of the image's peak: what a plan without noise is taken to stand
_LOOKED_AT = 16  # images, evenly over a scan, first and last included
_SHELL = 0.125  # share of the samples that each shell holds
_SHELLS = 3  # outermost ones that are compared
_LEAST_SAMPLES = 64  # in a shell, for its power to be known
_FLAT = 1.3  # ratio of the powers of the shells up to which they hold noise; a signal falls off faster
_OUT_OF_NOISE = 2.0  # ratio of the powers of centre and outermost shell that a coil with signal exceeds
_TIES = 4  # equal extremes that are no accident; two are, of a real image
_PEAK_PERCENTILE = 99.9

Array = npt.NDArray[Any]


def grid(plan: Plan, scan: Scan) -> Iterator[Finding]:
    """Another matrix than the plan's, or a field of view that contradicts the position in space."""
    sensing, facts = plan.sensing, facts_of(scan)
    matrix = facts.matrix
    if not isinstance(sensing, CartesianMRI) or matrix is None:
        return
    rows, columns = sensing.image_shape
    is_lines = sensing.encoding == "lines"
    planned = (columns, rows, 1) if is_lines else (int(matrix[0]), rows, columns)
    if tuple(matrix) != planned:
        yield Finding(
            "error",
            "matrix",
            f"{scan.source} has a matrix of {_sizes(matrix)} (readout, ky, kz), the plan is for {_sizes(planned)}.",
            "Pass the plan that it was acquired with.",
        )
        return
    fov = facts.field_of_view_mm
    if fov is None or scan.geometry is None:
        return
    readout, ky, kz = (side / n for side, n in zip(fov, matrix, strict=True))
    stated = (ky, readout, kz) if is_lines else (ky, kz, readout)
    axes = np.linalg.norm(scan.geometry.affine[:3, :3], axis=0)
    compared = 2 if is_lines else 3  # slices may have gaps
    for size, length in list(zip(stated, axes.tolist(), strict=True))[:compared]:
        if abs(size - length) > _VOXEL_TOLERANCE * size:
            yield Finding(
                "warning",
                "field of view",
                f"{scan.source} states a field of view with voxels of {_mm(stated)} mm, and a position in space with "
                f"voxels of {_mm(axes)} mm (rows, columns, images).",
                "The images lie where the position in space says.",
            )
            return


def channels(plan: Plan, scan: Scan) -> Iterator[Finding]:
    """Coils that change from image to image, or aren't those of the maps; no calibration where maps are needed."""
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


def coils(plan: Plan, scan: Scan) -> Iterator[Finding]:
    """Coils that are zero, or receive nothing but noise."""
    if not isinstance(plan.sensing, CartesianMRI):
        return
    centre: Array | None = None
    outer: Array | None = None
    has_maps = False
    for acquisition in scan.acquisitions:
        distance = _distances(plan, acquisition)
        if distance is None or (outer is not None and acquisition.readings.shape[1] != len(outer)):
            return
        power = _power(acquisition)
        far, near = _outermost(distance, 0, 2 * _SHELL), _outermost(-distance, 0, _SHELL)
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
    if min(n_near, n_far) < _LEAST_SAMPLES / 4:
        return
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


def noise(plan: Plan, scan: Scan) -> Iterator[Finding]:
    """More noise, in relation to the image, than the plan was made for.

    The noise is what the file states, else the power of the outermost readings, where it doesn't depend on how far out
    they are: elsewhere they hold the image's detail, and nothing is said.
    """
    if not isinstance(plan.sensing, CartesianMRI) or not isinstance(plan.noise, ComplexGaussian):
        return
    n = len(scan.acquisitions)
    chosen = np.unique(np.linspace(0, n - 1, min(n, _LOOKED_AT)).round().astype(int)).tolist()
    stated = facts_of(scan).noise_std
    peak, lowest = 0.0, math.inf if stated is None else stated
    for i in chosen:
        acquisition = scan.acquisitions[i]
        distance = _distances(plan, acquisition)
        if distance is None:
            return
        peak = max(peak, _peak(plan, acquisition))
        if stated is None:
            lowest = min(lowest, _flat_noise(_power(acquisition), distance))
    if not (math.isfinite(lowest) and peak > 0):
        return
    relative = lowest / peak
    if relative > _NOISE_FACTOR * max(plan.noise.std, _LEAST_NOISE):
        how = "it states" if stated is not None else "by its outermost readings"
        yield Finding(
            "warning",
            "noise",
            f"{scan.source} has noise of {relative:.2g} of the image's peak ({how}), the plan was made for "
            f"{plan.noise.std:.2g}.",
            f"Expect more noise than the plan's evidence shows, or design one with --noise {relative:.2g}.",
        )


def clipping(plan: Plan, scan: Scan) -> Iterator[Finding]:
    """Readings that the file calls saturated, or whose largest value comes several times."""
    if not isinstance(plan.sensing, CartesianMRI):
        return
    saturated = scan.facts.saturated
    remedy = "Lower the receiver gain and acquire again; clipped readings make streaks and shading."
    if saturated:
        yield Finding(
            "warning",
            "saturation",
            f"{scan.source} has {len(saturated)} saturated readings: {named(list(saturated))}.",
            remedy,
        )
        return
    clipped = [i for i, each in enumerate(scan.acquisitions) if _is_clipped(each)]
    if clipped:
        where = "" if len(scan.acquisitions) == 1 else f" in {len(clipped)} images ({named(clipped)})"
        yield Finding("warning", "saturation", f"{scan.source} reaches its largest value several times{where}.", remedy)


def _is_clipped(acquisition: Acquisition) -> bool:
    """Whether the largest real or imaginary part of different units is the same number several times."""
    values = acquisition.readings
    if values.dtype.kind != "c" or not values.size:
        return False
    if acquisition.order is not None and acquisition.order.size == len(values):
        values = values[np.unique(acquisition.order, return_index=True)[1]]  # repeats may well be equal
    parts = np.ascontiguousarray(values).view(values.real.dtype)
    size = np.abs(parts)
    largest = float(size.max())
    return largest > 0 and math.isfinite(largest) and int((size == largest).sum()) >= _TIES


def _distances(plan: Plan, acquisition: Acquisition) -> Array | None:
    """float64[m]: distance from the centre of k-space of each sample, as of `_power`; None if the data don't fit."""
    sensing, readings = plan.sensing, acquisition.readings
    order = acquisition.units(plan.pattern)
    fits = readings.ndim == 1 + len(sensing.reading_shape) and len(readings) == order.size > 0
    if not fits or readings.shape[2:] != sensing.reading_shape[1:] or order.min() < 0 or order.max() >= sensing.n_units:
        return None
    distance = sensing.distance()[order]
    if readings.ndim == 3:
        n = readings.shape[2]
        distance = np.hypot(distance[:, None], (np.arange(n) - n // 2) / (n / 2)).ravel()
    return np.asarray(distance)


def _power(acquisition: Acquisition) -> Array:
    """float64[coils, m]: |reading|² of each sample."""
    power = np.square(np.abs(acquisition.readings).astype(np.float64))
    return np.asarray(np.moveaxis(power, 1, 0).reshape(power.shape[1], -1))


def _outermost(distance: Array, start: float, stop: float) -> npt.NDArray[np.bool_]:
    """bool[m]: samples whose rank from the outside is from the share ``start`` to the share ``stop`` of all."""
    ranks = np.empty(distance.size, int)
    ranks[np.argsort(-distance, kind="stable")] = np.arange(distance.size)
    return (ranks >= start * distance.size) & (ranks < max(stop * distance.size, 1))


def _flat_noise(power: Array, distance: Array) -> float:
    """√E|n|² of the quietest coil whose `_SHELLS` outermost shells have the same power; inf if none has.

    Medians, which a few strong samples don't move; of an exponential distribution they are ln 2 of the mean. Of sharp
    edges, which fall off slowly, two neighbouring shells can look alike.
    """
    shells = [_outermost(distance, i * _SHELL, (i + 1) * _SHELL) for i in range(_SHELLS)]
    if min(int(shell.sum()) for shell in shells) < _LEAST_SAMPLES:
        return math.inf
    outer, *inner = (np.median(power[:, shell], axis=1) for shell in shells)
    is_flat = (outer > 0) & (np.max(inner, axis=0) < _FLAT * outer)
    return float(np.sqrt(outer[is_flat].min() / math.log(2))) if is_flat.any() else math.inf


def _peak(plan: Plan, acquisition: Acquisition) -> float:
    """Peak of the zero-filled image, coils combined by the root of the sum of squares; 0 if it can't be computed."""
    sensing = plan.sensing
    assert isinstance(sensing, CartesianMRI)
    values = acquisition.readings
    if values.dtype.kind != "c" or not np.isfinite(values).all():
        return 0.0
    total = np.zeros(sensing.image_shape)
    for coil in range(values.shape[1]):
        one = Acquisition(values[:, coil : coil + 1], None, acquisition.source, acquisition.order)
        with torch.inference_mode():
            coefficients, _ = coefficients_of(one, plan.pattern, sensing)
            total += sensing.adjoint(coefficients)[0].abs().square().numpy()
    return float(np.percentile(np.sqrt(total), _PEAK_PERCENTILE))


def _channels(numbers: Array) -> str:
    return f"channel{'s' * (numbers.size > 1)} {named(numbers.tolist())}"


def _sizes(matrix: Any) -> str:
    return "x".join(map(str, matrix))


def _mm(sizes: Any) -> str:
    return " × ".join(f"{float(size):.3g}" for size in sizes)


CHECKS: tuple[Check, ...] = (grid, channels, coils, noise, clipping)
