"""The axis that is sampled in every readout: still k-space, and all of it acquired."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch

from acqplan.core.math.transforms import fft_centred
from acqplan.modalities.mri.checks.samples import Array, distances, looked_at
from acqplan.modalities.mri.sensing import CartesianMRI
from acqplan.plan.plan import Plan
from acqplan.plan.verification import Finding
from acqplan.sensing.acquisition import Scan

_SHORTEST = 32  # samples along the readout, below which nothing is told
_CENTRAL = 64  # points of a 3D scan, the innermost ones, whose readouts are looked at
_INSIDE = 0.8  # share of the energy within the middle quarter that a k-space nearly always has
_NARROWER = 2.0  # ratio of the widths of an image and its k-space that can't be taken for each other
_NARROW = 1 / 16  # of the readout: half of a k-space's energy lies within less
_OFF_CENTRE = 1 / 32  # of the readout, by which an echo may come early or late
_LOST = 0.02  # energy of a sample against its mirror image's, below which it wasn't acquired
_FEWEST = 1 / 32  # of the readout: fewer lost samples aren't told


def readout_is_kspace(plan: Plan, scan: Scan) -> Iterator[Finding]:
    """Data whose readout was already transformed: spread like an image, and their transform like a k-space."""
    energy = _energy(plan, scan)
    if energy is None:
        return
    n, inside = energy.kspace.size, _middle(energy.kspace)
    width = _width(energy.image)
    is_swapped = (
        inside < _INSIDE
        and width <= max(2, _NARROW * n)
        and _width(energy.kspace) > _NARROWER * width
        and abs(int(np.argmax(energy.image)) - n // 2) <= max(2, _OFF_CENTRE * n)
    )
    if is_swapped:
        yield Finding(
            "error",
            "readout",
            f"{scan.source} has {100 * inside:.0f} % of its energy in the middle quarter of the readout's k-space, and "
            f"{100 * _middle(energy.image):.0f} % in that of its image: the readout was already inverse-transformed. "
            "The reconstruction would transform it twice, and show another image.",
            "Transform it back along the readout first, in BART with bart fft -u 1.",
        )


def readout_is_whole(plan: Plan, scan: Scan) -> Iterator[Finding]:
    """Readouts whose first or last samples are empty: an asymmetric echo."""
    energy = _energy(plan, scan)
    if energy is None:
        return
    kspace, n = energy.kspace, energy.kspace.size
    mirrored = np.roll(kspace[::-1], 1 - n % 2)  # sample c + j faces c - j, c = n // 2
    is_lost = kspace < _LOST * mirrored
    if n % 2 == 0:
        is_lost[0] = is_lost[1]  # it faces itself
    first, last = _run(is_lost), _run(is_lost[::-1])
    lost, where = max((first, "start"), (last, "end"))
    if not max(2, _FEWEST * n) < lost < n // 2:
        return
    there = mirrored[:lost] if where == "start" else mirrored[n - lost :]
    share = float(there.sum() / (kspace.sum() + there.sum()))
    yield Finding(
        "warning",
        "asymmetric echo",
        f"{scan.source} has nothing in {lost} of {n} samples at the {where} of its readouts; the plan is for the whole "
        f"echo. Their mirror images hold {100 * share:.2g} % of the energy: edges along the readout blur, by an error "
        f"of about {np.sqrt(share):.2g} of the image (NRMSE) beside the plan's.",
        "Acquire the whole echo, or fill in what is missing first (homodyne, POCS).",
    )


@dataclass(frozen=True)
class _Energy:
    """float64[n] energy along the readout, in k-space and in the image, as the plan takes the data to be."""

    kspace: Array
    image: Array


def _energy(plan: Plan, scan: Scan) -> _Energy | None:
    """Along the readouts of lines, or of the innermost points of a 3D scan; None if there is too little to know."""
    if not isinstance(plan.sensing, CartesianMRI):
        return None
    parts = list(_of_lines(plan, scan) if plan.sensing.encoding == "lines" else _of_points(plan, scan))
    if not parts or min(part.shape[-1] for part in parts) < _SHORTEST or not all(np.isfinite(p).all() for p in parts):
        return None
    given, transformed = np.zeros(parts[0].shape[-1]), np.zeros(parts[0].shape[-1])
    for part in parts:
        given += _summed(part)
        transformed += _summed(fft_centred(torch.from_numpy(part), (-1,)).numpy())
    if not given.any():
        return None
    is_kspace = plan.sensing.encoding == "lines"
    return _Energy(given, transformed) if is_kspace else _Energy(transformed, given)


def _of_lines(plan: Plan, scan: Scan) -> Iterator[Array]:
    """complex64[lines, coils, readout] of some slices, of lines whose mirror image was measured too.

    They alone tell the two halves of an echo apart: the energy of diagonal edges lies on one side of one half of ky.
    """
    n_lines = plan.sensing.n_units
    for i in looked_at(scan):
        acquisition = scan.acquisitions[i]
        if distances(plan, acquisition) is None:
            return
        order = acquisition.units(plan.pattern)
        counts = np.bincount(order, minlength=n_lines)
        mirrored = 2 * (n_lines // 2) - order
        is_paired = (mirrored < n_lines) & (counts[mirrored % n_lines] == counts[order])
        yield acquisition.readings[is_paired].astype(np.complex64)


def _of_points(plan: Plan, scan: Scan) -> Iterator[Array]:
    """complex64[points, coils, readout]: the innermost points of every position along the readout."""
    n = len(scan.acquisitions)
    if n < _SHORTEST:
        return
    first = scan.acquisitions[0]
    distance = distances(plan, first)
    if distance is None:
        return
    chosen = np.argsort(distance, kind="stable")[:_CENTRAL]
    shape, units = first.readings.shape, first.units(plan.pattern)
    readouts = np.empty((len(chosen), shape[1], n), np.complex64)
    for i, acquisition in enumerate(scan.acquisitions):
        if acquisition.readings.shape != shape or not np.array_equal(acquisition.units(plan.pattern), units):
            return
        readouts[..., i] = acquisition.readings[chosen]
    yield readouts


def _summed(values: Array) -> Array:
    """float64[readout]: energy of complex[units, coils, readout]."""
    return np.asarray(np.square(np.abs(values), dtype=np.float64).sum((0, 1)))


def _middle(energy: Array) -> float:
    """Share of the energy within the middle quarter."""
    n = energy.size
    return float(energy[n // 2 - n // 8 : n // 2 + n // 8 + 1].sum() / energy.sum())


def _width(energy: Array) -> int:
    """Samples that hold half of the energy, if the strongest are taken first."""
    return int(np.searchsorted(np.cumsum(np.sort(energy)[::-1]), energy.sum() / 2)) + 1


def _run(is_lost: Array) -> int:
    """How many are lost before the first that isn't."""
    return int(np.argmin(is_lost)) if not is_lost.all() else is_lost.size
